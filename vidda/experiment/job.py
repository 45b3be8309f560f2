"""`vidda run CONFIG`: from videos to a transfer report.

    prepare -> personalize -> translate, randomize -> train -> evaluate -> report

OUT/stages/NAME.yaml, .log  the config of every stage, which its command takes too, and its output
OUT/stages.json             time and memory of every stage
OUT/config.yaml             the job's own
OUT/data, prepared, personalized, translated, randomized, trained, evaluated, report

Every stage is a command in a process of its own. One that is complete is skipped, one that was
killed goes on. More arms, recognizers or seeds may be added to a finished job: what they need is
made, and the tables and reports are written anew.
"""

import sys

from vidda.config import dump
from vidda.console import console
from vidda.data.listing import walk
from vidda.experiment.config_checks import check
from vidda.experiment.experiment_config import ExperimentConfig
from vidda.experiment.experiment_plan import ExperimentPlan, make
from vidda.experiment.side_by_side import do_all
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecords
from vidda.experiment.stage_session import check_out, dry_runs, pending
from vidda.files import lock, write_text


def run(config: ExperimentConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, do every stage that is not complete, print the results; 0 when finished."""
    plan = make(config)
    check_out(config.out, "vidda run", resume or dry_run)
    waiting = pending(plan.stages, config.out)
    check(waiting)
    _tell(config, plan, waiting)
    if dry_run:
        _tell_hours(config, plan)
        dry_runs(waiting, config.out)
        return 0
    config.out.mkdir(parents=True, exist_ok=True)
    with lock(config.out):
        write_text(config.out / "config.yaml", dump(config))
        dry_runs(waiting[1:], config.out)
        records = StageRecords(config.out)
        do_all(plan.stages, config.out, records, config.at_once)
    _finish(plan, records)
    return 0


def _tell(config: ExperimentConfig, plan: ExperimentPlan, waiting: list[Stage]) -> None:
    """Print the plan."""
    names = {stage.name for stage in waiting}
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


def _tell_hours(config: ExperimentConfig, plan: ExperimentPlan) -> None:
    """Print how many GPU hours the job takes, where that is asked for and the data is there."""
    if config.gpu_tflops is None:
        return
    from vidda.experiment import gpu_hours

    root = plan.prepare.root
    if not root.is_dir():
        print(f"GPU hours: not known before {root} is there")
        return
    listing = plan.prepare.dataset.read(root.absolute(), walk(root))
    lines, total = gpu_hours.told(plan.stages, listing, config.prepared, config.gpu_tflops)
    for line in lines:
        print(line)
    print(
        f"about {total:.3g} GPU hours in all at {config.gpu_tflops:g} TFLOP/s, decoding not counted"
    )


def _finish(plan: ExperimentPlan, records: StageRecords) -> None:
    """Print what everything took, the transfer tables and where the reports are."""
    records.print(console(sys.stdout))
    for name, table in plan.tables.items():
        print(f"\n{name}\n")
        print(table.read_text(encoding="utf-8"))
    for line in plan.left_out:
        print(f"left out: {line}")
    for name, page in plan.reports.items():
        print(f"report of {name}: {page}")
