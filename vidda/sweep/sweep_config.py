"""What `vidda sweep` is told: methods x seeds x tasks, what is searched, and how."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vidda.config import Config
from vidda.evaluate.label_free_scores import VALIDATION, EpochScore
from vidda.evaluate.summary import Intervals
from vidda.experiment.experiment_config import SOURCE, DataConfig, Keys, Name, Recipe

AGREEMENT = "agreement"


class Range(Config):
    """Numbers between two ends, for Optuna."""

    low: float = Field(description="the least")
    high: float = Field(description="the greatest")
    log: bool = Field(default=False, description="even on a logarithmic scale")
    whole: bool = Field(default=False, description="whole numbers only")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"low {self.low} must be below high {self.high}, above 0 with log")
        return self


Values = Range | Annotated[tuple[Any, ...], Field(min_length=1)]
"""What a searched key may be: one of a list, or for Optuna anything in a range."""


class GridSearch(Config):
    """Every combination of the values."""

    name: Literal["grid"] = "grid"


class OptunaSearch(Config):
    """So many combinations as Optuna proposes (TPE), apart for each method and task."""

    name: Literal["optuna"] = "optuna"
    points: int = Field(default=20, ge=1, description="combinations that are tried")
    together: int = Field(
        default=1, ge=1, description="proposed at once, for parallel trials; decides the proposals"
    )
    seed: int = Field(default=0, ge=0, description="decides the proposals")


class LocalExecutor(Config):
    """One trial after the other."""

    name: Literal["local"] = "local"


class RayExecutor(Config):
    """Trials side by side, by Ray; joins the cluster that RAY_ADDRESS names, else starts one."""

    name: Literal["ray"] = "ray"
    workers: int = Field(default=2, ge=1, description="trials at once")
    cpus: int = Field(
        default=1, ge=1, description="threads of a trial; another number may round otherwise"
    )
    gpus: float = Field(default=0.0, ge=0, description="GPUs, or the share of one, of a trial")


class MethodRecipe(Recipe):
    """A recipe of vidda adapt or vidda train; run, data, seed and select are the sweep's."""

    command: Literal["adapt", "train"] = Field(
        default="adapt", description="train: with labels alone, such as those of data: [target]"
    )
    data: tuple[str, ...] = Field(
        default=(SOURCE,), min_length=1, description="source, target and names of variants"
    )
    start: Name | None = Field(
        default=None, description="method whose run of the same task and seed it begins with"
    )
    stream: bool = Field(
        default=False,
        description="adapt to the test clips as they come; what is said of each then is the result",
    )
    steps: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="of its trainings on source clips; null: the sweep's"
    )
    select_epoch: EpochScore | Literal["last"] | None = Field(
        default=None,
        description="what chooses its epoch; null: the sweep's. last for a control that is to know"
        " nothing of the target",
    )
    keys: dict[str, Values] = Field(default={}, description="searched for this method besides")


class SweepConfig(DataConfig):
    """Methods x seeds x tasks, and what is searched for each method and task."""

    methods: dict[Name, MethodRecipe] = Field(min_length=1, description="rows of the table")
    baseline: Name | None = Field(
        default=None, description="method over which gains are told, seed by seed; null: none"
    )
    change: Keys = Field(default={}, description="keys over those of every method's file")
    steps: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="of every training on source clips, to the nearest whole epoch; null: epochs",
    )
    keys: dict[str, Values] = Field(default={}, description="searched for every method")
    search: Annotated[GridSearch | OptunaSearch, Field(discriminator="name")] = Field(
        default=GridSearch(), description="which combinations of keys are tried"
    )
    select_epoch: EpochScore | Literal["last"] = Field(
        default=VALIDATION,
        description="score that chooses the epoch of a vidda adapt; last: none, nor of vidda train",
    )
    select_point: EpochScore | Literal["agreement"] = Field(
        default=VALIDATION,
        description="score that chooses among combinations, as a mean over seeds at that epoch",
    )
    parallel: Annotated[LocalExecutor | RayExecutor, Field(discriminator="name")] = Field(
        default=LocalExecutor(), description="where trials run"
    )
    intervals: Intervals = Field(default=Intervals(), description="of the accuracies")

    def selects(self, method: str) -> EpochScore | Literal["last"]:
        """What chooses the epoch of a method's runs."""
        return self.methods[method].select_epoch or self.select_epoch

    def searched(self, method: str) -> dict[str, Values]:
        """Return the keys that are searched for a method."""
        return {**self.keys, **self.methods[method].keys}
