"""The table of all trials: OUT/trials.json, which a sweep resumes from, and OUT/trials.csv."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.experiment.experiment_config import Keys
from vidda.files import write_text

TRIALS_FILE = "trials.json"

TrialStatus = Literal["waiting", "failed", "finished"]


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """A figure of the selected, last and oracle epochs; only the oracle needs test labels."""

    selected: float
    last: float
    oracle: float


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial and its results.

    run: folder of its run. reason: why it failed. seconds: elapsed time over all its sessions.
    epochs: from 0. accuracy: on the test clips, 0 to 1. scores: label-free, at the selected epoch.
    correlations: Spearman's, of each score with the test accuracy over the epochs; None where one
    of them is constant. lost: the oracle's accuracy minus that at the epoch that each score
    chooses.
    """

    name: str
    method: str
    task: str
    seed: int
    keys: Keys
    run: Path
    status: TrialStatus = "waiting"
    reason: str = ""
    seconds: float = 0.0
    epochs: EpochFigures | None = None
    accuracy: EpochFigures | None = None
    scores: dict[str, float] = field(default_factory=dict)
    correlations: dict[str, float | None] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)


class TrialTable:
    """The rows of a sweep by name, in the order in which they were proposed.

    Every change writes the files. Raises ViddaError if OUT/trials.json is damaged.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.rows: dict[str, TrialRow] = {}
        file = out / TRIALS_FILE
        if file.exists():
            try:
                content = json.loads(file.read_text(encoding="utf-8"))["trials"]
                rows = TypeAdapter(list[TrialRow]).validate_python(content)
            except (ValueError, KeyError, TypeError, ValidationError):
                raise ViddaError(
                    f"{file}: not written by this version of vidda sweep; delete it, and complete"
                    " trials are read again"
                ) from None
            self.rows = {row.name: row for row in rows}

    def propose(self, rows: Iterable[TrialRow]) -> None:
        """Add rows whose names are new, and write the files."""
        for row in rows:
            self.rows.setdefault(row.name, row)
        self._write()

    def fail(self, name: str, reason: str, seconds: float) -> None:
        """Set a trial's status to failed. seconds: elapsed time over all its sessions."""
        self.set_row(replace(self.rows[name], status="failed", reason=reason, seconds=seconds))

    def set_row(self, row: TrialRow) -> None:
        """Replace the row of the same name, and write the files."""
        self.rows[row.name] = row
        self._write()

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove all rows but these, and write the files; folders of the trials stay."""
        known = set(names)
        self.rows = {name: row for name, row in self.rows.items() if name in known}
        self._write()

    def failed(self) -> list[TrialRow]:
        """Return the rows of trials that failed."""
        return [row for row in self.rows.values() if row.status == "failed"]

    def _write(self) -> None:
        rows = [asdict(row) | {"run": str(row.run)} for row in self.rows.values()]
        # The CSV first: only the JSON is read again, so a kill in between loses nothing.
        _write_csv(self._out / "trials.csv", list(self.rows.values()))
        write_text(self._out / TRIALS_FILE, json.dumps({"trials": rows}, indent=1) + "\n")


def _write_csv(file: Path, rows: list[TrialRow]) -> None:
    keys = dict.fromkeys(key for row in rows for key in row.keys)
    scores = dict.fromkeys(name for row in rows for name in row.scores)
    header = [
        "trial", "method", "task", "seed", *keys, "status", "reason", "seconds",
        "selected_epoch", "last_epoch", "oracle_epoch_by_test_labels",
        "test_accuracy_selected", "test_accuracy_last", "test_accuracy_oracle_by_test_labels",
        *(f"{name}_selected" for name in scores),
        *(f"{name}_rank_correlation" for name in scores), "run",
    ]  # fmt: skip
    lines = []
    for row in rows:
        own = ["" if key not in row.keys else json.dumps(row.keys[key]) for key in keys]
        fields = [row.name, row.method, row.task, row.seed, *own, row.status, row.reason]
        fields += [f"{row.seconds:.1f}", *_three(row.epochs, "g"), *_three(row.accuracy, ".6f")]
        fields += [_number(row.scores, name) for name in scores]
        fields += [_number(row.correlations, name) for name in scores]
        lines.append(csv_line([*fields, str(row.run)]))
    write_csv(file, csv_line(header), lines)


def _three(found: EpochFigures | None, how: str) -> list[str]:
    if found is None:
        return ["", "", ""]
    return [format(value, how) for value in (found.selected, found.last, found.oracle)]


def _number(values: Mapping[str, float | None], name: str) -> str:
    value = values.get(name)
    return "" if value is None else f"{value:.6g}"
