"""The manifests that are trained on, and the stages that make those which are not there."""

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
from vidda.experiment.names import slug
from vidda.experiment.stage import Stage
from vidda.experiment.task_splits import Experiment, experiment
from vidda.mini.job import MiniConfig
from vidda.translate.translate_config import TranslateConfig

C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """A manifest to train on. key: its name; equal keys are the same clips."""

    key: str
    manifest: Path


@dataclass(frozen=True, slots=True)
class TrainingLists:
    """What one training reads. key: its name; equal keys are the same clips."""

    key: str
    train: tuple[Path, ...]
    val: Path


class Maker:
    """Plans what makes the data: rendering, preparing, and the variants.

    Each variant is made once, for all tasks that need it, and all trainings on it.

    prepare: None where its config has mistakes. translations: their folders by name. gallery: the
    source of the first of them. problems, left_out: a line each.
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
        self._made: dict[str, Path] = {}

    def start(self) -> None:
        """Plan rendering and preparing, and name the experiments that stand for others."""
        self._data()
        self._dataset = str(self.config.prepare.get("dataset.name", ""))
        if self.prepare:
            self._dataset = self.prepare.dataset.name
        for setting in ("source_only", "target_only", "adapted"):
            for task in self.config.tasks:
                place = self.experiment(task, setting)
                if place and setting == "adapted":
                    self._target(place)
                elif place:
                    self.canonical(place)
        for task in self.config.tasks:
            if self.experiment(task, "source_only") is None:
                self.problems.append(f"tasks: {self._dataset} has no task {task!r}")

    def _data(self) -> None:
        """Render and prepare."""
        config = self.config
        root: dict[str, Any] = {}
        inputs: tuple[Path, ...] = ()
        if config.mini is not None:
            place = config.rendered
            mini = self._load("mini", MiniConfig, None, config.mini, {"out": str(place)})
            root = {"root": str(place)}
            inputs = (place / "class_dict.json",)
            if mini:
                self.stages.append(
                    Stage("mini", "mini", "mini", mini, place, place / "class_dict.json", ())
                )
        keys = {**root, "out": str(self.prepared)}
        self.prepare = self._load("prepare", PrepareConfig, None, config.prepare, keys)
        if self.prepare:
            done = self.prepared / DATASET
            inputs = inputs or (self.prepare.root,)
            self.stages.append(
                Stage("prepare", "prepare", "prepare", self.prepare, self.prepared, done, inputs)
            )

    def experiment(self, task: str, setting: str) -> Experiment | None:
        """Return one of the dataset's experiments, if it has it."""
        return experiment(self.prepared, self._dataset, task, setting)

    def lists(self, data: Sequence[str], task: str) -> TrainingLists | None:
        """What a training on such data reads for a task; None where there is no such thing.

        Trained on the target's own labels, it is validated on its own clips too.
        """
        parts = [self._part(name, task) for name in data]
        setting = "target_only" if TARGET in data else "source_only"
        place = self.experiment(task, setting)
        known = [part for part in parts if part]
        if place is None or len(known) < len(parts):
            return None
        # The first experiment that has this list of validation clips stands for all.
        val = self.canonical(place) / "val.csv"
        return TrainingLists("-".join(p.key for p in known), tuple(p.manifest for p in known), val)

    def target(self, task: str) -> Path | None:
        """Return the unlabeled target clips of a task."""
        place = self.experiment(task, "adapted")
        return None if place is None else self._target(place)

    def _part(self, name: str, task: str) -> TrainingPart | None:
        """What a part of an arm's data is for a task; None where there is no such thing."""
        setting = "target_only" if name == TARGET else "source_only"
        place = self.experiment(task, setting)
        if place is None:
            self.left_out.append(f"{task}: {self._dataset} has no {setting} training")
            return None
        if name in (SOURCE, TARGET):
            return TrainingPart(place.train, self.canonical(place) / "train.csv")
        variant = self.config.variants.get(name)
        if variant is None:  # `names` has told it
            return None
        if not place.synthetic:
            self.left_out.append(f"{name} in {task}: its source clips are real already")
            return None
        if isinstance(variant, RandomizedVariant):
            return self._randomized(name, variant, place)
        if isinstance(variant, CameraMatchedVariant):
            return self._camera_matched(name, variant, task)
        return self._translated(name, variant, place, task)

    def canonical(self, place: Experiment) -> Path:
        """Return the folder of the first experiment that has the same training clips."""
        return self._lists.setdefault(place.train, place.folder)

    def _randomized(
        self, name: str, variant: RandomizedVariant, place: Experiment
    ) -> TrainingPart | None:
        key = f"{slug(name)}-{place.train}"
        source, out = self.canonical(place) / "train.csv", self.config.out / "randomized" / key
        if key not in self._made:
            keys = {"input": str(source), "out": str(out)}
            config = self._load(f"variants.{name}", RandomizeConfig, None, variant.change, keys)
            if config is None:
                return None
            kind = f"randomize {name}"
            self._add(key, Stage(key, kind, "randomize", config, out, out / "DONE", (source,)))
        return TrainingPart(key, self._made[key])

    def _camera_matched(
        self, name: str, variant: CameraMatchedVariant, task: str
    ) -> TrainingPart | None:
        still, target = self._part(variant.of, task), self.experiment(task, "adapted")
        if still is None or target is None:
            return None
        key = f"{slug(name)}-{still.key}-{target.target}"
        out, clips = self.config.out / "camera_matched" / key, self._target(target)
        if key not in self._made:
            keys = {"input": str(still.manifest), "target": str(clips), "out": str(out)}
            config = self._load(f"variants.{name}", CameraJobConfig, None, variant.change, keys)
            if config is None:
                return None
            inputs = (still.manifest, clips)
            self._add(
                key,
                Stage(key, f"match cameras {name}", "camera", config, out, out / "DONE", inputs),
            )
        return TrainingPart(key, self._made[key])

    def _translated(
        self, name: str, variant: TranslatedVariant, place: Experiment, task: str
    ) -> TrainingPart | None:
        target = self.experiment(task, "adapted")
        assert target is not None, "a task with a source has an adapted setting"
        key = f"{slug(name)}-{place.train}"
        if variant.needs_target:
            key += f"-{target.target}"
        if key in self._made:
            return TrainingPart(key, self._made[key])
        source, out = self.canonical(place) / "train.csv", self.config.out / "translated" / key
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
        learned = {one: self._personalized(one, target, clips) for one in known}
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
        kind = f"translate {name}"
        self._add(key, Stage(key, kind, "translate", config, out, out / "DONE", inputs))
        if name not in self.translations:
            self.translations[name] = out
            self.gallery = self.gallery or source
        return TrainingPart(key, self._made[key])

    def _personalized(self, name: str, target: Experiment, clips: Path) -> tuple[str, Path] | None:
        """Return the method and the result of a personalization on a task's target."""
        recipe: Recipe = self.config.personalize[name]
        key = f"{slug(name)}-{target.target}"
        run = self.config.out / "personalized" / key
        keys = {"run": str(run), "target": str(clips)}
        config = self._load(
            f"personalize.{name}", schema_of("personalize"), recipe.file, recipe.change, keys
        )
        if config is None:
            return None
        if self.config.weights is not None:
            config = config.with_base(self.config.weights)
        if key not in self._made:
            kind = f"personalize {name}"
            self._add(key, Stage(key, kind, "personalize", config, run, run / "DONE", (clips,)))
        return config.method.name, config.result

    def _target(self, target: Experiment) -> Path:
        """Return the unlabeled target clips: the first list of the same name stands for all."""
        return self._lists.setdefault(f"target {target.target}", target.folder) / "target.csv"

    def _add(self, key: str, stage: Stage) -> None:
        self.stages.append(stage)
        self._made[key] = stage.out / "manifest.csv"

    def _load(
        self, where: str, schema: type[C], file: Path | None, *keys: Mapping[str, Any]
    ) -> C | None:
        try:
            return load(schema, file, *keys)
        except ConfigError as error:
            self.problems += [f"{where}: {problem}" for problem in error.problems]
            return None
