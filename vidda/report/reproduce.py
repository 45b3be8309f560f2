"""The commands that make everything of a report again."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError
from vidda.report.run_records import RunRecord, read_json

STAGES = "stages.json"
"""What vidda run and vidda sweep keep of their stages, in their folder."""
EVALUATIONS = "evaluations"
"""Where vidda evaluate puts a model's test, in its run."""
TRIALS = "trials.json"
"""What vidda sweep alone has."""


@dataclass(frozen=True, slots=True)
class Commands:
    """whole: the one command of a job that did all, None where there is none. each: all in order.

    complete: whether `each` is known to hold what made the inputs, too.
    """

    whole: str | None
    each: tuple[str, ...]
    complete: bool


def commands(records: Sequence[RunRecord], extra: str) -> Commands:
    """List every stage of the job that the folders are of, and the commands of other folders.

    records: in the order in which they were made. extra: the command of this report.
    """
    jobs = list(dict.fromkeys(job for r in records if (job := job_of(r.path)) is not None))
    others = [record for record in records if job_of(record.path) is None]
    sessions = sorted((s for r in others for s in r.sessions), key=lambda s: s.started)
    lines = [line for job in jobs for line in _stages(job)]
    lines += [session.command for session in sessions]
    one = len(jobs) == 1 and not others
    # vidda sweep makes its report itself.
    last = [] if one and extra.startswith("vidda sweep ") else [extra]
    # A resumed run is one command.
    each = dict.fromkeys(line.replace(" --resume", "") for line in [*lines, *last])
    return Commands(_command(jobs[0]) if one else None, tuple(each), one)


def job_of(path: Path) -> Path | None:
    """Return the folder of the job that a run is a stage of, None where it is of none."""
    if path.parent.name == EVALUATIONS:  # a test of one of its models, asked for by itself
        return None
    for folder in path.parents:
        if (folder / STAGES).is_file() and (folder / "config.yaml").is_file():
            return folder
    return None


def _command(job: Path) -> str:
    name = "sweep" if (job / TRIALS).is_file() else "run"
    return shlex.join(["vidda", name, str(job / "config.yaml")])


def _stages(job: Path) -> list[str]:
    """List the command of each stage, with the config that the job has kept of it."""
    file = job / STAGES
    try:
        return [
            shlex.join(["vidda", row["command"], str(job / "stages" / f"{row['name']}.yaml")])
            for row in read_json(file)["stages"]
        ]
    except (KeyError, TypeError) as error:
        raise ViddaError(f"{file}: not what vidda run wrote: no {error}; delete it") from None
