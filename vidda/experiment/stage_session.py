"""Do a stage in a process of its own, gone on with after a kill; and what is checked before."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.config import dump
from vidda.errors import ViddaError
from vidda.experiment.process import ProcessUsage, last_line, run_vidda
from vidda.experiment.stage import Stage
from vidda.files import write_text


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session of a stage went. why: what it said, where it did not come to its end."""

    measured: ProcessUsage
    why: str


def check_out(out: Path, command: str, resume: bool) -> None:
    """Refuse a folder that holds something else, or a job that is not to be gone on with."""
    if not out.exists() or not any(not path.name.startswith(".") for path in out.iterdir()):
        return
    if not (out / "stages").is_dir() and not (out / "config.yaml").is_file():
        raise ViddaError(f"{out}: not empty and not made by {command}; choose another out=DIR")
    if not resume:
        raise ViddaError(f"{out}: holds a job already; --resume goes on with it")


def pending(stages: Sequence[Stage], out: Path) -> list[Stage]:
    """Return the stages that are not complete; ViddaError for those begun with another config."""
    waiting = [stage for stage in stages if not stage.complete(out)]
    problems = []
    for stage in waiting:
        known = stage.known(out)
        # Refused by its command before it wrote anything, it takes the corrected config.
        begun = stage.out.is_dir() and any(not p.name.startswith(".") for p in stage.out.iterdir())
        if known is None or stage.derived or not stage.ready() or not begun:
            continue
        before, now = known.splitlines(), dump(stage.settled().config).splitlines()
        changed = [line.strip() for line in now if line not in before]
        if before != now:
            what = changed[0] if changed else "a key less"
            problems.append(
                f"{stage.name} was begun with another config (now {what}); choose another out=DIR,"
                f" or delete {stage.out} and {stage.file(out)}"
            )
    if problems:
        raise ViddaError("\n".join(problems))
    return waiting


def dry_runs(waiting: Sequence[Stage], out: Path) -> None:
    """Dry-run the first stage of each command whose inputs are there; every mistake at once."""
    problems = []
    tried: set[str] = set()
    for stage in waiting:
        if stage.command in tried or not stage.ready() or stage.known(out) or stage.derived:
            continue
        tried.add(stage.command)
        with tempfile.TemporaryDirectory() as folder:
            file, log = Path(folder) / "config.yaml", Path(folder) / "log.txt"
            file.write_text(dump(stage.settled().config), encoding="utf-8")
            measured = run_vidda(
                [stage.command, str(file), "--dry-run", "--resume"], log, lambda: None
            )
            if measured.status:
                problems.append(f"{stage.name}: {_why(log, measured.status)}")
            else:
                print(f"dry run of {stage.name}: {last_line(log)}")
    if problems:
        raise ViddaError("\n".join(problems))


def session(
    stage: Stage,
    out: Path,
    watching: Callable[[], None] = lambda: None,
    threads: int | None = None,
) -> Ended:
    """Work on one stage until its process ends; the only place where a stage is run.

    watching, threads: see `run_vidda`. Raises ViddaError where an input is not there.
    """
    missing = [str(path) for path in stage.inputs if not path.exists()]
    if missing:
        raise ViddaError(
            f"{stage.name}: {', '.join(missing)} is not there; give it back, or delete the output"
            " of the stage that makes it: --resume makes it again"
        )
    log, file = stage.log(out), stage.file(out)
    write_text(file, dump(stage.settled().config))
    before = log.stat().st_size if log.exists() else 0
    measured = run_vidda([stage.command, str(file), "--resume"], log, watching, threads)
    # vidda prepare ends with 1 where it was allowed to go on without some clips.
    allowed = (0, 1) if stage.command == "prepare" else (0,)
    whole = measured.status in allowed and stage.complete(out)
    return Ended(measured, "" if whole else _why(log, measured.status, before))


def _why(log: Path, status: int, start: int = 0) -> str:
    """Return the errors that a command has printed, on one line."""
    said = log.read_bytes()[start:].decode(errors="replace").splitlines()
    errors = [line.removeprefix("error: ").strip() for line in said if line.startswith("error: ")]
    ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    what = "; ".join(errors) or last_line(log, start) or "no output"
    return f"{what} ({ended})"
