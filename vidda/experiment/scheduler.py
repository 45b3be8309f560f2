"""Run the stages of a job in order, several at once where none needs the output of another."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from vidda.config import dump
from vidda.data.manifest import DATASET, read_description
from vidda.errors import ViddaError
from vidda.experiment.executor import Executor
from vidda.experiment.job_progress import RunningKind, StageKind, progress_text, show_progress
from vidda.experiment.process import POLL_S, last_line
from vidda.experiment.stage import Stage, steps_per_epoch
from vidda.experiment.stage_graph import StageGraph
from vidda.experiment.stage_records import StageRecords, format_duration
from vidda.experiment.stage_session import StageEnd
from vidda.recognize.train_config import TrainConfig


@dataclass(frozen=True, slots=True)
class _RunningStage:
    """A running stage. started: by `time.monotonic`. before: bytes of its log at that time."""

    stage: Stage
    started: float
    before: int


_Running = dict[Future[StageEnd], _RunningStage]


class Scheduler:
    """Runs stages of a job by an executor, and shows the progress of the whole job.

    Stages are numbered over all calls, for a sweep that plans some of them later. records: updated
    after each stage. Stages that run when an error is raised are ended with the executor.
    """

    def __init__(self, executor: Executor, records: StageRecords) -> None:
        self.records = records
        self._executor = executor
        self._out = executor.out
        self._numbers: dict[str, int] = {}
        self._total = 0
        self._last_end = 0.0

    def run_all(self, stages: Sequence[Stage]) -> None:
        """Run every stage that is not complete; ViddaError at the first that fails."""
        for stage, ended in self.run(stages):
            if ended.reason:
                raise ViddaError(self.failure(stage, ended))
            require_splits(stage, stages)

    def run(
        self, stages: Sequence[Stage], later: Sequence[StageKind] = ()
    ) -> Iterator[tuple[Stage, StageEnd]]:
        """Run every stage that is not complete, and yield each as it ends, complete ones too.

        A stage that needs a failed one has failed. later: stages of later calls, for the progress.
        """
        for stage in stages:
            self._numbers.setdefault(stage.name, len(self._numbers) + 1)
        self._total = len(self._numbers) + len(later)
        graph, running = StageGraph(stages), _Running()
        self._last_end = time.monotonic()
        while True:
            while len(running) < self._executor.at_once and (taken := graph.take()) is not None:
                not_started = self._start(taken, graph, running)
                if not_started is not None:
                    graph.end(taken, failed=bool(not_started.reason))
                    yield taken, not_started
            if not running:
                return
            self._show_until_one_ends(running, graph.waiting, later)
            for future in [one for one in running if one.done()]:
                stage, ended = running.pop(future).stage, future.result()
                self._record_end(stage, ended)
                graph.end(stage, failed=bool(ended.reason))
                yield stage, ended

    def failure(self, stage: Stage, ended: StageEnd) -> str:
        """Describe the end of a stage that failed."""
        text = f"{self._head(stage)} failed: {ended.reason}"
        if ended.measured is None:
            return text
        return f"{text}; see {stage.log_file(self._out)}; --resume continues from here"

    def _head(self, stage: Stage) -> str:
        return f"[{self._numbers[stage.name]}/{self._total}] {stage.title}"

    def _start(self, stage: Stage, graph: StageGraph, running: _Running) -> StageEnd | None:
        """Start a stage; return its end instead if it is complete or cannot be started."""
        if stage.complete(self._out):
            return StageEnd(None, "")
        if (need := graph.failed_need(stage)) is not None:
            return StageEnd(None, f"{need.done} does not exist: {need.title} failed")
        _remove_stale(stage, graph.waiting, self._out, self.records)
        log = stage.log_file(self._out)
        before = log.stat().st_size if log.exists() else 0
        work = _RunningStage(stage, time.monotonic(), before)
        running[self._executor.start(stage)] = work
        return None

    def _show_until_one_ends(
        self, running: _Running, waiting: Sequence[Stage], later: Sequence[StageKind]
    ) -> None:
        """Show the progress of the job until a stage has ended."""
        works = list(running.values())
        pending = [(one.kind, one.command) for one in waiting if not one.complete(self._out)]
        records = list(self.records.by_name.values())

        def text() -> str:
            now = time.monotonic()
            kinds: list[RunningKind] = [
                ((work.stage.kind, work.stage.command), now - work.started) for work in works
            ]
            so_far = self.records.seconds + now - self._last_end
            at_once = self._executor.at_once
            heads = ", ".join(self._head(work.stage) for work in works)
            return f"{heads}: {progress_text(kinds, [*pending, *later], records, so_far, at_once)}"

        def line() -> str:
            return " | ".join(last_line(w.stage.log_file(self._out), w.before) for w in works)

        with show_progress(text, line) as update:
            while not wait(running, POLL_S, FIRST_COMPLETED).done:
                update()

    def _record_end(self, stage: Stage, ended: StageEnd) -> None:
        """Record an ended stage, and print that it is done unless it failed."""
        if ended.measured is None:
            return
        now = time.monotonic()
        self.records.add(stage, ended.measured, now - self._last_end)
        self._last_end = now
        if not ended.reason:
            took = format_duration(ended.measured.seconds)
            memory = f"{ended.measured.peak_mib:,.0f} MiB"
            done = f"{self._head(stage)}: done in {took}, {memory}{_steps(stage)}"
            print(done, file=sys.stderr, flush=True)


def require_splits(stage: Stage, stages: Sequence[Stage]) -> None:
    """Raise ViddaError if a stage needs a split that vidda prepare had to leave out.

    stage: that has ended; nothing is checked unless it is vidda prepare's.
    """
    if stage.command != "prepare":
        return
    left_out = read_description(stage.out / DATASET).get("left_out", {})
    splits = stage.out / "splits"
    needed = {path for one in stages for path in one.inputs if path.is_relative_to(splits)}
    lacking = {path.parent.relative_to(splits).as_posix() for path in needed if not path.exists()}
    if lacking:
        reasons = [f"{name}: {left_out.get(name, 'not written')}" for name in sorted(lacking)]
        raise ViddaError(
            "\n".join(f"prepare left out {one}; --resume continues without it" for one in reasons)
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


def _steps(stage: Stage) -> str:
    """Describe the length of a training; "" for other stages."""
    config = stage.with_epochs().config
    if not isinstance(config, TrainConfig):
        return ""
    return f", {config.epochs * steps_per_epoch(config)} steps in {config.epochs} epochs"
