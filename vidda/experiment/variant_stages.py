"""Stages that make variants: clips made of the source's, or of another variant's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.camera.job import CameraJobConfig
from vidda.config import Config
from vidda.control.mask_job import MaskJobConfig
from vidda.data.randomize import RandomizeConfig
from vidda.data.survey import Survey
from vidda.errors import ViddaError
from vidda.experiment.experiment_config import (
    CameraMatchedVariant,
    DataConfig,
    MaskedVariant,
    RandomizedVariant,
    TranslatedVariant,
    Variant,
    load_or_report,
)
from vidda.experiment.name_checks import folder_name, slug
from vidda.experiment.sidecar_chain import (
    VariantConfig,
    keeps_sidecars,
    sidecar_needs,
    source_arrays,
)
from vidda.experiment.stage import Stage
from vidda.experiment.target_stages import TargetPlanner
from vidda.experiment.task_splits import TaskSplit
from vidda.translate.translate_config import TranslateConfig


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """One manifest of a training. key: its name; equal keys are the same clips."""

    key: str
    manifest: Path


@dataclass(frozen=True, slots=True)
class _PlannedVariant:
    """A variant to plan for a task. part: its own clips. original: those that it is made of.

    target: the task's adapted split. clips: manifest of the target's unlabeled clips.
    """

    name: str
    part: TrainingPart
    original: TrainingPart
    target: TaskSplit
    clips: Path

    @property
    def where(self) -> str:
        """Return the key of the variant in the job's config."""
        return f"variants.{self.name}"

    @property
    def out(self) -> Path:
        """Return the folder to write."""
        return self.part.manifest.parent

    @property
    def keys(self) -> dict[str, Any]:
        """Return the keys that every command takes which makes clips from clips."""
        return {"input": str(self.original.manifest), "out": str(self.out)}

    def stage(self, command: str, action: str, config: Config, *inputs: Path) -> Stage:
        """Return the stage that makes the variant.

        action: what it does, for people. inputs: files besides the original clips.
        """
        needed, kind = (self.original.manifest, *inputs), f"{action} {self.name}"
        title, out = f"{action}: {self.name}, {self.target.task}", self.out
        return Stage(self.part.key, kind, command, config, out, out / "DONE", needed, title=title)


class VariantPlanner:
    """Plans the stages that make variants, each once for all tasks and trainings that need it.

    translations: their folders by name. gallery: source manifest of the first of them. known: the
    experiments of the data. stages, problems, left_out: lists that new stages, a line for each
    mistake and one for each thing that is not done are added to.
    """

    def __init__(
        self, config: DataConfig, stages: list[Stage], problems: list[str], left_out: list[str]
    ) -> None:
        self.config = config
        self.stages = stages
        self.problems = problems
        self.left_out = left_out
        self.translations: dict[str, Path] = {}
        self.gallery: Path | None = None
        self._owners: dict[str, str] = {}
        self.known = Survey({}, {}, None)
        self._without_sidecars: set[Path] = set()
        self._arrays: dict[Path, frozenset[str] | None] = {}
        self._of_target = TargetPlanner(config, stages, problems)

    def plan(
        self,
        name: str,
        variant: Variant,
        original: TrainingPart,
        target: TaskSplit,
        clips: Path,
    ) -> TrainingPart | None:
        """Plan a variant for a task and return its clips; None if it cannot be made.

        original: the clips that it is made of. target: the task's adapted split. clips: manifest of
        the target's unlabeled clips.
        """
        of_target = f"-{target.target}" if variant.needs_target else ""
        key = folder_name(f"{slug(name)}-{original.key}{of_target}")
        part = TrainingPart(key, self.config.out / variant.name / key / "manifest.csv")
        owner = self._owners.get(key)
        if owner is None:
            planned = _PlannedVariant(name, part, original, target, clips)
            stage = self._stage(variant, planned)
            if stage is None:
                return None
            self._owners[key] = name
            assert isinstance(stage.config, VariantConfig)
            self._pass_sidecars_on(planned, stage.config)
            self.stages.append(stage)
        elif owner != name:
            self.problems.append(
                f"variants: {owner} and {name} would both become the folder {key}; rename one"
            )
        return part

    def _stage(self, variant: Variant, planned: _PlannedVariant) -> Stage | None:
        """Return the stage that makes a variant; None if it has mistakes or is left out."""
        match variant:
            case RandomizedVariant():
                return self._randomized(variant, planned)
            case MaskedVariant():
                return self._masked(variant, planned)
            case CameraMatchedVariant():
                return self._camera_matched(variant, planned)
            case TranslatedVariant():
                return self._translated(variant, planned)

    def _randomized(self, variant: RandomizedVariant, planned: _PlannedVariant) -> Stage | None:
        config = load_or_report(
            self.problems, planned.where, RandomizeConfig, None, variant.change, planned.keys
        )
        if config is None or self._lacks_sidecars(planned, config):
            return None
        return planned.stage("randomize", "randomize", config)

    def _masked(self, variant: MaskedVariant, planned: _PlannedVariant) -> Stage | None:
        config = load_or_report(
            self.problems, planned.where, MaskJobConfig, None, variant.change, planned.keys
        )
        if config is None:
            return None
        return planned.stage("mask", "find masks", config)

    def _camera_matched(
        self, variant: CameraMatchedVariant, planned: _PlannedVariant
    ) -> Stage | None:
        keys = {**planned.keys, "target": str(planned.clips)}
        config = load_or_report(
            self.problems, planned.where, CameraJobConfig, None, variant.change, keys
        )
        if config is None:
            return None
        return planned.stage("camera", "match cameras", config, planned.clips)

    def _translated(self, variant: TranslatedVariant, planned: _PlannedVariant) -> Stage | None:
        name, clips, source = planned.name, planned.clips, planned.original
        keys = planned.keys
        if variant.camera:
            keys["camera.target"] = str(clips)
        if variant.captions is not None:
            captions = self._of_target.captions_file(variant.captions, source.key, planned.target)
            keys["prompt.captions"] = str(captions)
        config = load_or_report(
            self.problems, planned.where, TranslateConfig, variant.file, variant.change, keys
        )
        if config is not None and self._lacks_sidecars(planned, config):
            return None
        shared = config is not None and config.backbone.takes_base and not variant.own_weights
        if shared and self.config.weights is None:
            self.left_out.append(f"{name}: no diffusion model; name its folder by weights=DIR")
            return None
        learned = [
            self._of_target.personalization(one, planned.target, clips)
            for one in variant.personalized
            if one in self.config.personalize
        ]
        if config is None or None in learned:
            return None
        base = self.config.weights if shared else None
        config = self._with_weights(planned, config, base, learned)
        inputs = [clips] if variant.needs_target else []
        inputs += [one.run / "DONE" for one in learned]
        if variant.captions is not None:
            inputs.append(
                self._of_target.captions(
                    variant.captions, source.key, source.manifest, planned.target, clips
                )
            )
        shown = name if name not in self.translations else f"{name}, {planned.target.task}"
        self.translations[shown] = planned.out
        self.gallery = self.gallery or source.manifest
        return planned.stage("translate", "translate", config, *inputs)

    def _with_weights(
        self,
        planned: _PlannedVariant,
        config: TranslateConfig,
        base: Path | None,
        learned: list[Any],
    ) -> TranslateConfig:
        """Return a translation's config with the job's model and results of personalization.

        base: folder of the model; None: the config's own. learned: configs of vidda personalize.
        """
        backbone = config.backbone if base is None else config.backbone.with_base(base)
        self.problems += [f"{planned.where}: {line}" for line in backbone.folder_problems()]
        try:
            for one in learned:
                backbone = backbone.with_personalized(one.method.name, one.result)
        except ViddaError as error:
            self.problems.append(f"{planned.where}: {error}")
        return config.model_copy(update={"backbone": backbone})

    def _lacks_sidecars(self, planned: _PlannedVariant, config: VariantConfig) -> bool:
        """Return whether a variant reads sidecars that the clips it is made of do not have.

        A line says so: in `left_out` where the data have none, in `problems` where the variant that
        it is made of cannot have any.
        """
        needs, source = sidecar_needs(config), planned.original
        if not needs:
            return False
        if source.manifest in self._without_sidecars:
            self.problems += [
                f"{planned.where}.of: randomized and shaken clips have no sidecars, which hold"
                f" {need.use}; make it of other data"
                for need in needs
            ]
            return True
        arrays = self._sidecars_of(source)
        lacking = [one for one in needs if arrays is not None and arrays.isdisjoint(one.arrays)]
        for need in lacking:
            remedy = need.remedy.format(where=planned.where)
            self.left_out.append(
                f"{planned.name}: the clips of {source.key} have no {' or '.join(need.arrays)} in"
                f" sidecars; {remedy}"
            )
        return bool(lacking)

    def _sidecars_of(self, source: TrainingPart) -> frozenset[str] | None:
        """Return the names of the arrays in the sidecars of clips; None where not known yet."""
        if source.manifest not in self._arrays:
            try:
                found = source_arrays(self.known, source.key, source.manifest)
            except ViddaError as error:
                self.problems.append(str(error))
                found = None
            self._arrays[source.manifest] = found
        return self._arrays[source.manifest]

    def _pass_sidecars_on(self, planned: _PlannedVariant, config: VariantConfig) -> None:
        """Keep in mind which sidecars the clips of a variant will have."""
        source = planned.original
        if isinstance(config, MaskJobConfig):
            bare = source.manifest in self._without_sidecars
            older = frozenset() if bare else self._sidecars_of(source)
            self._arrays[planned.part.manifest] = None if older is None else older | config.arrays
        elif source.manifest in self._without_sidecars or not keeps_sidecars(config):
            self._without_sidecars.add(planned.part.manifest)
        else:
            self._arrays[planned.part.manifest] = self._sidecars_of(source)
