"""`vidda run CONFIG`: from videos to a transfer report.

    prepare -> personalize, caption -> translate, randomize, camera -> train -> evaluate -> report

OUT/stages/NAME.yaml, .log  config of every stage, which its command accepts, and printed output
OUT/stages.json             time and memory of every stage
OUT/config.yaml             config of the job
OUT/data, prepared, personalized, captions, translated, randomized, camera_matched
OUT/trained, evaluated, report

Every stage is a command in its own process. Complete stages are skipped, killed ones resume. Arms,
recognizers or seeds may be added to a finished job: the stages that they need are run, and the
tables and reports are written again.
"""

import sys

from vidda.config import dump
from vidda.console import console
from vidda.evaluate.console_tables import print_grids
from vidda.evaluate.transfer import ALL
from vidda.evaluate.transfer_tables import (
    label_free_grids,
    label_free_legend,
    legend,
    read_tables,
    transfer_grids,
)
from vidda.experiment.config_checks import check_configs
from vidda.experiment.data_summary import Parts, describe_parts, missing_weights, read_parts
from vidda.experiment.disk_space import describe_disk
from vidda.experiment.executor import open_executor, require_executor
from vidda.experiment.experiment_config import ExperimentConfig
from vidda.experiment.experiment_plan import ExperimentPlan, make_plan
from vidda.experiment.scheduler import Scheduler
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecords
from vidda.experiment.stage_session import check_out, dry_run_stages, pending_stages
from vidda.files import lock, write_text
from vidda.report.job import read_main_result


def run(config: ExperimentConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, run every stage that is not complete, print the results; return 0.

    dry_run: print the plan after the checks and write nothing. resume: continue a job in OUT.
    Raises ViddaError with a line for each mistake, or for the first stage that fails.
    """
    require_executor(config.executor)
    plan = make_plan(config)
    check_out(config.out, "vidda run", resume or dry_run)
    waiting = pending_stages(plan.stages, config.out)
    check_configs(waiting)
    _print_plan(config, plan, waiting)
    if dry_run:
        parts = read_parts(plan.known, config.prepared, plan.tasks)
        for line in describe_parts(parts):
            print(line)
        for line in describe_disk(plan.stages, config.prepared, parts, config.out):
            print(line)
        for line in missing_weights(waiting, config.out):
            print(line)
        _print_gpu_hours(config, plan, parts)
        dry_run_stages(waiting, config.out)
        return 0
    config.out.mkdir(parents=True, exist_ok=True)
    with lock(config.out):
        write_text(config.out / "config.yaml", dump(config))
        dry_run_stages(waiting[1:], config.out)
        records = StageRecords(config.out)
        with open_executor(config.executor, config.out) as executor:
            Scheduler(executor, records).run_all(plan.stages)
    _print_results(plan, records)
    return 0


def _print_plan(config: ExperimentConfig, plan: ExperimentPlan, waiting: list[Stage]) -> None:
    """Print the number of stages of each kind, how many are complete, and what is left out."""
    names = {stage.name for stage in waiting}
    kinds = dict.fromkeys(stage.kind for stage in plan.stages)
    print(
        f"{len(plan.arms)} arms, {len(config.recognizers)} recognizers, {len(config.seeds)}"
        f" seeds, tasks {', '.join(plan.tasks)}: {len(plan.stages)} stages,"
        f" {len(plan.stages) - len(names)} complete"
    )
    for kind in kinds:
        stages = [stage for stage in plan.stages if stage.kind == kind]
        done = sum(stage.name not in names for stage in stages)
        print(f"  {kind}: {len(stages)}{f', {done} complete' if done else ''}")
    for line in plan.left_out:
        print(f"left out: {line}")


def _print_gpu_hours(config: ExperimentConfig, plan: ExperimentPlan, parts: Parts) -> None:
    """Print an estimate of GPU hours, if the config has gpu_tflops and the data exists."""
    if config.gpu_tflops is None:
        return
    from vidda.experiment import gpu_hours

    if not parts:
        print(f"GPU hours: not known until {plan.prepare.root} exists")
        return
    lines, total = gpu_hours.estimate_gpu_hours(
        plan.stages, parts, config.prepared, config.gpu_tflops
    )
    for line in lines:
        print(line)
    print(
        f"about {total:.3g} GPU hours in total at {config.gpu_tflops:g} TFLOP/s, without decoding"
    )


def _print_results(plan: ExperimentPlan, records: StageRecords) -> None:
    """Print the stages' time and memory, then the main results, the tables and the reports."""
    out = console(sys.stdout)
    records.print(out)
    for line in plan.left_out:
        print(f"left out: {line}")
    for name, table in plan.tables.items():
        result = read_main_result(plan.reports[name].parent)
        print(f"\n{f'{name}: ' if len(plan.tables) > 1 else ''}{result}\n")
        found = read_tables(table.parent)
        whole = [cell for cell in found.cells if cell.part == ALL]
        grids = [*transfer_grids(whole, [], plan.tasks), *label_free_grids(found.label_free)]
        lines = [*legend(whole, [], found.confidence), *label_free_legend(found.label_free)]
        print_grids(out, grids, lines)
    for name, page in plan.reports.items():
        print(f"report of {name}: {page}")
