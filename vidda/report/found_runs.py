"""What the folders given to `vidda report` are, and what they hold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from vidda.config import Config
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.evaluate.summary import Intervals, Summary, summarize
from vidda.evaluate.transfer import EpochCell, Transfer, TransferCell
from vidda.files import inside
from vidda.report.report_config import ReportConfig
from vidda.report.run_records import RunRecord, TrainingRecord, read_record, read_training
from vidda.report.translations import Translation, read_translation

T = TypeVar("T")
C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class TransferFound:
    """A transfer table. summaries: of each seed, by row and task."""

    record: RunRecord
    transfer: Transfer
    intervals: Intervals
    cells: tuple[TransferCell, ...]
    epochs: tuple[EpochCell, ...]
    summaries: Mapping[tuple[str, str], tuple[Summary, ...]]


@dataclass(frozen=True, slots=True)
class Tested:
    """One model on one list of clips."""

    record: RunRecord
    summary: Summary
    intervals: Intervals


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that is reported. trainings: by the path that names them; absent: why not there"""

    transfer: TransferFound | None
    tested: tuple[Tested, ...]
    trainings: Mapping[Path, TrainingRecord]
    translations: Mapping[str, Translation]
    absent: tuple[str, ...]

    def records(self) -> list[RunRecord]:
        """Of all folders, in the order in which they were made."""
        records = [training.record for training in self.trainings.values()]
        records += [record for one in self.translations.values() for record in one.records]
        records += [one.record for one in self.tested]
        records += [self.transfer.record] if self.transfer else []
        return sorted(records, key=lambda r: r.sessions[0].started if r.sessions else "")


def find(config: ReportConfig) -> Found:
    """Read every folder; ViddaError with a line for each that is not one of vidda's.

    The runs of a transfer table are reported too; where one is gone, `absent` says so.
    """
    transfers: list[TransferFound] = []
    tested: list[Tested] = []
    trainings: dict[Path, TrainingRecord] = {}
    places = dict(config.translations)
    problems: list[str] = []
    for path in config.runs:
        try:
            match kind_of(path):
                case "transfer":
                    transfers.append(read_transfer(path))
                case "tested":
                    tested.append(_read_tested(path))
                case "training":
                    trainings[path] = read_training(path)
                case _:
                    if places.setdefault(path.name, path) != path:
                        problems.append(
                            f"{path}: {places[path.name]} is called {path.name!r} too; name them:"
                            " translations.NAME=FOLDER"
                        )
        except ViddaError as error:
            problems += str(error).splitlines()
    translations = _translations(places, problems)
    if len(transfers) > 1:
        listed = ", ".join(str(one.record.path) for one in transfers)
        problems.append(f"runs: {len(transfers)} transfer tables ({listed}); report one at a time")
    if problems:
        raise ViddaError("\n".join(dict.fromkeys(problems)))
    transfer = transfers[0] if transfers else None
    absent = _add_trainings(transfer, trainings) if transfer else ()
    return Found(transfer, tuple(tested), trainings, translations, absent)


def _translations(places: Mapping[str, Path], problems: list[str]) -> dict[str, Translation]:
    """Return each folder of translations by its name; what is wrong with others joins
    `problems`.
    """
    found = {}
    for name, path in places.items():
        try:
            if kind_of(path) != "translation":
                raise ViddaError(f"translations.{name}: {path} is no folder of vidda translate")
            found[name] = read_translation(path)
        except ViddaError as error:
            problems += str(error).splitlines()
    return found


def kind_of(path: Path) -> str:
    """Which command wrote a folder; ViddaError where none did that can be reported."""
    if not path.is_dir():
        raise ViddaError(f"{path}: no such folder; give runs of vidda train, evaluate or translate")
    if (path / "transfer.json").is_file():
        return "transfer"
    if (path / "metrics.json").is_file():
        return "tested"
    if (path / "videos").is_dir():
        return "translation"
    if (path / "metrics.jsonl").is_file() and (path / "metrics.jsonl").stat().st_size:
        return "training"
    raise ViddaError(
        f"{path}: nothing to report in it; give runs of vidda train, evaluate or translate that"
        " have got so far as to have a result"
    )


def read_transfer(path: Path) -> TransferFound:
    """What `vidda evaluate` with rows of runs left."""
    record = read_record(path)
    transfer = _part(record, "transfer", Transfer)
    intervals = _part(record, "intervals", Intervals)
    file = path / "transfer.json"
    content = _load(file)
    cells = _typed(file, content, "cells", TypeAdapter(tuple[TransferCell, ...]).validate_python)
    epochs = _typed(file, content, "epochs", TypeAdapter(tuple[EpochCell, ...]).validate_python)
    summaries = {}
    for row in transfer.rows:
        for task, runs in row.runs.items():
            # As vidda.evaluate.transfer_job names them; importing it would load torch.
            names = [f"predictions/{row.name}/{task}_{seed}.npz" for seed in range(len(runs))]
            files = [inside(path, name) for name in names]
            summaries[row.name, task] = tuple(
                summarize(load_predictions(file), intervals) for file in files
            )
    return TransferFound(record, transfer, intervals, cells, epochs, summaries)


def _read_tested(path: Path) -> Tested:
    file = path / "metrics.json"
    content = _load(file)
    check = TypeAdapter(Intervals).validate_python
    intervals = _typed(file, content, "intervals", check)
    summary = {name: value for name, value in content.items() if name != "intervals"}
    adapter = TypeAdapter(Summary).validate_python
    return Tested(
        read_record(path), _typed(file, {"summary": summary}, "summary", adapter), intervals
    )


def _add_trainings(
    transfer: TransferFound, trainings: dict[Path, TrainingRecord]
) -> tuple[str, ...]:
    """Read the runs that the rows name, as far as they are still there."""
    absent: dict[str, None] = {}
    for row in transfer.transfer.rows:
        for path in (path for runs in row.runs.values() for path in runs):
            if path in trainings:
                continue
            try:
                if kind_of(path) != "training":
                    raise ViddaError(f"{path}: a checkpoint without its run")
                trainings[path] = read_training(path)
            except ViddaError as error:
                absent |= dict.fromkeys(str(error).splitlines())
    return tuple(absent)


def _part(record: RunRecord, key: str, schema: type[C]) -> C:
    """Return one part of a run's config, checked again."""
    try:
        return schema.model_validate_json(json.dumps(record.content.get(key)), strict=True)
    except ValidationError as error:
        raise ViddaError(
            f"{record.path / 'config.yaml'}: {key} is not of this version: {_short(error)}"
        ) from None


def _typed(file: Path, content: Any, key: str, check: Callable[[Any], T]) -> T:
    try:
        return check(content[key])
    except (KeyError, TypeError, ValidationError) as error:
        raise ViddaError(
            f"{file}: not what this version of vidda evaluate writes: {_short(error)}"
        ) from None


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ViddaError(f"{file}: cannot be read as JSON: {error}") from None


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"no {error}"
