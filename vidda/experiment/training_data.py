"""The manifests that are trained on, and the stages that make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vidda.camera.job import CameraJobConfig
from vidda.command import schema_of
from vidda.config import Config, ConfigError
from vidda.data.manifest import DATASET
from vidda.data.prepare import PrepareConfig
from vidda.data.randomize import RandomizeConfig
from vidda.experiment.experiment_config import (
    SOURCE,
    TARGET,
    CameraMatchedVariant,
    DataConfig,
    RandomizedVariant,
    Recipe,
    TranslatedVariant,
    load,
)
from vidda.experiment.name_checks import folder_name, slug
from vidda.experiment.stage import Stage
from vidda.experiment.task_splits import TaskSplit, find_split
from vidda.mini.job import MiniConfig
from vidda.translate.translate_config import TranslateConfig

C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """One manifest of a training. key: its name; equal keys are the same clips."""

    key: str
    manifest: Path


@dataclass(frozen=True, slots=True)
class TrainingLists:
    """Manifests of a training and its validation. key: its name; equal keys are the same clips."""

    key: str
    train: tuple[Path, ...]
    val: Path


class DataPlanner:
    """Plans the stages that make the data: rendering, preparing, and the variants.

    Each variant is made once, for all tasks and trainings that need it.

    prepare: config of vidda prepare, None if it has mistakes. translations: their folders by name.
    gallery: source manifest of the first of them. problems, left_out: a line for each mistake, and
    for each thing that is not done.
    """

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.prepared = config.prepared
        self.prepare: PrepareConfig | None = None
        self._dataset = ""
        self.stages: list[Stage] = []
        self.translations: dict[str, Path] = {}
        self.gallery: Path | None = None
        self.problems: list[str] = []
        self.left_out: list[str] = []
        self._lists: dict[str, Path] = {}
        self._manifests: dict[str, Path] = {}

    def start(self) -> None:
        """Plan rendering and preparing, and choose the splits that represent equal ones."""
        self._data()
        self._dataset = str(self.config.prepare.get("dataset.name", ""))
        if self.prepare:
            self._dataset = self.prepare.dataset.name
        for setting in ("source_only", "target_only", "adapted"):
            for task in self.config.tasks:
                split = self.find_split(task, setting)
                if split and setting == "adapted":
                    self._target(split)
                elif split:
                    self.canonical(split)
        for task in self.config.tasks:
            if self.find_split(task, "source_only") is None:
                self.problems.append(f"tasks: {self._dataset} has no task {task!r}")

    def _data(self) -> None:
        """Plan rendering and preparing."""
        config = self.config
        root: dict[str, Any] = {}
        inputs: tuple[Path, ...] = ()
        if config.mini is not None:
            rendered = config.rendered
            mini = self._load("mini", MiniConfig, None, config.mini, {"out": str(rendered)})
            root = {"root": str(rendered)}
            inputs = (rendered / "class_dict.json",)
            if mini:
                done = rendered / "class_dict.json"
                self.stages.append(
                    Stage("mini", "mini", "mini", mini, rendered, done, (), title="mini")
                )
        keys = {**root, "out": str(self.prepared)}
        self.prepare = self._load("prepare", PrepareConfig, None, config.prepare, keys)
        if self.prepare:
            done = self.prepared / DATASET
            inputs = inputs or (self.prepare.root,)
            self.stages.append(
                Stage(
                    "prepare", "prepare", "prepare", self.prepare, self.prepared, done, inputs,
                    title="prepare",
                )
            )  # fmt: skip

    def find_split(self, task: str, setting: str) -> TaskSplit | None:
        """Return the dataset's split of a task and setting, None if it has none."""
        return find_split(self.prepared, self._dataset, task, setting)

    def training_lists(self, data: Sequence[str], task: str) -> TrainingLists | None:
        """Return the manifests of a training on named data for a task; None if it has none.

        data: source, target, names of variants. A training on the target's labels is validated on
        target clips too.
        """
        parts = [self._part(name, task) for name in data]
        setting = "target_only" if TARGET in data else "source_only"
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
        setting = "target_only" if name == TARGET else "source_only"
        split = self.find_split(task, setting)
        if split is None:
            self.left_out.append(f"{task}: {self._dataset} has no {setting} training")
            return None
        if name in (SOURCE, TARGET):
            return TrainingPart(split.train, self.canonical(split) / "train.csv")
        variant = self.config.variants.get(name)
        if variant is None:  # `name_checks` reports it
            return None
        if not split.synthetic:
            self.left_out.append(f"{name} in {task}: its source clips are real already")
            return None
        if isinstance(variant, RandomizedVariant):
            return self._randomized(name, variant, split, task)
        if isinstance(variant, CameraMatchedVariant):
            return self._camera_matched(name, variant, task)
        return self._translated(name, variant, split, task)

    def canonical(self, split: TaskSplit) -> Path:
        """Return the folder of the first split that has the same training clips."""
        return self._lists.setdefault(split.train, split.folder)

    def _randomized(
        self, name: str, variant: RandomizedVariant, split: TaskSplit, task: str
    ) -> TrainingPart | None:
        key = folder_name(f"{slug(name)}-{split.train}")
        source, out = self.canonical(split) / "train.csv", self.config.out / "randomized" / key
        if key not in self._manifests:
            keys = {"input": str(source), "out": str(out)}
            config = self._load(f"variants.{name}", RandomizeConfig, None, variant.change, keys)
            if config is None:
                return None
            kind, title = f"randomize {name}", f"randomize: {name}, {task}"
            done = out / "DONE"
            self._add(key, Stage(key, kind, "randomize", config, out, done, (source,), title=title))
        return TrainingPart(key, self._manifests[key])

    def _camera_matched(
        self, name: str, variant: CameraMatchedVariant, task: str
    ) -> TrainingPart | None:
        original, target = self._part(variant.of, task), self.find_split(task, "adapted")
        if original is None or target is None:
            return None
        key = folder_name(f"{slug(name)}-{original.key}-{target.target}")
        out, clips = self.config.out / "camera_matched" / key, self._target(target)
        if key not in self._manifests:
            keys = {"input": str(original.manifest), "target": str(clips), "out": str(out)}
            config = self._load(f"variants.{name}", CameraJobConfig, None, variant.change, keys)
            if config is None:
                return None
            inputs = (original.manifest, clips)
            kind, title = f"match cameras {name}", f"match cameras: {name}, {task}"
            done = out / "DONE"
            self._add(key, Stage(key, kind, "camera", config, out, done, inputs, title=title))
        return TrainingPart(key, self._manifests[key])

    def _translated(
        self, name: str, variant: TranslatedVariant, split: TaskSplit, task: str
    ) -> TrainingPart | None:
        target = self.find_split(task, "adapted")
        assert target is not None, "a task with a source has an adapted setting"
        key = f"{slug(name)}-{split.train}"
        if variant.needs_target:
            key += f"-{target.target}"
        key = folder_name(key)
        if key in self._manifests:
            return TrainingPart(key, self._manifests[key])
        source, out = self.canonical(split) / "train.csv", self.config.out / "translated" / key
        clips = self._target(target)
        keys: dict[str, Any] = {"input": str(source), "out": str(out)}
        if variant.camera:
            keys["camera.target"] = str(clips)
        config = self._load(f"variants.{name}", TranslateConfig, variant.file, variant.change, keys)
        known = [one for one in variant.personalized if one in self.config.personalize]
        shared = config is not None and config.backbone.takes_base and not variant.own_weights
        if shared and self.config.weights is None:
            self.left_out.append(f"{name}: no diffusion model; name its folder by weights=DIR")
            return None
        learned = {one: self._personalized(one, target, clips, task) for one in known}
        if config is None or None in learned.values():
            return None
        results = {one: result for one, result in learned.items() if result}
        backbone = config.backbone
        if shared and self.config.weights is not None:
            backbone = backbone.with_base(self.config.weights)
        self.problems += [f"variants.{name}: {line}" for line in backbone.folder_problems()]
        for method, result in results.values():
            backbone = backbone.with_personalized(method, result)
        config = config.model_copy(update={"backbone": backbone})
        inputs = (source, *((clips,) if variant.needs_target else ()))
        inputs += tuple(result.parent / "DONE" for _, result in results.values())
        kind, title, done = f"translate {name}", f"translate: {name}, {task}", out / "DONE"
        self._add(key, Stage(key, kind, "translate", config, out, done, inputs, title=title))
        if name not in self.translations:
            self.translations[name] = out
            self.gallery = self.gallery or source
        return TrainingPart(key, self._manifests[key])

    def _personalized(
        self, name: str, target: TaskSplit, clips: Path, task: str
    ) -> tuple[str, Path] | None:
        """Plan a personalization on a task's target; return its method and result file.

        clips: manifest of the target's unlabeled clips. None if its config has mistakes.
        """
        recipe: Recipe = self.config.personalize[name]
        key = folder_name(f"{slug(name)}-{target.target}")
        run = self.config.out / "personalized" / key
        keys = {"run": str(run), "target": str(clips)}
        config = self._load(
            f"personalize.{name}", schema_of("personalize"), recipe.file, recipe.change, keys
        )
        if config is None:
            return None
        if self.config.weights is not None:
            config = config.with_base(self.config.weights)
        if key not in self._manifests:
            kind, title = f"personalize {name}", f"personalize: {name}, {task}"
            done = run / "DONE"
            self._add(
                key, Stage(key, kind, "personalize", config, run, done, (clips,), title=title)
            )
        return config.method.name, config.result

    def _target(self, target: TaskSplit) -> Path:
        """Return the manifest of unlabeled target clips, one for all splits with the same list."""
        return self._lists.setdefault(f"target {target.target}", target.folder) / "target.csv"

    def _add(self, key: str, stage: Stage) -> None:
        self.stages.append(stage)
        self._manifests[key] = stage.out / "manifest.csv"

    def _load(
        self, where: str, schema: type[C], file: Path | None, *keys: Mapping[str, Any]
    ) -> C | None:
        try:
            return load(schema, file, *keys)
        except ConfigError as error:
            self.problems += [f"{where}: {problem}" for problem in error.problems]
            return None
