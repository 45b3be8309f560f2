"""What each task trains on, so that one training serves every task that has the same lists."""

from dataclasses import dataclass
from pathlib import Path

from vidda.data.rocog import SPLITS


@dataclass(frozen=True, slots=True)
class Experiment:
    """One task and setting as vidda prepare writes it.

    folder: of its train.csv, val.csv, test.csv and, adapted, target.csv. train, target, test: names
    of these lists; equal names are equal lists. synthetic: whether the training clips are rendered.
    """

    folder: Path
    train: str
    target: str
    test: str
    synthetic: bool


def experiment(prepared: Path, dataset: str, task: str, setting: str) -> Experiment | None:
    """Return the experiment, or None where this dataset has none of this name."""
    folder = prepared / "splits" / task / setting
    if dataset == "rocog_v2":
        if f"{task}/{setting}" not in SPLITS:
            return None
        train, target, _, test = SPLITS[f"{task}/{setting}"]
        return Experiment(folder, train, target or "", test, train.startswith("syn_"))
    if setting == "target_only":
        return None
    return Experiment(folder, f"{task}_train", f"{task}_target", f"{task}_test", True)
