"""Run a stage in its own process, resumed after a kill, and the checks before."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.config import dump
from vidda.errors import ViddaError
from vidda.experiment.process import ProcessUsage, last_line, run_vidda
from vidda.experiment.stage import Stage
from vidda.files import write_text

Run = Callable[[list[str], Path, Callable[[], None]], ProcessUsage]
"""Runs a vidda command: `run_vidda`, or a server's `run`."""


@dataclass(frozen=True, slots=True)
class StageEnd:
    """The end of a session of a stage. reason: the errors of a failed one, "" if complete.

    measured: None of a stage that could not be started.
    """

    measured: ProcessUsage | None
    reason: str


def check_out(out: Path, command: str, resume: bool) -> None:
    """Raise ViddaError if OUT holds other files than a job's, or a job without resume.

    command: that writes OUT, for messages.
    """
    if not out.exists() or not any(not path.name.startswith(".") for path in out.iterdir()):
        return
    if not (out / "stages").is_dir() and not (out / "config.yaml").is_file():
        raise ViddaError(f"{out}: not empty and not made by {command}; choose another out=DIR")
    if not resume:
        raise ViddaError(f"{out}: holds a job already; --resume continues it")


def pending_stages(stages: Sequence[Stage], out: Path) -> list[Stage]:
    """Return the stages that are not complete; ViddaError for those started with another config."""
    waiting = [stage for stage in stages if not stage.complete(out)]
    problems = []
    for stage in waiting:
        known = stage.last_config(out)
        # A stage that its command refused before it wrote anything may get a corrected config.
        started = stage.out.is_dir() and any(
            not p.name.startswith(".") for p in stage.out.iterdir()
        )
        if known is None or stage.derived or not stage.ready() or not started:
            continue
        before, now = known.splitlines(), dump(stage.with_epochs().config).splitlines()
        changed = [line.strip() for line in now if line not in before]
        if before != now:
            what = changed[0] if changed else "without a key"
            problems.append(
                f"{stage.title} was started with another config (now {what}); choose another"
                f" out=DIR, or delete {stage.out} and {stage.config_file(out)}"
            )
    if problems:
        raise ViddaError("\n".join(problems))
    return waiting


def dry_run_stages(waiting: Sequence[Stage], out: Path) -> None:
    """Dry-run the first stage of each command whose inputs exist.

    Raises ViddaError with a line for each stage whose command refuses it.
    """
    problems = []
    tried: set[str] = set()
    for stage in waiting:
        if stage.command in tried or not stage.ready() or stage.last_config(out) or stage.derived:
            continue
        tried.add(stage.command)
        with tempfile.TemporaryDirectory() as folder:
            file, log = Path(folder) / "config.yaml", Path(folder) / "log.txt"
            file.write_text(dump(stage.with_epochs().config), encoding="utf-8")
            measured = run_vidda(
                [stage.command, str(file), "--dry-run", "--resume"], log, lambda: None
            )
            if measured.status:
                problems.append(f"{stage.title}: {_failure(log, measured.status)}")
            else:
                print(f"dry run of {stage.title}: {last_line(log)}")
    if problems:
        raise ViddaError("\n".join(problems))


def run_stage(
    stage: Stage,
    out: Path,
    poll: Callable[[], None] = lambda: None,
    run: Run = run_vidda,
) -> StageEnd:
    """Run one stage until its process ends; one that cannot be started has failed.

    out: folder of the job. poll: see `run_vidda`. run: runs the command.
    """
    try:
        _require_inputs(stage)
        config = dump(stage.with_epochs().config)
    except ViddaError as error:
        return StageEnd(None, "; ".join(str(error).splitlines()))
    log, file = stage.log_file(out), stage.config_file(out)
    write_text(file, config)
    before = log.stat().st_size if log.exists() else 0
    measured = run([stage.command, str(file), "--resume"], log, poll)
    # These end with 1 where clips were left out: as the config allowed, or without a caption.
    allowed = (0, 1) if stage.command in ("prepare", "caption") else (0,)
    whole = measured.status in allowed and stage.complete(out)
    return StageEnd(measured, "" if whole else _failure(log, measured.status, before))


def _require_inputs(stage: Stage) -> None:
    missing = [str(path) for path in stage.inputs if not path.exists()]
    if missing:
        raise ViddaError(
            f"{', '.join(missing)} does not exist; restore it, or delete the output"
            " of the stage that makes it: --resume makes it again"
        )


def _failure(log: Path, status: int, start: int = 0) -> str:
    """Return the errors that a command printed after byte `start` of its log, and its status."""
    lines = log.read_bytes()[start:].decode(errors="replace").splitlines()
    errors = [line.removeprefix("error: ").strip() for line in lines if line.startswith("error: ")]
    ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    what = "; ".join(errors) or last_line(log, start) or "no output"
    return f"{what} ({ended})"
