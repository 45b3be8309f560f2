"""Time and memory of every stage, in OUT/stages.json and as a table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vidda.errors import ViddaError
from vidda.experiment.process import ProcessUsage
from vidda.experiment.stage import Stage
from vidda.files import write_text

STAGES_FILE = "stages.json"


@dataclass(frozen=True, slots=True)
class StageRecord:
    """Usage of one stage, over all its sessions that were not killed together with the job.

    seconds: elapsed time. peak_mib: of all its processes together, in MiB. cpu_s: CPU seconds of
    all of them. sessions: how many ended. status: exit status of the last one.
    """

    name: str
    title: str
    kind: str
    command: str
    seconds: float
    peak_mib: float
    cpu_s: float
    sessions: int
    status: int


class StageRecords:
    """Records of a job by stage, saved in OUT/stages.json after each change.

    seconds: elapsed time of the job over all sessions. Raises ViddaError if the file is damaged.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / STAGES_FILE
        self.by_name: dict[str, StageRecord] = {}
        # Stages that ran side by side share theirs, so this is not the sum of the records.
        self.seconds = 0.0
        if self._file.exists():
            try:
                content = json.loads(self._file.read_text(encoding="utf-8"))
                self.seconds = float(content["seconds"])
                self.by_name = {row["name"]: StageRecord(**row) for row in content["stages"]}
            except (ValueError, KeyError, TypeError):
                raise ViddaError(f"{self._file}: not written by vidda run; delete it") from None

    def add(self, stage: Stage, measured: ProcessUsage, since: float) -> None:
        """Add a session of a stage, and write the file.

        since: seconds since the last session was added; stages that run side by side share them.
        """
        self.seconds += since
        before = self.by_name.get(stage.name)
        self.by_name[stage.name] = StageRecord(
            stage.name,
            stage.title,
            stage.kind,
            stage.command,
            round(measured.seconds + (before.seconds if before else 0.0), 2),
            round(max(measured.peak_mib, before.peak_mib if before else 0.0), 1),
            round(measured.cpu_s + (before.cpu_s if before else 0.0), 2),
            1 + (before.sessions if before else 0),
            measured.status,
        )
        rows = [asdict(record) for record in self.by_name.values()]
        content = {"seconds": round(self.seconds, 2), "stages": rows}
        write_text(self._file, json.dumps(content, indent=1) + "\n")

    def forget(self, name: str) -> None:
        """Remove the record of a stage, if there is one."""
        self.by_name.pop(name, None)

    def print(self, console: Console) -> None:
        """Print a table of all stages and their total."""
        table = Table("stage", "time", "CPU time", "peak memory")
        for column in table.columns[1:]:
            column.justify = "right"
        for record in self.by_name.values():
            peak = f"{record.peak_mib:,.0f} MiB"
            table.add_row(
                record.title, format_duration(record.seconds), format_duration(record.cpu_s), peak
            )
        everything = list(self.by_name.values())
        if everything:
            table.add_section()
            table.add_row(
                "all",
                format_duration(self.seconds),
                format_duration(sum(record.cpu_s for record in everything)),
                f"{max(record.peak_mib for record in everything):,.0f} MiB",
            )
        console.print(table)


def format_duration(seconds: float) -> str:
    """Format a number of seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
