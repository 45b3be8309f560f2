"""Experiments: the lists of clips of each task and setting, as a dataset states them."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidda.data.manifest import DATASET, read_description
from vidda.errors import ViddaError

Setting = Literal["source_only", "adapted", "target_only"]


@dataclass(frozen=True, slots=True)
class Experiment:
    """The lists of clips of one task and setting.

    parts: names of the lists of its parts: train, val, test, and target if it is adapted. Lists of
    equal names are equal, in other experiments too. A target without labels has no test. synthetic:
    whether the training clips are rendered, so that variants can be made of them.
    """

    parts: Mapping[str, str]
    synthetic: bool


Experiments = Mapping[str, Experiment]
"""Experiments by `TASK/SETTING`, such as gs2ar/adapted."""


def tasks_of(experiments: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the tasks, in order. experiments: names, such as gs2ar/adapted."""
    return tuple(dict.fromkeys(name.partition("/")[0] for name in experiments))


def plain_experiments(task: str, lists: Container[str], *, synthetic: bool) -> Experiments:
    """Return the experiments of a dataset with one task.

    lists: names of those that the dataset has, of train, test and target; val, and target_train and
    target_val, which target_only is trained and validated on, are held out where they are not
    given. synthetic: whether the training clips are rendered. Without a train list, or with neither
    a test nor a target list, there are no experiments.
    """
    if "train" not in lists or not ("test" in lists or "target" in lists):
        return {}
    test = {"test": "test"} if "test" in lists else {}
    parts = {"train": "train", "val": "val", **test}
    found = {f"{task}/source_only": Experiment(parts, synthetic)}
    if "target" in lists:
        found[f"{task}/adapted"] = Experiment({**parts, "target": "target"}, synthetic)
    if test and "target" in lists:
        parts = {"train": "target_train", "val": "target_val", **test}
        found[f"{task}/target_only"] = Experiment(parts, False)
    return found


def rename_lists(experiments: Experiments, names: Mapping[str, str]) -> Experiments:
    """Return experiments with other names of lists. names: the new name of each that changes."""
    return {
        name: Experiment({part: names.get(of, of) for part, of in one.parts.items()}, one.synthetic)
        for name, one in experiments.items()
    }


def as_json(experiments: Experiments) -> dict[str, Any]:
    """Return experiments as JSON values; `experiments_from` reads them."""
    return {
        name: {"parts": dict(one.parts), "synthetic": one.synthetic}
        for name, one in experiments.items()
    }


def load_experiments(folder: Path) -> Experiments:
    """Return the experiments that vidda prepare has written into a folder.

    Raises ViddaError when it wrote none, or in another format.
    """
    file = folder / DATASET
    return experiments_from(read_description(file).get("experiments"), str(file))


def experiments_from(values: object, where: str) -> Experiments:
    """Return the experiments of JSON values that `as_json` gave.

    where: the file, for messages. Raises ViddaError where the values are others.
    """
    try:
        assert isinstance(values, dict)
        return {
            str(name): Experiment(
                {str(part): str(of) for part, of in one["parts"].items()}, one["synthetic"] is True
            )
            for name, one in values.items()
        }
    except (AssertionError, AttributeError, KeyError, TypeError):
        raise ViddaError(
            f"{where}: its experiments cannot be read; prepare it again with vidda prepare --resume"
        ) from None
