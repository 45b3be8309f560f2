"""Do all stages of a job in order, several at once where none needs what another makes."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from vidda.config import dump
from vidda.data.manifest import DATASET, read_description
from vidda.errors import ViddaError
from vidda.experiment.job_progress import showing, told
from vidda.experiment.process import POLL_S, last_line
from vidda.experiment.stage import Stage, steps_per_epoch
from vidda.experiment.stage_records import StageRecords, clock
from vidda.experiment.stage_session import Ended, session
from vidda.recognize.train_config import TrainConfig


@dataclass(frozen=True, slots=True)
class _Work:
    """A stage at work. head: its number and name. before: bytes of its log when it started."""

    stage: Stage
    head: str
    before: int


class _StoppedError(Exception):
    """Ends the other stages when one has failed, or at Ctrl-C."""


def do_all(stages: Sequence[Stage], out: Path, records: StageRecords, at_once: int = 1) -> None:
    """Do every stage that is not complete; ViddaError at the first that fails.

    at_once: stages that run side by side, each with its share of the processor's cores.
    """
    heads = {s.name: f"[{n}/{len(stages)}] {s.name}" for n, s in enumerate(stages, 1)}
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    threads = None if at_once == 1 else max(1, cores // at_once)
    stop, mark = threading.Event(), time.monotonic()

    def watching() -> None:
        if stop.is_set():
            raise _StoppedError

    waiting, at_work = list(stages), dict[Future[Ended], _Work]()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while True:
                while len(at_work) < at_once:
                    stage = _next(waiting, [work.stage for work in at_work.values()])
                    if stage is None:
                        break
                    waiting.remove(stage)
                    if stage.complete(out):
                        _check_splits(stage, stages)
                        continue
                    _drop_what_is_stale(stage, waiting, out, records)
                    work = _Work(stage, heads[stage.name], _size(stage.log(out)))
                    # The thread lives as long as the stage: Linux ends one with the other.
                    at_work[pool.submit(session, stage, out, watching, threads)] = work
                if not at_work:
                    return
                _watch(at_work, waiting, out, records, mark, at_once)
                for future in [one for one in at_work if one.done()]:
                    work = at_work.pop(future)
                    now = time.monotonic()
                    _ended(work, future.result(), stages, out, records, now - mark)
                    mark = now
        except BaseException:
            stop.set()
            raise


def _next(waiting: Sequence[Stage], at_work: Sequence[Stage]) -> Stage | None:
    """Return the first waiting stage that needs nothing of what earlier ones are still to make."""
    for place, stage in enumerate(waiting):
        earlier = [*at_work, *waiting[:place]]
        if not any(path.is_relative_to(one.out) for one in earlier for path in stage.inputs):
            return stage
    return None


def _watch(
    at_work: dict[Future[Ended], _Work],
    waiting: Sequence[Stage],
    out: Path,
    records: StageRecords,
    mark: float,
    at_once: int,
) -> None:
    """Show where the job stands until a stage has ended."""
    left = [
        *(work.stage for work in at_work.values()),
        *(stage for stage in waiting if not stage.complete(out)),
    ]

    def where() -> str:
        heads = ", ".join(work.head for work in at_work.values())
        finished = list(records.by_name.values())
        spent = time.monotonic() - mark
        return f"{heads}: {told(left, finished, records.seconds, spent, at_once)}"

    def line() -> str:
        return " | ".join(last_line(w.stage.log(out), w.before) for w in at_work.values())

    with showing(where, line) as passing:
        while not wait(at_work, POLL_S, FIRST_COMPLETED).done:
            passing()


def _ended(
    work: _Work,
    ended: Ended,
    stages: Sequence[Stage],
    out: Path,
    records: StageRecords,
    since: float,
) -> None:
    """Record a stage; ViddaError with what it said when it did not come to its end."""
    stage, measured = work.stage, ended.measured
    records.add(stage.name, stage.kind, stage.command, measured, since)
    if ended.why:
        raise ViddaError(
            f"{work.head} did not come to its end: {ended.why}; see {stage.log(out)};"
            " --resume goes on from here"
        )
    took = f"{clock(measured.seconds)}, {measured.peak_mib:,.0f} MiB"
    print(f"{work.head}: done in {took}{_steps(stage)}", file=sys.stderr, flush=True)
    _check_splits(stage, stages)


def _check_splits(stage: Stage, stages: Sequence[Stage]) -> None:
    """ViddaError when a stage needs an experiment that vidda prepare had to leave out."""
    if stage.command != "prepare":
        return
    left_out = read_description(stage.out / DATASET).get("left_out", {})
    splits = stage.out / "splits"
    needed = {path for one in stages for path in one.inputs if path.is_relative_to(splits)}
    lacking = {path.parent.relative_to(splits).as_posix() for path in needed if not path.exists()}
    if lacking:
        said = [f"{name}: {left_out.get(name, 'not written')}" for name in sorted(lacking)]
        raise ViddaError(
            "\n".join(f"prepare left out {one}; leave its task or arm out too" for one in said)
        )


def _drop_what_is_stale(
    stage: Stage, later: Sequence[Stage], out: Path, records: StageRecords
) -> None:
    """With what follows from it: a report of the old table would look complete."""
    if stage.derived and stage.ready() and stage.known(out) != dump(stage.settled().config):
        for stale in [stage, *(one for one in later if stage.done in one.inputs)]:
            shutil.rmtree(stale.out, ignore_errors=True)
            records.forget(stale.name)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _steps(stage: Stage) -> str:
    """Return how long a training was."""
    config = stage.settled().config
    if not isinstance(config, TrainConfig):
        return ""
    return f", {config.epochs * steps_per_epoch(config)} steps in {config.epochs} epochs"
