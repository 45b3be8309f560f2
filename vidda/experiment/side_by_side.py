"""Run all stages of a job in order, several at once where none needs the output of another."""

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
from vidda.experiment.job_progress import progress_text, show_progress
from vidda.experiment.process import POLL_S, last_line
from vidda.experiment.stage import Stage, steps_per_epoch
from vidda.experiment.stage_records import StageRecords, format_duration
from vidda.experiment.stage_session import StageEnd, run_stage
from vidda.recognize.train_config import TrainConfig


@dataclass(frozen=True, slots=True)
class _RunningStage:
    """A running stage. head: its number and name. before: bytes of its log when it started."""

    stage: Stage
    head: str
    before: int


class _StoppedError(Exception):
    """Raised in the threads of other stages when one has failed, or at Ctrl-C, to end them."""


def run_stages(stages: Sequence[Stage], out: Path, records: StageRecords, at_once: int = 1) -> None:
    """Run every stage that is not complete; ViddaError at the first that fails.

    out: folder of the job. records: updated after each stage. at_once: number of stages that run
    side by side, each with its share of the processor's cores.
    """
    heads = {s.name: f"[{n}/{len(stages)}] {s.name}" for n, s in enumerate(stages, 1)}
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    threads = None if at_once == 1 else max(1, cores // at_once)
    stop, last_end = threading.Event(), time.monotonic()

    def poll() -> None:
        if stop.is_set():
            raise _StoppedError

    waiting, running = list(stages), dict[Future[StageEnd], _RunningStage]()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while True:
                while len(running) < at_once:
                    stage = _next(waiting, [work.stage for work in running.values()])
                    if stage is None:
                        break
                    waiting.remove(stage)
                    if stage.complete(out):
                        _check_splits(stage, stages)
                        continue
                    _remove_stale(stage, waiting, out, records)
                    work = _RunningStage(stage, heads[stage.name], _size(stage.log_file(out)))
                    # The thread lives as long as the stage: Linux ends one with the other.
                    running[pool.submit(run_stage, stage, out, poll, threads)] = work
                if not running:
                    return
                _show_until_one_ends(running, waiting, out, records, last_end, at_once)
                for future in [one for one in running if one.done()]:
                    work = running.pop(future)
                    now = time.monotonic()
                    _record_end(work, future.result(), stages, out, records, now - last_end)
                    last_end = now
        except BaseException:
            stop.set()
            raise


def _next(waiting: Sequence[Stage], running: Sequence[Stage]) -> Stage | None:
    """Return the first waiting stage that needs no output of stages before it; None without one."""
    for index, stage in enumerate(waiting):
        earlier = [*running, *waiting[:index]]
        if not any(path.is_relative_to(one.out) for one in earlier for path in stage.inputs):
            return stage
    return None


def _show_until_one_ends(
    running: dict[Future[StageEnd], _RunningStage],
    waiting: Sequence[Stage],
    out: Path,
    records: StageRecords,
    last_end: float,
    at_once: int,
) -> None:
    """Show the progress of the job until a stage has ended."""
    left = [
        *(work.stage for work in running.values()),
        *(stage for stage in waiting if not stage.complete(out)),
    ]

    def where() -> str:
        heads = ", ".join(work.head for work in running.values())
        finished = list(records.by_name.values())
        spent = time.monotonic() - last_end
        return f"{heads}: {progress_text(left, finished, records.seconds, spent, at_once)}"

    def line() -> str:
        return " | ".join(last_line(w.stage.log_file(out), w.before) for w in running.values())

    with show_progress(where, line) as update:
        while not wait(running, POLL_S, FIRST_COMPLETED).done:
            update()


def _record_end(
    work: _RunningStage,
    ended: StageEnd,
    stages: Sequence[Stage],
    out: Path,
    records: StageRecords,
    since: float,
) -> None:
    """Record an ended stage; ViddaError with its errors if it failed."""
    stage, measured = work.stage, ended.measured
    records.add(stage.name, stage.kind, stage.command, measured, since)
    if ended.reason:
        raise ViddaError(
            f"{work.head} failed: {ended.reason}; see {stage.log_file(out)};"
            " --resume continues from here"
        )
    took = f"{format_duration(measured.seconds)}, {measured.peak_mib:,.0f} MiB"
    print(f"{work.head}: done in {took}{_steps(stage)}", file=sys.stderr, flush=True)
    _check_splits(stage, stages)


def _check_splits(stage: Stage, stages: Sequence[Stage]) -> None:
    """Raise ViddaError if a stage needs a split that vidda prepare had to leave out."""
    if stage.command != "prepare":
        return
    left_out = read_description(stage.out / DATASET).get("left_out", {})
    splits = stage.out / "splits"
    needed = {path for one in stages for path in one.inputs if path.is_relative_to(splits)}
    lacking = {path.parent.relative_to(splits).as_posix() for path in needed if not path.exists()}
    if lacking:
        reasons = [f"{name}: {left_out.get(name, 'not written')}" for name in sorted(lacking)]
        raise ViddaError(
            "\n".join(f"prepare left out {one}; leave out its task or arm too" for one in reasons)
        )


def _remove_stale(stage: Stage, later: Sequence[Stage], out: Path, records: StageRecords) -> None:
    """Delete the outdated output of a derived stage, and of later stages that read it.

    Otherwise a report of the old table would count as complete.
    """
    if (
        stage.derived
        and stage.ready()
        and stage.last_config(out) != dump(stage.with_epochs().config)
    ):
        for stale in [stage, *(one for one in later if stage.done in one.inputs)]:
            shutil.rmtree(stale.out, ignore_errors=True)
            records.forget(stale.name)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _steps(stage: Stage) -> str:
    """Describe the length of a training; "" for other stages."""
    config = stage.with_epochs().config
    if not isinstance(config, TrainConfig):
        return ""
    return f", {config.epochs * steps_per_epoch(config)} steps in {config.epochs} epochs"
