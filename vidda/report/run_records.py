"""Records of a run folder: its config, its sessions and its curves."""

import json
import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda import config as configs
from vidda.errors import ViddaError
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, validation_score

SCORE_PREFIX = "epoch/score_"
"""Beginning of the names of label-free scores in metrics.jsonl."""


@dataclass(frozen=True, slots=True)
class Session:
    """One process that worked on a run.

    started: date and time. command: its command line. device: names of the GPUs, or "cpu". git: the
    commit, None if unknown. versions: of Python, vidda and its packages, by name.
    """

    started: str
    command: str
    device: str
    git: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Config and sessions of a run folder.

    path: the folder. content: the config as data. text: the config as written. finished: whether
    the run is finished.
    """

    path: Path
    content: Mapping[str, Any]
    text: str
    sessions: tuple[Session, ...]
    finished: bool


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A run of training.

    points: lines of metrics.jsonl. selected, last: epochs from 0; None while it is unfinished.
    chosen: whether a score selected the epoch; with select=last none did.
    """

    record: RunRecord
    points: tuple[Mapping[str, float | None], ...]
    selected: int | None
    last: int | None
    chosen: bool

    def curve(self, key: str) -> list[tuple[float, float]]:
        """Return (step, value) of the finite values of one metric, by its name in metrics.jsonl."""
        found = [(point["step"], point.get(key)) for point in self.points]
        return [(float(s), float(v)) for s, v in found if s is not None and v is not None]

    def scores(self) -> dict[str, list[float]]:
        """Return label-free scores by name, a value for every epoch; -inf where it is null."""
        epochs = [point for point in self.points if "epoch/val_accuracy" in point]
        names = [key for key in (epochs[0] if epochs else ()) if key.startswith(SCORE_PREFIX)]
        found: dict[str, list[float]] = {
            SOURCE_VALIDATION: [_validation(point) for point in epochs]
        }
        for key in names:
            values = [point.get(key) for point in epochs]
            found[key.removeprefix(SCORE_PREFIX)] = [-math.inf if v is None else v for v in values]
        return found


def _validation(point: Mapping[str, float | None]) -> float:
    accuracy, loss = point["epoch/val_accuracy"], point["epoch/val_loss"]
    return -math.inf if accuracy is None or loss is None else validation_score(accuracy, loss)


def read_record(path: Path) -> RunRecord:
    """Read the config and sessions of a run folder; ViddaError where a file is damaged."""
    file = path / "config.yaml"
    content = configs.read(file)
    sessions: tuple[Session, ...] = ()
    provenance = path / "provenance.json"
    if provenance.exists():
        try:
            stored = read_json(provenance)
            sessions = tuple(read_session(one) for one in stored["sessions"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ViddaError(f"{provenance}: not written by vidda: no {error}") from None
    text = file.read_text(encoding="utf-8")
    return RunRecord(path, content, text, sessions, (path / "DONE").exists())


def read_session(stored: Mapping[str, Any]) -> Session:
    """Return a session from what `vidda.provenance.describe_session` recorded."""
    packages = {name: version for name, version in stored["packages"].items() if version}
    versions = {"vidda": stored["vidda"], "python": stored["python"], **packages}
    # The path of the program is of no use on another machine.
    command = shlex.join(["vidda", *stored["command"][1:]])
    return Session(stored["started"], command, stored["device"], stored["git"], versions)


def read_training(path: Path) -> TrainingRecord:
    """Read a run of vidda train or adapt; ViddaError where a file of it is damaged."""
    record = read_record(path)
    selection = path / "selection.json"
    selected = last = None
    chosen = True
    if selection.exists():
        stored = read_json(selection)
        try:
            selected, last = int(stored["selected"]), int(stored["last"])
            chosen = stored.get("select") != "last"
        except (KeyError, TypeError, ValueError) as error:
            raise ViddaError(f"{selection}: not written by vidda train: {error}") from None
    return TrainingRecord(record, tuple(_points(path / "metrics.jsonl")), selected, last, chosen)


def _points(file: Path) -> Iterable[Mapping[str, float | None]]:
    # A training that is still running may be writing its last line.
    for line in file.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        try:
            point = json.loads(line)
            point["step"] + 0
        except (ValueError, KeyError, TypeError):
            raise ViddaError(f"{file}: {line[:60]!r} is not a line of metrics") from None
        yield point


def read_json(file: Path) -> Any:
    """Return the content of a JSON file; ViddaError where it cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ViddaError(f"{file}: cannot be read as JSON: {error}") from None
