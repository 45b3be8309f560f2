"""What `vidda run` is told: arms x recognizers x seeds x tasks, and how their data is made.

How data is made is the same for `vidda sweep`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from vidda import config as configs
from vidda.config import Config, FileName
from vidda.evaluate.transfer import TASKS

C = TypeVar("C", bound=Config)
Name = Annotated[FileName, Field(pattern=r"^\w[\w .+-]*$")]
Keys = dict[str, Any]
"""Keys of a command's config as on its command line: dotted names and their values."""

SOURCE, TARGET = "source", "target"
"""What an arm may be trained on besides the variants."""


def load(schema: type[C], file: Path | None, *keys: Mapping[str, Any]) -> C:
    """Return a command's config from a file (optional) and keys, later ones over earlier ones.

    Raises ConfigError with every mistake.
    """
    layers = (
        [f"{name}={json.dumps(value, default=str)}" for name, value in some.items()]
        for some in keys
    )
    return configs.load(schema, file, *layers)


class Recipe(Config):
    """A command's config: a file, and the keys that differ from it."""

    file: Path | None = Field(default=None, description="a config of the command; null: none")
    change: Keys = Field(default={}, description="keys over the file's, `key.sub: value`")


class RecognizerRecipe(Recipe):
    """A recipe of vidda train; run, data, seed and epochs are the job's."""

    steps: int = Field(ge=1, description="of every training, to the nearest whole epoch")


class RandomizedVariant(Config):
    """Background and clothes replaced through the masks of the sidecars, by vidda randomize."""

    name: Literal["randomized"] = "randomized"
    change: Keys = Field(default={}, description="keys of vidda randomize, `key.sub: value`")


class TranslatedVariant(Recipe):
    """A translation by vidda translate."""

    name: Literal["translated"] = "translated"
    own_weights: bool = Field(
        default=False,
        description="the recipe names its weights; false: those of the job's key weights",
    )
    personalized: tuple[Name, ...] = Field(
        default=(), description="names of the job's personalize whose results are used"
    )
    camera: bool = Field(default=False, description="give clips the cameras of the task's target")

    @property
    def needs_target(self) -> bool:
        """Return whether it looks different for another target."""
        return self.camera or bool(self.personalized)


class CameraMatchedVariant(Config):
    """Clips with the cameras of each task's unlabeled target, by vidda camera: no model.

    Of a translation, one is enough for all targets.
    """

    name: Literal["camera_matched"] = "camera_matched"
    of: Name = Field(
        default=SOURCE, description="source, or a variant that is not camera-matched itself"
    )
    change: Keys = Field(default={}, description="keys of vidda camera, `key.sub: value`")


Variant = Annotated[
    RandomizedVariant | TranslatedVariant | CameraMatchedVariant, Field(discriminator="name")
]


class Adaptation(Config):
    """Each training of the arm is gone on with by vidda adapt, to its task's unlabeled target."""

    steps: int = Field(ge=1, description="of every adaptation, to the nearest whole epoch")
    change: Keys = Field(
        description="keys of vidda adapt over the recognizer's own; method.name is needed"
    )


class Arm(Config):
    """What recognizers are trained on; everything else is the same for all arms."""

    data: tuple[str, ...] = Field(
        min_length=1,
        description="source, target (target-only training) and names of variants of the source",
    )
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        default=None, description="share of each of them in an epoch; null: every clip once"
    )
    augment: bool = Field(default=True, description="with the job's augmentation")
    adapt: Adaptation | None = Field(
        default=None, description="what follows the training; null: nothing"
    )


class DataConfig(Config):
    """What trainings are made on: the data, its tasks, and what is made of the synthetic source."""

    out: Path = Field(description="folder that everything is written to")
    mini: Keys | None = Field(
        default=None,
        description="keys of vidda mini, which renders the data, in OUT/data unless its out says"
        " otherwise; null: it is there",
    )
    prepare: Keys = Field(
        description="keys of vidda prepare, which writes OUT/prepared unless its out says"
        " otherwise; root only without mini"
    )
    tasks: tuple[FileName, ...] = Field(default=TASKS, min_length=1, description="transfer tasks")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(0,), min_length=1, description="of training; each is a training of its own"
    )
    weights: Path | None = Field(
        default=None,
        description="folder of the translations' model, all its parts in it; null: what needs it is"
        " left out",
    )
    personalize: dict[Name, Recipe] = Field(
        default={}, description="configs of vidda personalize; run and target are set here"
    )
    variants: dict[Name, Variant] = Field(
        default={}, description="what is made of the synthetic source's clips, by name"
    )
    report: Keys = Field(default={}, description="keys of vidda report: title, gap, gallery, ...")

    @property
    def rendered(self) -> Path:
        """Where the data are rendered."""
        return Path((self.mini or {}).get("out", self.out / "data"))

    @property
    def prepared(self) -> Path:
        """Where vidda prepare writes."""
        return Path(self.prepare.get("out", self.out / "prepared"))


class ExperimentConfig(DataConfig):
    """One job from videos to a transfer report."""

    recognizers: dict[Name, RecognizerRecipe] = Field(
        min_length=1, description="a transfer table and a report for each"
    )
    augmentation: Keys = Field(
        default={}, description="keys of vidda train's transform that arms with augment set"
    )
    arms: dict[Name, Arm] = Field(min_length=1, description="rows of the transfer table")
    watch: bool = Field(
        default=False,
        description="predict the test clips after each epoch too, for the oracle epoch",
    )
    at_once: int = Field(
        default=1,
        ge=1,
        description="stages that run side by side, each with its share of the cores; they share a"
        " GPU too",
    )
    evaluate: Keys = Field(default={}, description="keys of vidda evaluate: how clips are shown")
    gpu_tflops: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="TFLOP/s that GPU hours are told for; null: they are not told"
    )
