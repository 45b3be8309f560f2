"""Config of `vidda sweep`: methods x seeds x tasks, and the search over keys."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vidda.config import Config, Count
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, EpochScore
from vidda.evaluate.summary import Intervals
from vidda.experiment.experiment_config import SOURCE, DataConfig, Keys, Name, Recipe

AGREEMENT = "agreement"


class Range(Config):
    """A range of numbers for a searched key, for Optuna."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(default=False, description="sample on a logarithmic scale")
    whole: bool = Field(default=False, description="sample integers only")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"low {self.low} must be below high {self.high}, above 0 with log")
        return self


Values = Range | Annotated[tuple[Any, ...], Field(min_length=1)]
"""Values of a searched key: a list, or for Optuna a range."""


class GridSearch(Config):
    """Search over every combination of the values."""

    name: Literal["grid"] = "grid"


class OptunaSearch(Config):
    """Search by Optuna (TPE), separately for each method and task."""

    name: Literal["optuna"] = "optuna"
    points: int = Field(default=20, ge=1, description="number of combinations to try")
    together: int = Field(
        default=1,
        ge=1,
        description="number of combinations proposed at once, for parallel trials; another number"
        " gives other proposals",
    )
    seed: int = Field(default=0, ge=0, description="seed of the proposals")


class MethodRecipe(Recipe):
    """Settings of vidda adapt or vidda train; the sweep sets run, data, seed and select."""

    command: Literal["adapt", "train"] = Field(
        default="adapt",
        description="adapt: to the unlabeled target; train: on labels, e.g. of data: [target]",
    )
    data: tuple[str, ...] = Field(
        default=(SOURCE,),
        min_length=1,
        description="training data: source, target, names of variants",
    )
    start: Name | None = Field(
        default=None, description="method whose run of the same task and seed it starts from"
    )
    stream: bool = Field(
        default=False,
        description="adapt to the test clips one after the other; the result is the prediction of"
        " each clip at its turn",
    )
    steps: Count | None = Field(
        default=None,
        description="optimizer steps of each training on source clips, rounded to whole epochs;"
        " null: the sweep's",
    )
    select_epoch: EpochScore | Literal["last"] | None = Field(
        default=None,
        description="score that selects its epoch, or last, which uses nothing of the target;"
        " null: the sweep's",
    )
    keys: dict[str, Values] = Field(
        default={}, description="further keys searched for this method, with their values"
    )


class SweepConfig(DataConfig):
    """Config of `vidda sweep`: methods x seeds x tasks, and the search over keys."""

    methods: dict[Name, MethodRecipe] = Field(
        min_length=1, description="methods by name, the rows of the table"
    )
    baseline: Name | None = Field(
        default=None, description="method that gains are reported over, seed by seed; null: none"
    )
    change: Keys = Field(default={}, description="keys that replace those of every method's file")
    steps: Count | None = Field(
        default=None,
        description="optimizer steps of each training on source clips, rounded to whole epochs;"
        " null: each config's epochs",
    )
    keys: dict[str, Values] = Field(
        default={}, description="keys searched for every method, with their values"
    )
    search: Annotated[GridSearch | OptunaSearch, Field(discriminator="name")] = Field(
        default=GridSearch(), description="choice of the combinations of keys to try"
    )
    select_epoch: EpochScore | Literal["last"] = Field(
        default=SOURCE_VALIDATION,
        description="score that selects the epoch of each run of vidda adapt; last: the last epoch,"
        " of vidda train too",
    )
    select_point: EpochScore | Literal["agreement"] = Field(
        default=SOURCE_VALIDATION,
        description="score that chooses among combinations: its mean over seeds at the selected"
        " epochs",
    )
    intervals: Intervals = Field(
        default=Intervals(), description="confidence intervals of the accuracies"
    )

    def epoch_score(self, method: str) -> EpochScore | Literal["last"]:
        """Return the score that selects the epoch of a method's runs, or "last"."""
        return self.methods[method].select_epoch or self.select_epoch

    def searched_keys(self, method: str) -> dict[str, Values]:
        """Return the keys that are searched for a method, with their values."""
        return {**self.keys, **self.methods[method].keys}
