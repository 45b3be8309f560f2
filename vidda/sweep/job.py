"""`vidda sweep CONFIG`: methods x seeds x tasks, and a search over keys of each.

OUT/trials.{json,csv}       every trial, waiting, finished or failed; written after each
OUT/trials/NAME             the run of vidda adapt or vidda train
OUT/sweep.md                methods x tasks with intervals, for a README
OUT/results, report         the same as vidda evaluate writes it, and a page by vidda report
OUT/stages, stages.json     config, output, time and memory of everything, as with vidda run
OUT/config.yaml             the sweep's own

Trials and the data are stages as of `vidda run`, done by the same code: a command in a process of
its own, skipped when it is complete, gone on with when it was killed. A trial that fails stops no
other; --resume tries it again. Epochs and combinations are chosen without target labels; the
accuracy on the target stands in the tables, and nothing reads it there.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vidda.config import dump
from vidda.console import console
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.evaluate import console_tables
from vidda.experiment.experiment_config import Keys, load
from vidda.experiment.job_progress import estimate
from vidda.experiment.side_by_side import do_all
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecords, clock
from vidda.experiment.stage_session import Ended, check_out, dry_runs, pending
from vidda.files import lock, write_text
from vidda.report.job import STAMP
from vidda.report.report_config import ReportConfig
from vidda.sweep.run_trials import by_ray, one_by_one, require_ray
from vidda.sweep.search import Known, more, require_optuna
from vidda.sweep.sweep_config import GridSearch, OptunaSearch, RayExecutor, SweepConfig
from vidda.sweep.sweep_plan import SweepCell, SweepPlan, Trial, make
from vidda.sweep.sweep_results import collect, write, write_markdown, written
from vidda.sweep.trial_results import finished, points, value
from vidda.sweep.trial_table import FILE, TrialRow, TrialTable


def run(config: SweepConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, run every trial that is not finished; 0 when all are, 1 when some failed.

    Raises ViddaError where the data cannot be made.
    """
    if isinstance(config.search, OptunaSearch):
        require_optuna()
    if isinstance(config.parallel, RayExecutor):
        require_ray()
    plan = make(config)
    report = _report(config)
    check_out(config.out, "vidda sweep", resume or dry_run)
    first = [trial.stage for cell in plan.cells() for trial in _first(plan, cell)]
    waiting = pending([*plan.stages, *first], config.out)
    _tell(plan, waiting)
    if dry_run:
        dry_runs(waiting, config.out)
        return 0
    config.out.mkdir(parents=True, exist_ok=True)
    with lock(config.out):
        write_text(config.out / "config.yaml", dump(config))
        records = StageRecords(config.out)
        do_all(plan.stages, config.out, records)
        sweep = _Sweep(plan, TrialTable(config.out), records)
        sweep.run()
        return _finish(sweep, report)


def _first(plan: SweepPlan, cell: SweepCell) -> list[Trial]:
    """Return the trials that are known before any has ended."""
    search, keys = plan.config.search, plan.config.searched(cell.method)
    known = more(search, keys, []) if isinstance(search, GridSearch) or not keys else []
    return [trial for point in known for trial in plan.trials(cell, point)]


def _tell(plan: SweepPlan, waiting: Sequence[Stage]) -> None:
    """Print the plan."""
    config, cells = plan.config, plan.cells()
    names = {stage.name for stage in waiting}
    print(
        f"{len(config.methods)} methods, {len(config.seeds)} seeds, tasks"
        f" {', '.join(config.tasks)}: {len(cells)} methods and tasks"
    )
    for cell in cells:
        trials = _first(plan, cell)
        done = sum(trial.name not in names for trial in trials)
        count = f"{len(trials)} trials{f', {done} complete' if done else ''}"
        if not trials:
            assert isinstance(config.search, OptunaSearch)
            count = f"{config.search.points} combinations by Optuna, {len(config.seeds)} seeds each"
        print(f"  {cell.method}, {cell.task}: {count}")
    for line in plan.left_out:
        print(f"left out: {line}")


class _Sweep:
    """The trials of a sweep, as far as they are known, and their rows."""

    def __init__(self, plan: SweepPlan, table: TrialTable, records: StageRecords) -> None:
        self.plan = plan
        self.out = plan.config.out
        self.table = table
        self.records = records
        self.trials: dict[str, Trial] = {}
        self._cells: dict[str, SweepCell] = {}
        self._begun: list[SweepCell] = []
        self._tried: set[str] = set()

    def run(self) -> None:
        """Every trial that is not finished; those that begin with others after these."""
        for wave in self.plan.waves:
            for cell in wave:
                self._add(cell, self._known(cell))
                self._begun.append(cell)
            while True:
                self._work(wave)
                new = [(cell, self._more(cell)) for cell in wave]
                if not any(proposed for _, proposed in new):
                    break
                for cell, proposed in new:
                    self._add(cell, proposed)
        self.table.keep(self.trials)

    def _rows(self, cell: SweepCell) -> list[TrialRow]:
        """Of this cell, in the order in which they were proposed."""
        own = (cell.method, cell.task)
        return [row for row in self.table.rows.values() if (row.method, row.task) == own]

    def _known(self, cell: SweepCell) -> list[Keys]:
        """What an earlier session was told by Optuna; a grid is known without."""
        keys = self.plan.config.searched(cell.method)
        if isinstance(self.plan.config.search, GridSearch) or not keys:
            return []
        return [point for point, _ in points(self._rows(cell)) if point.keys() == keys.keys()]

    def _more(self, cell: SweepCell) -> list[Keys]:
        config = self.plan.config
        rows = [row for row in self._rows(cell) if row.name in self.trials]
        known = [Known(keys, value(own, config.select_point)) for keys, own in points(rows)]
        return more(config.search, config.searched(cell.method), known)

    def _add(self, cell: SweepCell, proposed: Sequence[Keys]) -> None:
        """Take combinations into the table, before any of their trials starts."""
        new = [trial for point in proposed for trial in self.plan.trials(cell, point)]
        self.trials |= {trial.name: trial for trial in new}
        self._cells |= dict.fromkeys((trial.name for trial in new), cell)
        self.table.propose(
            TrialRow(t.name, t.method, t.task, t.seed, t.keys, t.stage.out) for t in new
        )

    def _work(self, wave: Sequence[SweepCell]) -> None:
        """Run what is not finished, once in a session."""
        waiting = []
        for name, trial in self.trials.items():
            if self._cells[name] not in wave or name in self._tried:
                continue
            if not trial.stage.complete(self.out):
                self._tried.add(name)
                waiting.append(trial.stage)
            elif self.table.rows[name].status != "finished":
                self._read(name)
        for stage, ended in self._ends(waiting):
            self.records.add(stage.name, stage.kind, stage.command, ended.measured)
            if ended.why:
                self.table.fail(stage.name, ended.why, self._seconds(stage.name))
                print(f"{stage.name} failed: {ended.why}", file=sys.stderr, flush=True)
            else:
                self._read(stage.name)

    def _ends(self, waiting: Sequence[Stage]) -> Iterator[tuple[Stage, Ended]]:
        parallel = self.plan.config.parallel
        later = self._later()
        total = len(self.trials) + len(later)
        still = [stage for stage in later if not stage.complete(self.out)]
        side_by_side = parallel.workers if isinstance(parallel, RayExecutor) else 1

        def say(ended: int) -> str:
            left = [*waiting[ended:], *still]
            seconds, whole = estimate(left, list(self.records.by_name.values()))
            said = f"{total - len(left)} of {total} trials done"
            if not seconds:
                return said
            how = "about" if whole else "more than"
            return f"{said}, {how} {clock(seconds / side_by_side)} to go"

        if not waiting:
            return iter(())
        if isinstance(parallel, RayExecutor):
            return by_ray(parallel, waiting, self.out, say)
        return one_by_one(waiting, self.out, say)

    def _later(self) -> list[Stage]:
        """What is known already of waves that have not begun."""
        cells = [cell for wave in self.plan.waves for cell in wave if cell not in self._begun]
        return [trial.stage for cell in cells for trial in _first(self.plan, cell)]

    def _read(self, name: str) -> None:
        """Read what a complete trial has reached into its row."""
        cell = self._cells[name]
        stream = self.plan.config.methods[cell.method].stream
        seconds = self._seconds(name)
        try:
            test = load_manifest(cell.test)
            row = finished(self.table.rows[name], test, str(cell.test), stream=stream)
        except ViddaError as error:
            self.table.fail(name, "; ".join(str(error).splitlines()), seconds)
            return
        self.table.put(replace(row, seconds=seconds))

    def _seconds(self, name: str) -> float:
        record = self.records.by_name.get(name)
        return record.seconds if record else 0.0


def _report(config: SweepConfig) -> Stage:
    """Return the page of the results; raises ConfigError."""
    results, out = config.out / "results", config.out / "report"
    keys = {"runs": [str(results)], "out": str(out)}
    settings = load(ReportConfig, None, config.report, keys)
    done, needed = out / STAMP, (results / "DONE",)
    return Stage("report", "report", "report", settings, out, done, needed, derived=True)


def _finish(sweep: _Sweep, report: Stage) -> int:
    """Write and print what came out; the exit status."""
    config, out = sweep.plan.config, sweep.out
    rows = list(sweep.table.rows.values())
    collected = collect(config, rows)
    if collected is not None:
        results, transfer = collected
        write_markdown(results, rows, out / "sweep.md")
        if not written(results, transfer, out / "results"):
            shutil.rmtree(report.out, ignore_errors=True)
            write(results, transfer, out / "results")
        do_all([report], out, sweep.records)
        console_tables.print_grids(console(sys.stdout), results.grids(), results.legend())
        print(f"written: {out / 'sweep.md'}; page: {report.out / 'index.html'}")
    failed = sweep.table.failed()
    _tell_failed(failed, len(rows), out)
    return 1 if failed else 0


def _tell_failed(failed: Sequence[TrialRow], trials: int, out: Path) -> None:
    for row in failed:
        print(f"failed: {row.name}: {row.reason}")
    if failed:
        print(f"{len(failed)} of {trials} trials failed, see {out / FILE}; --resume tries again")
    else:
        print(f"{trials} trials finished: {out / 'trials.csv'}")
