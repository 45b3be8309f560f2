"""What every stage took, in OUT/stages.json, and as a table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vidda.errors import ViddaError
from vidda.experiment.process import ProcessUsage
from vidda.files import write_text

FILE = "stages.json"


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage, over all its sessions that ended by themselves.

    seconds: on the clock. peak_mib: of all its processes together. cpu_s: of all of them. sessions:
    how often it was started and came to an end.
    """

    name: str
    kind: str
    command: str
    seconds: float
    peak_mib: float
    cpu_s: float
    sessions: int
    status: int


class StageRecords:
    """The records of a job, by stage; kept on the disk."""

    def __init__(self, out: Path) -> None:
        self._file = out / FILE
        self.by_name: dict[str, StageRecord] = {}
        # On the clock, over all sessions; stages that ran side by side share theirs.
        self.seconds = 0.0
        if self._file.exists():
            try:
                content = json.loads(self._file.read_text(encoding="utf-8"))
                self.seconds = float(content["seconds"])
                self.by_name = {row["name"]: StageRecord(**row) for row in content["stages"]}
            except (ValueError, KeyError, TypeError):
                raise ViddaError(f"{self._file}: not what vidda run wrote; delete it") from None

    def add(
        self, name: str, kind: str, command: str, measured: ProcessUsage, since: float | None = None
    ) -> None:
        """Add a session of a stage, and write everything.

        since: seconds since the last one was added, where stages run side by side.
        """
        self.seconds += measured.seconds if since is None else since
        before = self.by_name.get(name)
        self.by_name[name] = StageRecord(
            name,
            kind,
            command,
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
        """Leave out a stage that is made anew."""
        self.by_name.pop(name, None)

    def print(self, console: Console) -> None:
        """The table of all stages."""
        table = Table("stage", "time", "CPU time", "peak memory")
        for column in table.columns[1:]:
            column.justify = "right"
        for record in self.by_name.values():
            peak = f"{record.peak_mib:,.0f} MiB"
            table.add_row(record.name, clock(record.seconds), clock(record.cpu_s), peak)
        everything = list(self.by_name.values())
        if everything:
            table.add_section()
            table.add_row(
                "all",
                clock(self.seconds),
                clock(sum(record.cpu_s for record in everything)),
                f"{max(record.peak_mib for record in everything):,.0f} MiB",
            )
        console.print(table)


def clock(seconds: float) -> str:
    """Return seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
