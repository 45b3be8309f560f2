"""Lists of clips of each task and setting, so that tasks with equal lists share a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from vidda.data.experiments import Setting, tasks_of
from vidda.data.survey import Survey


@dataclass(frozen=True, slots=True)
class TaskSplit:
    """The split of one task and setting, as vidda prepare writes it.

    folder: of its train.csv, val.csv, test.csv and, if adapted, target.csv. train, target, test:
    names of these lists; equal names are equal lists, and "" is none. synthetic: whether the
    training clips are rendered.
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


def find_split(prepared: Path, known: Survey, task: str, setting: Setting) -> TaskSplit | None:
    """Return the split of a task and setting, or None if the data have none.

    prepared: folder of vidda prepare. known: the experiments of the data.
    """
    name = f"{task}/{setting}"
    experiment = known.experiments.get(name)
    if experiment is None:
        return None
    train, target, test = (experiment.parts.get(part, "") for part in ("train", "target", "test"))
    return TaskSplit(prepared / "splits" / name, train, target, test, experiment.synthetic)


def why_no_split(known: Survey, dataset: str, task: str, setting: Setting) -> str:
    """Return a line that says why the data have no split of a task and setting.

    dataset: its name.
    """
    reason = known.left_out.get(f"{task}/{setting}")
    return f"{task}/{setting}: {reason or f'{dataset} has no such experiment'}"


def stated_tasks(known: Survey) -> tuple[str, ...]:
    """Return the tasks that a dataset states, those without data too."""
    return tasks_of([*known.experiments, *known.left_out])


def task_problems(known: Survey, dataset: str, tasks: Sequence[str]) -> list[str]:
    """Return a line for each task that the dataset does not state. dataset: its name."""
    stated = stated_tasks(known)
    lines = []
    for task in tasks:
        if task not in stated:
            near = get_close_matches(task, stated, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            there = ", ".join(stated) or "none"
            lines.append(f"tasks: {dataset} has no task {task!r}{meant}; it has {there}")
    return lines
