"""The manifests that are trained on, and the stages that make them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.data.experiments import Setting
from vidda.data.manifest import DATASET
from vidda.data.prepare import PrepareConfig
from vidda.data.survey import Survey, survey
from vidda.errors import ViddaError
from vidda.experiment.experiment_config import SOURCE, TARGET, DataConfig, load_or_report
from vidda.experiment.name_checks import find_cycles, variant_origins
from vidda.experiment.stage import Stage
from vidda.experiment.task_splits import (
    TaskSplit,
    find_split,
    stated_tasks,
    task_problems,
    why_no_split,
)
from vidda.experiment.variant_stages import TrainingPart, VariantPlanner
from vidda.mini.job import MiniConfig

RENDERED = "class_dict.json"
"""The file that vidda mini writes last."""


@dataclass(frozen=True, slots=True)
class TrainingLists:
    """Manifests of a training and its validation. key: its name; equal keys are the same clips."""

    key: str
    train: tuple[Path, ...]
    val: Path


class DataPlanner:
    """Plans the stages that make the data: rendering, preparing, and the variants.

    Each variant is made once, for all tasks and trainings that need it.

    prepare: config of vidda prepare, None if it has mistakes. tasks: those of the job, in order.
    known: the experiments of the data.
    variants: plans their stages. problems, left_out: a line for each mistake, and for each thing
    that is not done.
    """

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.prepared = config.prepared
        self.prepare: PrepareConfig | None = None
        self.tasks: tuple[str, ...] = ()
        self.known = Survey({}, {}, None)
        self.stages: list[Stage] = []
        self.problems: list[str] = []
        self.left_out: list[str] = []
        self._lists: dict[str, Path] = {}
        self._endless = {name for cycle in find_cycles(variant_origins(config)) for name in cycle}
        self.variants = VariantPlanner(config, self.stages, self.problems, self.left_out)

    def start(self) -> None:
        """Plan rendering and preparing, and choose the splits that represent equal ones."""
        self._data()
        if self.prepare is None:
            return
        rendered = self.config.mini is None or (self.config.rendered / RENDERED).is_file()
        try:
            self.known = self.variants.known = survey(self.prepare, complete=rendered)
        except ViddaError as error:
            self.problems += [f"prepare: {line}" for line in str(error).splitlines()]
            return
        self.tasks = self._find_tasks()
        settings: tuple[Setting, ...] = ("source_only", "target_only", "adapted")
        for setting in settings:
            for task in self.tasks:
                split = self.find_split(task, setting)
                if split and setting == "adapted":
                    self._target(split)
                elif split:
                    self.canonical(split)

    def _find_tasks(self) -> tuple[str, ...]:
        """Return the job's tasks, by default all; those that the data lack are left out."""
        known = self.known
        wanted = self.config.tasks or stated_tasks(known)
        self.problems += task_problems(known, self._dataset, self.config.tasks)
        found = tuple(task for task in wanted if self.find_split(task, "source_only"))
        lines = [self.why_none(task, "source_only") for task in wanted if task not in found]
        if not found and not self.problems:
            lacking = "; ".join(lines) or f"{self._dataset} states none; name its parts"
            self.problems.append(f"tasks: none can be trained: {lacking}")
        self.left_out += lines
        return found

    @property
    def _dataset(self) -> str:
        return self.prepare.dataset.name if self.prepare else ""

    def why_none(self, task: str, setting: Setting) -> str:
        """Return a line that says why a task and setting have no split."""
        return why_no_split(self.known, self._dataset, task, setting)

    def _data(self) -> None:
        """Plan rendering and preparing."""
        config = self.config
        root: dict[str, Any] = {}
        inputs: tuple[Path, ...] = ()
        if config.mini is not None:
            rendered = config.rendered
            mini = load_or_report(
                self.problems, "mini", MiniConfig, None, config.mini, {"out": str(rendered)}
            )
            root = {"root": str(rendered)}
            inputs = (rendered / RENDERED,)
            if mini:
                done = rendered / RENDERED
                self.stages.append(
                    Stage("mini", "mini", "mini", mini, rendered, done, (), title="mini")
                )
        keys = {**root, "out": str(self.prepared)}
        self.prepare = load_or_report(
            self.problems, "prepare", PrepareConfig, None, config.prepare, keys
        )
        if self.prepare:
            done = self.prepared / DATASET
            inputs = inputs or (self.prepare.root,)
            self.stages.append(
                Stage(
                    "prepare", "prepare", "prepare", self.prepare, self.prepared, done, inputs,
                    title="prepare",
                )
            )  # fmt: skip

    def find_split(self, task: str, setting: Setting) -> TaskSplit | None:
        """Return the dataset's split of a task and setting, None if it has none."""
        return find_split(self.prepared, self.known, task, setting)

    def training_lists(self, data: Sequence[str], task: str) -> TrainingLists | None:
        """Return the manifests of a training on named data for a task; None if it has none.

        data: source, target, names of variants. A training on the target's labels is validated on
        target clips too.
        """
        parts = [self._part(name, task) for name in data]
        setting: Setting = "target_only" if TARGET in data else "source_only"
        split = self.find_split(task, setting)
        known = [part for part in parts if part]
        if split is None or len(known) < len(parts):
            return None
        # The first split with this list of validation clips represents all equal ones.
        val = self.canonical(split) / "val.csv"
        return TrainingLists("-".join(p.key for p in known), tuple(p.manifest for p in known), val)

    def target(self, task: str) -> Path | None:
        """Return the manifest of a task's unlabeled target clips, None if it has none."""
        split = self.find_split(task, "adapted")
        return None if split is None else self._target(split)

    def _part(self, name: str, task: str) -> TrainingPart | None:
        """Return one of an arm's data for a task, planning its variant; None if it has none."""
        setting: Setting = "target_only" if name == TARGET else "source_only"
        split = self.find_split(task, setting)
        if split is None:
            self.left_out.append(self.why_none(task, setting))
            return None
        if name in (SOURCE, TARGET):
            return TrainingPart(split.train, self.canonical(split) / "train.csv")
        variant = self.config.variants.get(name)
        if variant is None:  # `name_checks` reports it
            return None
        if not split.synthetic:
            self.left_out.append(f"{name} in {task}: its source clips are not synthetic")
            return None
        if name in self._endless:  # `name_checks` reports it
            return None
        original, target = self._part(variant.of, task), self.find_split(task, "adapted")
        if target is None:
            self.left_out.append(f"{name} in {self.why_none(task, 'adapted')}")
        if original is None or target is None:
            return None
        return self.variants.plan(name, variant, original, target, self._target(target))

    def canonical(self, split: TaskSplit) -> Path:
        """Return the folder of the first split that has the same training clips."""
        return self._lists.setdefault(split.train, split.folder)

    def _target(self, target: TaskSplit) -> Path:
        """Return the manifest of unlabeled target clips, one for all splits with the same list."""
        return self._lists.setdefault(f"target {target.target}", target.folder) / "target.csv"
