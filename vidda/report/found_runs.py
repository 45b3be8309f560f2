"""The folders that `vidda report` reads, by the command that wrote them, and their results."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from vidda.config import Config
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.evaluate.summary import Intervals, Summary, summarize
from vidda.evaluate.transfer import EpochCell, Transfer, TransferCell
from vidda.evaluate.transfer_tables import read_tables
from vidda.evaluate.unlabeled_targets import LabelFreeCell
from vidda.files import inside
from vidda.report.report_config import ReportConfig
from vidda.report.run_records import RunRecord, TrainingRecord, read_record, read_training
from vidda.report.translations import Translation, read_translation

T = TypeVar("T")
C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class FoundTransfer:
    """A transfer table of vidda evaluate.

    transfer: its tasks and rows, without tasks whose target has no labels. everything: with them.
    unlabeled: results on targets without labels. summaries: of each seed, by row and task.
    """

    record: RunRecord
    transfer: Transfer
    everything: Transfer
    intervals: Intervals
    cells: tuple[TransferCell, ...]
    epochs: tuple[EpochCell, ...]
    unlabeled: tuple[LabelFreeCell, ...]
    summaries: Mapping[tuple[str, str], tuple[Summary, ...]]


@dataclass(frozen=True, slots=True)
class FoundTest:
    """The test of one model on one list of clips."""

    record: RunRecord
    summary: Summary
    intervals: Intervals


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """All results that are reported.

    trainings: runs by the path that the config or the transfer table names. translations: by name.
    absent: a line for each run of the transfer table that cannot be read.
    """

    transfer: FoundTransfer | None
    tested: tuple[FoundTest, ...]
    trainings: Mapping[Path, TrainingRecord]
    translations: Mapping[str, Translation]
    absent: tuple[str, ...]

    def records(self) -> list[RunRecord]:
        """Return the records of all folders, in the order of their first sessions."""
        records = [training.record for training in self.trainings.values()]
        records += [record for one in self.translations.values() for record in one.records]
        records += [one.record for one in self.tested]
        records += [self.transfer.record] if self.transfer else []
        return sorted(records, key=lambda r: r.sessions[0].started if r.sessions else "")


def find_runs(config: ReportConfig) -> FoundRuns:
    """Read every folder of a config; ViddaError with a line for each that cannot be reported.

    The runs of a transfer table are read too; those that are missing are listed in `absent`.
    """
    transfers: list[FoundTransfer] = []
    tested: list[FoundTest] = []
    trainings: dict[Path, TrainingRecord] = {}
    folders = dict(config.translations)
    problems: list[str] = []
    for path in config.runs:
        try:
            match run_kind(path):
                case "transfer":
                    transfers.append(read_transfer(path))
                case "tested":
                    tested.append(_read_tested(path))
                case "training":
                    trainings[path] = read_training(path)
                case _:
                    if folders.setdefault(path.name, path) != path:
                        problems.append(
                            f"{path}: {folders[path.name]} is called {path.name!r} too; name them:"
                            " translations.NAME=FOLDER"
                        )
        except ViddaError as error:
            problems += str(error).splitlines()
    translations = _translations(folders, problems)
    if len(transfers) > 1:
        listed = ", ".join(str(one.record.path) for one in transfers)
        problems.append(f"runs: {len(transfers)} transfer tables ({listed}); report one at a time")
    if problems:
        raise ViddaError("\n".join(dict.fromkeys(problems)))
    transfer = transfers[0] if transfers else None
    absent = _add_trainings(transfer, trainings) if transfer else ()
    return FoundRuns(transfer, tuple(tested), trainings, translations, absent)


def _translations(folders: Mapping[str, Path], problems: list[str]) -> dict[str, Translation]:
    """Read folders of translations by name; add a line to `problems` for those that fail."""
    found = {}
    for name, path in folders.items():
        try:
            if run_kind(path) != "translation":
                raise ViddaError(
                    f"translations.{name}: {path} is no folder of vidda translate; give one"
                )
            found[name] = read_translation(path)
        except ViddaError as error:
            problems += str(error).splitlines()
    return found


def run_kind(path: Path) -> str:
    """Return "transfer", "tested", "translation" or "training", by the files of a folder.

    Raises ViddaError for a folder without results that can be reported.
    """
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
        " already have a result"
    )


def read_transfer(path: Path) -> FoundTransfer:
    """Read a folder that `vidda evaluate` with the key transfer wrote.

    Raises ViddaError where a file is damaged.
    """
    record = read_record(path)
    transfer = _config_section(record, "transfer", Transfer)
    intervals = _config_section(record, "intervals", Intervals)
    tables = read_tables(path)
    summaries = {}
    everything = transfer
    transfer = _without_tasks(transfer, {cell.task for cell in tables.label_free})
    for row in transfer.rows:
        for task, runs in row.runs.items():
            # As vidda.evaluate.transfer_job names them; importing it would load torch.
            names = [f"predictions/{row.name}/{task}_{seed}.npz" for seed in range(len(runs))]
            files = [inside(path, name) for name in names]
            summaries[row.name, task] = tuple(
                summarize(load_predictions(file), intervals) for file in files
            )
    return FoundTransfer(
        record, transfer, everything, intervals, tables.cells, tables.epochs, tables.label_free,
        summaries,
    )  # fmt: skip


def _without_tasks(transfer: Transfer, left_out: Collection[str]) -> Transfer:
    rows = tuple(
        row.model_copy(
            update={"runs": {task: runs for task, runs in row.runs.items() if task not in left_out}}
        )
        for row in transfer.rows
    )
    tasks = tuple(task for task in transfer.tasks if task not in left_out)
    return transfer.model_copy(update={"tasks": tasks, "rows": rows})


def _read_tested(path: Path) -> FoundTest:
    file = path / "metrics.json"
    content = _load(file)
    check = TypeAdapter(Intervals).validate_python
    intervals = _validated(file, content, "intervals", check)
    summary = {name: value for name, value in content.items() if name != "intervals"}
    adapter = TypeAdapter(Summary).validate_python
    return FoundTest(
        read_record(path), _validated(file, {"summary": summary}, "summary", adapter), intervals
    )


def _add_trainings(
    transfer: FoundTransfer, trainings: dict[Path, TrainingRecord]
) -> tuple[str, ...]:
    """Add the runs that the rows name to `trainings`; return a line for each missing one."""
    absent: dict[str, None] = {}
    named = (p for row in transfer.everything.rows for runs in row.runs.values() for p in runs)
    for path in (path for path in named if path not in trainings):
        try:
            if run_kind(path) != "training":
                raise ViddaError(f"{path}: a checkpoint without its run")
            trainings[path] = read_training(path)
        except ViddaError as error:
            absent |= dict.fromkeys(str(error).splitlines())
    return tuple(absent)


def _config_section(record: RunRecord, key: str, schema: type[C]) -> C:
    """Return one key of a run's config, validated again."""
    try:
        return schema.model_validate_json(json.dumps(record.content.get(key)), strict=True)
    except ValidationError as error:
        raise ViddaError(
            f"{record.path / 'config.yaml'}: {key} is not of this version of vidda:"
            f" {_first_problem(error)}; evaluate again"
        ) from None


def _validated(file: Path, content: Any, key: str, check: Callable[[Any], T]) -> T:
    try:
        return check(content[key])
    except (KeyError, TypeError, ValidationError) as error:
        raise ViddaError(
            f"{file}: not written by this version of vidda evaluate: {_first_problem(error)};"
            " evaluate again"
        ) from None


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ViddaError(f"{file}: cannot be read as JSON: {error}") from None


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"no {error}"
