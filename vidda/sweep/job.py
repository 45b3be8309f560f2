"""`vidda sweep CONFIG`: methods x seeds x tasks, and a search over keys of each.

OUT/trials.{json,csv}       every trial, waiting, finished or failed; written after each trial
OUT/trials/NAME             run of vidda adapt or vidda train
OUT/sweep.md                methods x tasks with intervals, for a README
OUT/results, report         transfer table as of vidda evaluate, and a page by vidda report
OUT/stages, stages.json     config, printed output, time and memory of all stages, as of vidda run
OUT/config.yaml             config of the sweep

Trials and the data are stages as of `vidda run`, run by the same code: each is a command in its own
process, skipped if complete and resumed if killed. A trial that fails stops no other; --resume
tries it again. Epochs and combinations are chosen without target labels: the accuracy on the target
is written to the tables and used for no choice.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidda.config import dump
from vidda.console import console
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.evaluate import console_tables
from vidda.experiment.executor import open_executor, require_executor
from vidda.experiment.experiment_config import Keys, load
from vidda.experiment.job_progress import StageKind
from vidda.experiment.scheduler import Scheduler, require_splits
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecords
from vidda.experiment.stage_session import StageEnd, check_out, dry_run_stages, pending_stages
from vidda.files import lock, write_text
from vidda.report.job import STAMP
from vidda.report.report_config import ReportConfig
from vidda.sweep.search import TriedPoint, propose_points, require_optuna
from vidda.sweep.sweep_config import GridSearch, OptunaSearch, SweepConfig
from vidda.sweep.sweep_plan import SweepCell, SweepPlan, Trial, cell_kind, make_plan
from vidda.sweep.sweep_results import collect_results, is_written, write_markdown, write_results
from vidda.sweep.trial_results import finished_row, group_by_keys, point_score
from vidda.sweep.trial_table import TRIALS_FILE, TrialRow, TrialTable


def run(config: SweepConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, run every trial that is not finished and write the results.

    Returns 0, or 1 if some trials failed. dry_run: print the plan after the checks and write
    nothing. resume: continue a sweep in OUT. Raises ViddaError with a line for each mistake, or if
    the data cannot be made.
    """
    if isinstance(config.search, OptunaSearch):
        require_optuna()
    require_executor(config.executor)
    plan = make_plan(config)
    report = _report(config)
    check_out(config.out, "vidda sweep", resume or dry_run)
    first = [trial.stage for cell in plan.cells for trial in _initial_trials(plan, cell)]
    waiting = pending_stages([*plan.stages, *first], config.out)
    _print_plan(plan, waiting)
    if dry_run:
        dry_run_stages(waiting, config.out)
        return 0
    config.out.mkdir(parents=True, exist_ok=True)
    with lock(config.out):
        write_text(config.out / "config.yaml", dump(config))
        records, table = StageRecords(config.out), TrialTable(config.out)
        with open_executor(config.executor, config.out) as executor:
            sweep = _Sweep(plan, table, Scheduler(executor, records), report)
            sweep.run()
            return _finish(sweep)


def _initial_trials(plan: SweepPlan, cell: SweepCell) -> list[Trial]:
    """Return the trials that are known before any has ended: all of a grid, none of Optuna's."""
    search, keys = plan.config.search, plan.config.searched_keys(cell.method)
    known = propose_points(search, keys, []) if isinstance(search, GridSearch) or not keys else []
    return [trial for point in known for trial in plan.trials(cell, point)]


def _print_plan(plan: SweepPlan, waiting: Sequence[Stage]) -> None:
    """Print the number of trials of each method and task, and what is left out."""
    config, cells = plan.config, plan.cells
    names = {stage.name for stage in waiting}
    print(
        f"{len(config.methods)} methods, {len(config.seeds)} seeds, tasks"
        f" {', '.join(config.tasks)}: {len(cells)} methods and tasks"
    )
    for cell in cells:
        trials = _initial_trials(plan, cell)
        done = sum(trial.name not in names for trial in trials)
        count = f"{len(trials)} trials{f', {done} complete' if done else ''}"
        if not trials:
            assert isinstance(config.search, OptunaSearch)
            count = f"{config.search.points} combinations by Optuna, {len(config.seeds)} seeds each"
        print(f"  {cell.method}, {cell.task}: {count}")
    for line in plan.left_out:
        print(f"left out: {line}")


class _Sweep:
    """The trials of a sweep known so far, and their rows in the table.

    report: the stage that is run last. failed: a line for each stage of the data that failed.
    """

    def __init__(
        self, plan: SweepPlan, table: TrialTable, scheduler: Scheduler, report: Stage
    ) -> None:
        self.plan = plan
        self.out = plan.config.out
        self.table = table
        self.scheduler = scheduler
        self.report = report
        self.trials: dict[str, Trial] = {}
        self.failed: list[str] = []
        self._cells: dict[str, SweepCell] = {}
        self._blocked: list[SweepCell] = []

    def run(self) -> None:
        """Make the data and run every trial that is not finished.

        Optuna proposes combinations until it has enough, from those that have ended; none where
        trials could not be started. Raises ViddaError where the data failed and no trial finished.
        """
        proposed = [(cell, self._proposed_before(cell)) for cell in self.plan.cells]
        stages = list(self.plan.stages)
        new = [(cell, known or self._propose(cell)) for cell, known in proposed]
        while new:
            for cell, points in new:
                stages += [trial.stage for trial in self._add(cell, points)]
            self._run_stages(stages)
            open_cells = [cell for cell in self.plan.cells if cell not in self._blocked]
            new = [(cell, points) for cell in open_cells if (points := self._propose(cell))]
            stages = []
        self.table.keep_only(self.trials)
        if self.failed and not any(r.status == "finished" for r in self.table.rows.values()):
            raise ViddaError("\n".join(self.failed))

    def _rows(self, cell: SweepCell) -> list[TrialRow]:
        """Return the rows of a cell, in the order in which they were proposed."""
        own = (cell.method, cell.task)
        return [row for row in self.table.rows.values() if (row.method, row.task) == own]

    def _proposed_before(self, cell: SweepCell) -> list[Keys]:
        """Return the combinations that Optuna proposed in an earlier session; none of a grid."""
        keys = self.plan.config.searched_keys(cell.method)
        if isinstance(self.plan.config.search, GridSearch) or not keys:
            return []
        return [
            point for point, _ in group_by_keys(self._rows(cell)) if point.keys() == keys.keys()
        ]

    def _propose(self, cell: SweepCell) -> list[Keys]:
        config = self.plan.config
        rows = [row for row in self._rows(cell) if row.name in self.trials]
        known = [
            TriedPoint(keys, point_score(own, config.select_point))
            for keys, own in group_by_keys(rows)
        ]
        return propose_points(config.search, config.searched_keys(cell.method), known)

    def _add(self, cell: SweepCell, proposed: Sequence[Keys]) -> list[Trial]:
        """Add combinations to the table, before any of their trials starts; return the trials."""
        new = [trial for point in proposed for trial in self.plan.trials(cell, point)]
        self.trials |= {trial.name: trial for trial in new}
        self._cells |= dict.fromkeys((trial.name for trial in new), cell)
        self.table.propose(
            TrialRow(t.name, t.method, t.task, t.seed, t.keys, t.stage.out) for t in new
        )
        return new

    def _run_stages(self, stages: Sequence[Stage]) -> None:
        """Run stages and read the results of trials as each ends; a failed one stops no other."""
        for stage, ended in self.scheduler.run(stages, self._later()):
            if ended.reason:
                self._fail(stage, ended)
            elif stage.name not in self.trials:
                require_splits(stage, self.plan.stages)
            elif ended.measured or self.table.rows[stage.name].status != "finished":
                self._read(stage.name)

    def _fail(self, stage: Stage, ended: StageEnd) -> None:
        """Mark a trial as failed, or note that a stage of the data failed."""
        text = self.scheduler.failure(stage, ended)
        print(text, file=sys.stderr, flush=True)
        if stage.name not in self.trials:
            self.failed.append(text)
            return
        self.table.fail(stage.name, ended.reason, self._seconds(stage.name))
        if ended.measured is None:
            self._blocked.append(self._cells[stage.name])

    def _later(self) -> list[StageKind]:
        """Return the stages that are not planned yet: trials that Optuna will propose, the report.

        Fewer follow where Optuna has tried every combination.
        """
        search, config = self.plan.config.search, self.plan.config
        later: list[StageKind] = []
        for cell in self.plan.cells:
            if isinstance(search, OptunaSearch) and config.searched_keys(cell.method):
                trials = sum(self._cells[name] is cell for name in self.trials)
                kind = cell_kind(config, cell)
                later += [kind] * (search.points * len(config.seeds) - trials)
        return [*later, (self.report.kind, self.report.command)]

    def _read(self, name: str) -> None:
        """Read the results of a complete trial into its row, or mark it as failed."""
        cell = self._cells[name]
        stream = self.plan.config.methods[cell.method].stream
        seconds = self._seconds(name)
        try:
            test = load_manifest(cell.test)
            row = finished_row(self.table.rows[name], test, str(cell.test), stream=stream)
        except ViddaError as error:
            self.table.fail(name, "; ".join(str(error).splitlines()), seconds)
            return
        self.table.set_row(replace(row, seconds=seconds))

    def _seconds(self, name: str) -> float:
        record = self.scheduler.records.by_name.get(name)
        return record.seconds if record else 0.0


def _report(config: SweepConfig) -> Stage:
    """Return the stage that reports the results; raises ConfigError."""
    results, out = config.out / "results", config.out / "report"
    keys = {"runs": [str(results)], "out": str(out)}
    settings = load(ReportConfig, None, config.report, keys)
    done, inputs, name = out / STAMP, (results / "DONE",), "report"
    return Stage(name, name, name, settings, out, done, inputs, derived=True, title=name)


def _finish(sweep: _Sweep) -> int:
    """Write and print the results; return the exit status."""
    config, out, report = sweep.plan.config, sweep.out, sweep.report
    rows = list(sweep.table.rows.values())
    collected = collect_results(config, rows)
    if collected is not None:
        results, transfer = collected
        write_markdown(results, rows, out / "sweep.md")
        if not is_written(results, transfer, out / "results"):
            shutil.rmtree(report.out, ignore_errors=True)
            write_results(results, transfer, out / "results")
        sweep.scheduler.run_all([report])
        console_tables.print_grids(console(sys.stdout), results.grids(), results.legend())
        print(f"written: {out / 'sweep.md'}; page: {report.out / 'index.html'}")
    failed = sweep.table.failed()
    for line in sweep.failed:
        print(line)
    _print_failed(failed, len(rows), out)
    return 1 if failed or sweep.failed else 0


def _print_failed(failed: Sequence[TrialRow], trials: int, out: Path) -> None:
    for row in failed:
        print(f"failed: {row.name}: {row.reason}")
    if failed:
        print(
            f"{len(failed)} of {trials} trials failed, see {out / TRIALS_FILE};"
            " --resume tries them again"
        )
    else:
        print(f"{trials} trials finished: {out / 'trials.csv'}")
