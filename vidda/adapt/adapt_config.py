"""The config of `vidda adapt`, and the manifests that a run reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from vidda.adapt.joint import MethodSettings
from vidda.adapt.methods import AnyMethodConfig
from vidda.config import Count
from vidda.data import load_manifest
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, EpochScore
from vidda.recognize.train_config import TrainConfig, TrainData, load_data
from vidda.types import Manifest

TARGET = "target"
"""Name of the target's predictions and features in a run."""


class AdaptConfig(TrainConfig):
    """The config of `vidda adapt`: that of `vidda train`, whose `train` and `val` are the source's,
    and more.

    `label_smoothing` is for the source's labels of every method: of the methods' released codes
    only CoMix smooths labels while it adapts, so 0 is as published for the others.
    """

    target: Path = Field(description="manifest of target clips; labels in it are not read")
    target_batch_size: Count | None = Field(
        None, description="target clips in a step; null: the same as batch_size"
    )
    method: AnyMethodConfig = Field(description="adaptation method, chosen by its name")
    start: Path | None = Field(
        None,
        description="run or checkpoint of the same recognizer to start from; null: model as built",
    )
    features: bool = Field(
        False,
        description="save the features of val and target after each epoch, for scores that need"
        " them",
    )
    frozen: Path | None = Field(
        None,
        description="folder for the outputs of layers below the pooling over time, which are then"
        " frozen and computed once per clip, as in testing; null: all layers learn",
    )
    select: EpochScore | Literal["last"] = Field(  # type: ignore[assignment] # more than training
        SOURCE_VALIDATION,
        description="score that chooses the epoch, all without target labels; last: the last",
    )

    @property
    def target_clips(self) -> int:
        """The number of target clips in a step."""
        return self.target_batch_size or self.batch_size


@dataclass(frozen=True)
class AdaptData(TrainData[AdaptConfig]):
    """The manifests of a run. target: its labels are dropped, whatever its file holds."""

    target: Manifest

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", self.target.unlabeled())

    def trained_on(self) -> dict[str, Manifest]:
        """Return the manifests that the weights learn from, by name; the target is one of them."""
        return {**super().trained_on(), "target": self.target}

    def order(self, config: AdaptConfig, epoch: int) -> np.ndarray:
        """Return the source's items of one epoch, (N,) int64; for a paired method, translations
        follow their clips.
        """
        items = super().order(config, epoch)
        return (
            group_translations(items, parent_numbers(self.train)) if config.method.paired else items
        )

    def steps(self, config: AdaptConfig) -> int:
        """Return the steps of an epoch: one pass over the source, or over the target for a
        source-free method.
        """
        if config.method.source_free:
            return len(self.target) // config.target_clips
        return len(self.train) * config.repeats // config.batch_size

    def method_settings(self, config: AdaptConfig) -> MethodSettings:
        """Return the facts about a run that a method may use."""
        mixes = config.mixup > 0 or config.cutmix > 0
        return MethodSettings(
            config.transform.size,
            len(self.target),
            parent_numbers(self.train),
            mixes,
            config.compile,
        )


def load_adapt_data(config: AdaptConfig) -> AdaptData:
    """Read every manifest of a run; the target is watched too, for scores without labels.

    Raises ViddaError when one cannot be read.
    """
    data = load_data(config)
    target = load_manifest(config.target).unlabeled().with_classes(data.train.classes)
    watch = {**data.watch, TARGET: target}
    return AdaptData(data.train, data.sizes, data.val, watch, target)


def parent_numbers(manifest: Manifest) -> np.ndarray:
    """Return the number of the clip that each was translated from, or -1: (N,) int64."""
    number = {clip.id: n for n, clip in enumerate(manifest.clips)}
    found = [number.get(clip.parent_id or "", -1) for clip in manifest.clips]
    return np.array(found, np.int64)


def group_translations(items: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Return the items of an epoch, (M,), reordered so that a clip and its translations are
    adjacent.

    items: (M,) int64 as in `ClipDataset`: number + r x N. parent: (N,), see `parent_numbers`.
    Groups come in the order of their first member; a group that is in an epoch several times stays
    apart from its repeats.
    """
    repeat, clip = np.divmod(items, len(parent))
    family = np.where(parent[clip] >= 0, parent[clip], clip)
    times: dict[int, int] = {}
    first: dict[tuple[int, int, int], int] = {}
    positions = np.empty(len(items), np.int64)
    for n, item in enumerate(items.tolist()):
        times[item] = times.get(item, 0) + 1
        key = (int(repeat[n]), int(family[n]), times[item])
        positions[n] = first.setdefault(key, n)
    return items[np.argsort(positions, kind="stable")]
