"""The commands that reproduce the results of a report."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError
from vidda.report.run_records import RunRecord, read_json

STAGES = "stages.json"
"""Records of the stages of vidda run and vidda sweep, in their folder."""
EVALUATIONS = "evaluations"
"""Folder of a run that vidda evaluate writes a model's tests to by default."""
TRIALS = "trials.json"
"""A file that only vidda sweep writes."""


@dataclass(frozen=True, slots=True)
class ReproduceCommands:
    """Commands that reproduce a report.

    whole: the command of the one job that did everything, None if there is no such job. each: all
    commands in order. complete: whether `each` includes those that made the inputs.
    """

    whole: str | None
    each: tuple[str, ...]
    complete: bool


def reproduce_commands(records: Sequence[RunRecord], report_command: str) -> ReproduceCommands:
    """List the stages of the jobs that the folders belong to, and the commands of other folders.

    records: in the order in which they were made. report_command: that of this report. Raises
    ViddaError where a job's record of its stages is damaged.
    """
    jobs = list(dict.fromkeys(job for r in records if (job := job_folder(r.path)) is not None))
    others = [record for record in records if job_folder(record.path) is None]
    sessions = sorted((s for r in others for s in r.sessions), key=lambda s: s.started)
    lines = [line for job in jobs for line in _stages(job)]
    lines += [session.command for session in sessions]
    one = len(jobs) == 1 and not others
    # vidda sweep makes its report itself.
    last = [] if one and report_command.startswith("vidda sweep ") else [report_command]
    # A run and its resumptions are one command.
    each = dict.fromkeys(line.replace(" --resume", "") for line in [*lines, *last])
    return ReproduceCommands(_command(jobs[0]) if one else None, tuple(each), one)


def job_folder(path: Path) -> Path | None:
    """Return the folder of the job that a run is a stage of, None if it belongs to none."""
    if path.parent.name == EVALUATIONS:  # started by a user on a job's model, no stage of the job
        return None
    for folder in path.parents:
        if (folder / STAGES).is_file() and (folder / "config.yaml").is_file():
            return folder
    return None


def _command(job: Path) -> str:
    name = "sweep" if (job / TRIALS).is_file() else "run"
    return shlex.join(["vidda", name, str(job / "config.yaml")])


def _stages(job: Path) -> list[str]:
    """List the command of each stage, with the config that the job has saved."""
    file = job / STAGES
    try:
        return [
            shlex.join(["vidda", row["command"], str(job / "stages" / f"{row['name']}.yaml")])
            for row in read_json(file)["stages"]
        ]
    except (KeyError, TypeError) as error:
        raise ViddaError(f"{file}: not written by vidda run: no {error}; delete it") from None
