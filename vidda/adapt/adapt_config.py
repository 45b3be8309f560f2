"""What `vidda adapt` is told, and the manifests that it reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.adapt.joint import MethodSettings
from vidda.adapt.methods import MethodConfig
from vidda.adapt.pairing import keep_together, parents
from vidda.data import load_manifest
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, EpochScore
from vidda.recognize.train_config import TrainConfig, TrainData, load_data
from vidda.types import Manifest


class AdaptConfig(TrainConfig):
    """What is adapted, from what to what, and how; `train` and `val` are the source's."""

    target: Path = Field(description="manifest of target clips; labels in it are not read")
    target_batch_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="target clips a step; null: as many as of the source"
    )
    method: MethodConfig = Field(description="how to adapt, chosen by its name")
    start: Path | None = Field(
        None, description="run or checkpoint of the same recognizer to begin with; null: as built"
    )
    features: bool = Field(
        False,
        description="keep features of val and target of each epoch, for scores that need them",
    )
    frozen: Path | None = Field(
        None,
        description="folder for what the model makes of clips below its pooling over time, which"
        " then stays as it is and is computed once, as in testing; null: all of it learns",
    )
    select: EpochScore | Literal["last"] = Field(  # type: ignore[assignment] # more than training
        SOURCE_VALIDATION,
        description="score that chooses the epoch, none of which knows target labels; last: none",
    )

    @property
    def target_clips(self) -> int:
        """Return how many target clips a step has."""
        return self.target_batch_size or self.batch_size


@dataclass(frozen=True)
class AdaptData(TrainData):
    """The manifests of a run. target: without labels, whatever its file holds."""

    target: Manifest

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", self.target.unlabeled())

    def trained_on(self) -> dict[str, Manifest]:
        """See `TrainData.trained_on`."""
        return {**super().trained_on(), "target": self.target}

    def order(self, config: TrainConfig, epoch: int) -> np.ndarray:
        """Return the source's items of one epoch; with a method of pairs, these stand together."""
        items = super().order(config, epoch)
        assert isinstance(config, AdaptConfig)
        return keep_together(items, parents(self.train)) if config.method.paired else items

    def steps(self, config: AdaptConfig) -> int:
        """Return steps of an epoch: once through the source, or through the target where it is
        alone.
        """
        if config.method.source_free:
            return len(self.target) // config.target_clips
        return len(self.train) * config.repeats // config.batch_size

    def setting(self, config: AdaptConfig) -> MethodSettings:
        """What a method may know."""
        mixes = config.mixup > 0 or config.cutmix > 0
        return MethodSettings(
            config.transform.size, len(self.target), parents(self.train), mixes, config.compile
        )


def load_adapt_data(config: AdaptConfig) -> AdaptData:
    """Read every manifest of a run; the target is watched too, for scores without labels."""
    data = load_data(config)
    target = load_manifest(config.target).unlabeled().under(data.train.classes)
    watch = {**data.watch, "target": target}
    return AdaptData(data.train, data.sizes, data.val, watch, target)
