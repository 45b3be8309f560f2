"""`vidda run CONFIG`: from videos to a transfer report.

    prepare -> personalize -> translate, randomise -> train -> evaluate -> report

OUT/stages/NAME.yaml, .log  the config of every stage, which its command takes too, and its output
OUT/stages.json             time and memory of every stage
OUT/config.yaml             the job's own
OUT/data, prepared, personalized, translated, randomised, trained, evaluated, report

Every stage is a command in a process of its own. One that is complete is skipped, one that was
killed goes on. More arms, recognizers or seeds may be added to a finished job: what they need is
made, and the tables and reports are written anew.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vidda.config import dump
from vidda.data.listing import walk
from vidda.data.manifest import DATASET, read_description
from vidda.errors import ViddaError
from vidda.experiment.config import ExperimentConfig
from vidda.experiment.plan import Plan, make
from vidda.experiment.process import last_line, run_vidda
from vidda.experiment.records import Records, clock
from vidda.experiment.stage import Stage, steps_per_epoch
from vidda.experiment.view import showing, told
from vidda.files import lock, write_text
from vidda.recognize.train_config import TrainConfig
from vidda.screen import console


def run(config: ExperimentConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, do every stage that is not complete, print the results; 0 when finished."""
    plan = make(config)
    _check_out(config.out, resume or dry_run)
    pending = _pending(plan, config.out)
    _tell(config, plan, pending)
    if dry_run:
        _tell_hours(config, plan)
        _dry_runs(pending, config.out)
        return 0
    config.out.mkdir(parents=True, exist_ok=True)
    with lock(config.out):
        write_text(config.out / "config.yaml", dump(config))
        _dry_runs(pending[1:], config.out)
        records = Records(config.out)
        _work(plan, config.out, records)
    _finish(plan, records)
    return 0


def _check_out(out: Path, resume: bool) -> None:
    """Refuse a folder that holds something else, or a job that is not to be gone on with."""
    if not out.exists() or not any(not path.name.startswith(".") for path in out.iterdir()):
        return
    if not (out / "stages").is_dir() and not (out / "config.yaml").is_file():
        raise ViddaError(f"{out}: not empty and not made by vidda run; choose another out=DIR")
    if not resume:
        raise ViddaError(f"{out}: holds a job already; --resume goes on with it")


def _pending(plan: Plan, out: Path) -> list[Stage]:
    """The stages that are not complete; ViddaError for those begun with another config."""
    pending = [stage for stage in plan.stages if not stage.complete(out)]
    problems = []
    for stage in pending:
        known = stage.known(out)
        if known is None or stage.derived or not stage.ready():
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
    return pending


def _tell(config: ExperimentConfig, plan: Plan, pending: list[Stage]) -> None:
    """Print the plan."""
    names = {stage.name for stage in pending}
    kinds = dict.fromkeys(stage.kind for stage in plan.stages)
    print(
        f"{len(config.arms)} arms, {len(config.recognizers)} recognizers, {len(config.seeds)}"
        f" seeds, tasks {', '.join(config.tasks)}: {len(plan.stages)} stages,"
        f" {len(plan.stages) - len(names)} complete"
    )
    for kind in kinds:
        stages = [stage for stage in plan.stages if stage.kind == kind]
        done = sum(stage.name not in names for stage in stages)
        print(f"  {kind}: {len(stages)}{f', {done} complete' if done else ''}")
    for line in plan.left_out:
        print(f"left out: {line}")


def _tell_hours(config: ExperimentConfig, plan: Plan) -> None:
    """Print how many GPU hours the job takes, where that is asked for and the data is there."""
    if config.gpu_tflops is None:
        return
    from vidda.experiment import hours

    root = plan.prepare.root
    if not root.is_dir():
        print(f"GPU hours: not known before {root} is there")
        return
    listing = plan.prepare.dataset.read(root.absolute(), walk(root))
    lines, total = hours.told(plan.stages, listing, config.out / "prepared", config.gpu_tflops)
    for line in lines:
        print(line)
    print(
        f"about {total:.3g} GPU hours in all at {config.gpu_tflops:g} TFLOP/s, decoding not counted"
    )


def _dry_runs(pending: list[Stage], out: Path) -> None:
    """Dry-run the first stage of each command whose inputs are there; every mistake at once."""
    problems = []
    tried: set[str] = set()
    for stage in pending:
        if stage.command in tried or not stage.ready() or stage.known(out) or stage.derived:
            continue
        tried.add(stage.command)
        with tempfile.TemporaryDirectory() as folder:
            file, log = Path(folder) / "config.yaml", Path(folder) / "log.txt"
            file.write_text(dump(stage.settled().config), encoding="utf-8")
            measured = run_vidda([stage.command, str(file), "--dry-run"], log, lambda: None)
            if measured.status:
                problems.append(f"{stage.name}: {_why(log, measured.status)}")
            else:
                print(f"dry run of {stage.name}: {last_line(log)}")
    if problems:
        raise ViddaError("\n".join(problems))


def _work(plan: Plan, out: Path, records: Records) -> None:
    """Do every stage that is not complete, in order."""
    total = len(plan.stages)
    for number, stage in enumerate(plan.stages, 1):
        if not stage.complete(out):
            _do(stage, f"[{number}/{total}] {stage.name}", plan.stages[number:], out, records)
        if stage.command == "prepare":
            _check_splits(plan, stage.out)


def _check_splits(plan: Plan, prepared: Path) -> None:
    """ViddaError when a later stage needs an experiment that vidda prepare had to leave out."""
    left_out = read_description(prepared / DATASET).get("left_out", {})
    splits = prepared / "splits"
    needed = {path for stage in plan.stages for path in stage.inputs if path.is_relative_to(splits)}
    lacking = {path.parent.relative_to(splits).as_posix() for path in needed if not path.exists()}
    if lacking:
        said = [f"{name}: {left_out.get(name, 'not written')}" for name in sorted(lacking)]
        raise ViddaError(
            "\n".join(f"prepare left out {one}; leave its task or arm out too" for one in said)
        )


def _do(stage: Stage, head: str, later: Sequence[Stage], out: Path, records: Records) -> None:
    """Run one stage; ViddaError with what it said when it does not come to its end."""
    missing = [str(path) for path in stage.inputs if not path.exists()]
    if missing:
        raise ViddaError(
            f"{stage.name}: {', '.join(missing)} is not there; give it back, or delete the output"
            " of the stage that makes it: --resume makes it again"
        )
    settled = stage.settled()
    text = dump(settled.config)
    if stage.derived and stage.known(out) != text:
        # With what follows from it: a report of the old table would look complete.
        for stale in [stage, *(one for one in later if stage.done in one.inputs)]:
            shutil.rmtree(stale.out, ignore_errors=True)
            records.forget(stale.name)
    write_text(stage.file(out), text)
    pending = [stage, *(one for one in later if not one.complete(out))]
    log = stage.log(out)
    before, start = log.stat().st_size if log.exists() else 0, time.monotonic()

    def where() -> str:
        finished = list(records.by_name.values())
        return f"{head}: {told(pending, finished, time.monotonic() - start)}"

    with showing(where, lambda: last_line(log, before)) as passing:
        measured = run_vidda([stage.command, str(stage.file(out)), "--resume"], log, passing)
    records.add(stage.name, stage.kind, stage.command, measured)
    # vidda prepare ends with 1 where it was allowed to go on without some clips.
    allowed = (0, 1) if stage.command == "prepare" else (0,)
    if measured.status not in allowed or not stage.complete(out):
        raise ViddaError(
            f"{head} did not come to its end: {_why(log, measured.status, before)};"
            f" see {log}; --resume goes on from here"
        )
    steps = ""
    if isinstance(settled.config, TrainConfig):
        made = settled.config.epochs * steps_per_epoch(settled.config)
        steps = f", {made} steps in {settled.config.epochs} epochs"
    took = f"{clock(measured.seconds)}, {measured.peak_mib:,.0f} MiB"
    print(f"{head}: done in {took}{steps}", file=sys.stderr, flush=True)


def _why(log: Path, status: int, start: int = 0) -> str:
    """The errors that a command has printed, on one line."""
    said = log.read_bytes()[start:].decode(errors="replace").splitlines()
    errors = [line.removeprefix("error: ").strip() for line in said if line.startswith("error: ")]
    ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    what = "; ".join(errors) or last_line(log, start) or "no output"
    return f"{what} ({ended})"


def _finish(plan: Plan, records: Records) -> None:
    """Print what everything took, the transfer tables and where the reports are."""
    records.print(console(sys.stdout))
    for name, table in plan.tables.items():
        print(f"\n{name}\n")
        print(table.read_text(encoding="utf-8"))
    for line in plan.left_out:
        print(f"left out: {line}")
    for name, page in plan.reports.items():
        print(f"report of {name}: {page}")
