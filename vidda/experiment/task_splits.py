"""Lists of clips of each task and setting, so that tasks with equal lists share a training."""

from dataclasses import dataclass
from pathlib import Path

from vidda.data.rocog import SPLITS


@dataclass(frozen=True, slots=True)
class TaskSplit:
    """The split of one task and setting, as vidda prepare writes it.

    folder: of its train.csv, val.csv, test.csv and, if adapted, target.csv. train, target, test:
    names of these lists; equal names are equal lists. synthetic: whether the training clips are
    rendered.
    """

    folder: Path
    train: str
    target: str
    test: str
    synthetic: bool

    @property
    def task(self) -> str:
        """Return the name of the task, such as gs2ar."""
        return self.folder.parent.name


def find_split(prepared: Path, dataset: str, task: str, setting: str) -> TaskSplit | None:
    """Return the split of a task and setting, or None if the dataset has none.

    prepared: folder of vidda prepare. dataset: its key dataset.name. setting: source_only,
    target_only or adapted.
    """
    folder = prepared / "splits" / task / setting
    if dataset == "rocog_v2":
        if f"{task}/{setting}" not in SPLITS:
            return None
        train, target, _, test = SPLITS[f"{task}/{setting}"]
        return TaskSplit(folder, train, target or "", test, train.startswith("syn_"))
    if setting == "target_only":
        return None
    return TaskSplit(folder, f"{task}_train", f"{task}_target", f"{task}_test", True)
