"""Config of `vidda run`: arms x recognizers x seeds x tasks, and how their data is made.

The data's keys are those of `vidda sweep` too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from vidda import config as configs
from vidda.config import Config, ConfigError, FileName
from vidda.experiment.executor_config import ExecutorConfig, LocalExecutor

C = TypeVar("C", bound=Config)
Name = Annotated[FileName, Field(pattern=r"^\w[\w .+-]*$")]
Keys = dict[str, Any]
"""Keys of a command's config as on its command line: dotted names, and their values."""

SOURCE, TARGET = "source", "target"
"""Names of data that an arm may be trained on besides the variants."""


def load(schema: type[C], file: Path | None, *keys: Mapping[str, Any]) -> C:
    """Load a command's config from a file (optional) and keys, of which later ones win.

    schema: class of the config. Raises ConfigError with every mistake.
    """
    layers = (
        [f"{name}={json.dumps(value, default=str)}" for name, value in some.items()]
        for some in keys
    )
    return configs.load(schema, file, *layers)


def load_or_report(
    problems: list[str],
    where: str,
    schema: type[C],
    file: Path | None,
    *keys: Mapping[str, Any],
) -> C | None:
    """Load a command's config as `load` does; None with a line for each mistake in `problems`.

    where: key of the job's config, which the lines begin with.
    """
    try:
        return load(schema, file, *keys)
    except ConfigError as error:
        problems += [f"{where}: {problem}" for problem in error.problems]
        return None


class Recipe(Config):
    """Settings of a command: a config file, and keys that replace the file's."""

    file: Path | None = Field(
        default=None, description="config file of the command; null: its defaults"
    )
    change: Keys = Field(
        default={}, description="keys that replace the file's, as `key.sub: value`"
    )


class RecognizerRecipe(Recipe):
    """Settings of vidda train; the job sets run, data, seed and epochs."""

    steps: int = Field(
        ge=1, description="optimizer steps of each training, rounded to whole epochs"
    )
    arms: tuple[Name, ...] | None = Field(
        default=None, description="arms that it is trained for; null: all"
    )
    augmentation: Keys | None = Field(
        default=None,
        description="keys of vidda train for arms with augment, as `model.augment.flip: true`, of a"
        " recognizer that takes poses; null: the job's",
    )


class PersonalizeRecipe(Recipe):
    """Settings of vidda personalize; the job sets run and target, and the model to start from."""

    base: Name | None = Field(
        default=None,
        description="name in personalize whose result is personalized further; null: the model of"
        " the job's key weights, or of this config without one",
    )


Origin = Annotated[Name, Field(description="data that it is made of: source, or another variant")]


class RandomizedVariant(Config):
    """Clips with background and clothing replaced by vidda randomize, by the sidecars' masks."""

    needs_target: ClassVar[bool] = False

    name: Literal["randomized"] = "randomized"
    of: Origin = SOURCE
    change: Keys = Field(default={}, description="keys of vidda randomize, as `key.sub: value`")


class MaskedVariant(Config):
    """The same clips with masks of people by vidda mask, for variants that are made of this one."""

    needs_target: ClassVar[bool] = False

    name: Literal["masked"] = "masked"
    of: Origin = SOURCE
    change: Keys = Field(default={}, description="keys of vidda mask, as `key.sub: value`")


class TranslatedVariant(Recipe):
    """Clips translated by vidda translate."""

    name: Literal["translated"] = "translated"
    of: Origin = SOURCE
    own_weights: bool = Field(
        default=False,
        description="take the weights that this config names; false: the folder of the job's key"
        " weights",
    )
    personalized: tuple[Name, ...] = Field(
        default=(), description="names in the job's key personalize whose results are used"
    )
    captions: Name | None = Field(
        default=None,
        description="name in the job's key captions whose result is prompt.captions; null: none",
    )
    camera: bool = Field(
        default=False, description="match the cameras of the task's unlabeled target"
    )

    @property
    def needs_target(self) -> bool:
        """Return whether its clips depend on the task's target."""
        return self.camera or bool(self.personalized) or self.captions is not None


class CameraMatchedVariant(Config):
    """Clips matched by vidda camera to the cameras of each task's unlabeled target.

    No model is needed, and one translation can be matched to several targets.
    """

    needs_target: ClassVar[bool] = True

    name: Literal["camera_matched"] = "camera_matched"
    of: Name = Field(
        default=SOURCE,
        description="data to match: source, or a variant that is not camera-matched itself",
    )
    change: Keys = Field(default={}, description="keys of vidda camera, as `key.sub: value`")


Variant = Annotated[
    RandomizedVariant | MaskedVariant | TranslatedVariant | CameraMatchedVariant,
    Field(discriminator="name"),
]


class Adaptation(Config):
    """Settings of vidda adapt, which starts from each training of an arm.

    It adapts to the unlabeled target of the training's task.
    """

    steps: int = Field(
        ge=1, description="optimizer steps of each adaptation, rounded to whole epochs"
    )
    change: Keys = Field(
        description="keys of vidda adapt that replace the recognizer's; method.name is required"
    )


class Arm(Config):
    """Training data of recognizers, a row of the table; everything else is equal for all arms."""

    data: tuple[str, ...] = Field(
        min_length=1,
        description="training data: source, target (target-only training), names of variants",
    )
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        default=None,
        description="relative share of each of data in an epoch; null: every clip once",
    )
    augment: bool = Field(default=True, description="apply the job's augmentation")
    adapt: Adaptation | None = Field(
        default=None, description="adaptation that follows each training; null: none"
    )


class DataConfig(Config):
    """Data of a job: how it is made, its tasks and seeds, and variants of the synthetic source."""

    out: Path = Field(description="folder that everything is written to")
    mini: Keys | None = Field(
        default=None,
        description="keys of vidda mini, which renders the data into OUT/data, or the folder of"
        " its key out; null: the data exists already",
    )
    prepare: Keys = Field(
        description="keys of vidda prepare, which writes OUT/prepared, or the folder of its key"
        " out; give root only without mini"
    )
    tasks: tuple[FileName, ...] = Field(
        default=(), description="transfer tasks; none: every task of the dataset"
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(0,), min_length=1, description="seeds of training; each is a separate training"
    )
    weights: Path | None = Field(
        default=None,
        description="folder with all files of the translations' model; null: stages that need it"
        " are left out",
    )
    personalize: dict[Name, PersonalizeRecipe] = Field(
        default={},
        description="settings of vidda personalize, by name; the job sets run and target",
    )
    captions: dict[Name, Recipe] = Field(
        default={},
        description="settings of vidda caption, by name; the job sets source, target and out",
    )
    variants: dict[Name, Variant] = Field(
        default={}, description="variants made of the synthetic source's clips, by name"
    )
    report: Keys = Field(default={}, description="keys of vidda report: title, gap, gallery, ...")
    executor: ExecutorConfig = Field(
        default=LocalExecutor(), description="where stages run: on this machine, or by Ray"
    )

    @property
    def rendered(self) -> Path:
        """Return the folder that vidda mini renders the data into."""
        return Path((self.mini or {}).get("out", self.out / "data"))

    @property
    def prepared(self) -> Path:
        """Return the folder that vidda prepare writes."""
        return Path(self.prepare.get("out", self.out / "prepared"))


class ExperimentConfig(DataConfig):
    """Config of `vidda run`: one job from videos to a transfer report."""

    recognizers: dict[Name, RecognizerRecipe] = Field(
        min_length=1,
        description="recognizers by name; each has its own transfer table and report",
    )
    augmentation: Keys = Field(
        default={},
        description="keys of vidda train's transform for arms with augment; a recognizer may have"
        " its own",
    )
    arms: dict[Name, Arm] = Field(min_length=1, description="rows of the transfer table")
    watch: bool = Field(
        default=False,
        description="predict the test clips after each epoch as well, for the oracle epoch",
    )
    evaluate: Keys = Field(
        default={}, description="keys of vidda evaluate: sampling and size of test clips, device"
    )
    gpu_tflops: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="TFLOP/s of the GPU for the estimate of GPU hours; null: no estimate",
    )
