"""The config of `vidda train`, and the manifests that a run reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Generic, Literal, TypeVar

import numpy as np
from pydantic import Field

from vidda.config import Count, FileName
from vidda.data import load_manifest
from vidda.data.frame_sampling import FrameSamplingConfig, UniformSampling
from vidda.data.join_manifests import join_manifests
from vidda.data.shared_clips import SharedClip, SharedClipSearch, clip_files
from vidda.data.transforms import CenterCrop, TransformConfig
from vidda.recognize.clip_order import epoch_order
from vidda.recognize.loop_config import LoopConfig
from vidda.recognize.recognizers import ModelConfig
from vidda.types import Manifest

LAST: Final = "last"
"""The last epoch is used; no score chooses one."""

Alpha = Annotated[float, Field(ge=0)]
"""Parameter of a symmetric Beta distribution; 0 switches off what uses it."""


class TrainConfig(LoopConfig):
    """The config of `vidda train`: the recognizer, the manifests and the loop."""

    may_change: ClassVar[frozenset[str]] = LoopConfig.may_change | {"strict"}

    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None,
        description="relative share of each training manifest in an epoch; null: every clip once",
    )
    val: Path = Field(description="labeled manifest of the source's validation clips")
    watch: dict[FileName, Path] = Field(
        {},
        description="manifests to predict after each epoch, by name; their labels are read only at"
        " the end, to print the accuracy; a new watch.NAME=FILE replaces those of a config file",
    )
    strict: bool = Field(
        False,
        description="refuse clips of val or watch that are also in train, by path or content",
    )
    model: ModelConfig = Field(description="the recognizer, chosen by its name")
    test_sampling: FrameSamplingConfig = Field(
        UniformSampling(jitter=False), description="how frames of a clip are sampled in testing"
    )
    repeats: int = Field(
        1, ge=1, description="times that a clip is in a batch, each time augmented differently"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of a layer relative to that of the layer above"
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="share of a label that is spread over all classes"
    )
    mixup: Alpha = Field(0.0, description="alpha of mixup's Beta distribution; 0: no mixup")
    cutmix: Alpha = Field(0.0, description="alpha of CutMix's Beta distribution; 0: no CutMix")
    balanced: bool = Field(False, description="draw every class equally often")
    freeze: tuple[str, ...] = Field(
        (), description="parameters to freeze, by patterns of their names such as trunk.*"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay of a moving average of the weights, which is tested and saved; null:"
        " none",
    )
    select: Literal["source_validation", "last"] = Field(
        "source_validation",
        description="score that chooses the epoch, on the source's validation clips; last: the last"
        " epoch",
    )
    patience: Count | None = Field(
        None,
        description="epochs without better validation after which training stops; null: never",
    )

    @property
    def test_transform(self) -> TransformConfig:
        """The transform in testing: the center of the frame, normalized as in training."""
        crop, size = CenterCrop(), self.transform.size
        return TransformConfig(size=size, crop=crop, normalize=self.transform.normalize)


C = TypeVar("C", bound=TrainConfig)
"""The config of a run, that of a command that trains."""


@dataclass(frozen=True)
class TrainData(Generic[C]):
    """The manifests of a run.

    train: all training clips. sizes: number of clips of each of the manifests joined in it. val:
    the validation clips. watch: further manifests, by name, that are predicted after each epoch.
    """

    train: Manifest
    sizes: tuple[int, ...]
    val: Manifest
    watch: Mapping[str, Manifest]

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints that a resumed run compares, by the name of each manifest."""
        named = {"train": self.train, "val": self.val, **self.watch}
        return {name: manifest.fingerprint() for name, manifest in named.items()}

    def trained_on(self) -> dict[str, Manifest]:
        """Return the manifests that the weights learn from, by name."""
        return {"train": self.train}

    def shared(self) -> list[SharedClip]:
        """Return the clips that are in two manifests which should be apart: training, validation,
        watched.
        """
        learned = {name: clip_files(manifest) for name, manifest in self.trained_on().items()}
        new = {"val": clip_files(self.val)}
        new |= {name: clip_files(m) for name, m in self.watch.items() if name not in learned}
        pairs = [(first, second) for second in new for first in (*learned, "val")]
        search, files = SharedClipSearch(), learned | new
        found = [
            SharedClip(first, second, search.between(files[first], files[second]))
            for first, second in pairs
            if first != second and (first, second) != ("target", "val")
        ]
        return [one for one in found if one.pairs]

    def order(self, config: C, epoch: int) -> np.ndarray:
        """Return the items of one epoch, (N,) int64; the repeats of a clip are adjacent, in one
        batch.
        """
        labels = np.array([clip.label for clip in self.train.clips])
        numbers = epoch_order(
            np.split(labels, np.cumsum(self.sizes)[:-1]),
            config.weights,
            balanced=config.balanced,
            seed=config.seed,
            epoch=epoch,
        )
        again = np.arange(config.repeats) * len(labels)
        return (numbers[:, None] + again).ravel()


def load_data(config: TrainConfig) -> TrainData:
    """Read every manifest of a run; the watched ones without their labels.

    Raises ViddaError when one cannot be read.
    """
    parts = [load_manifest(path) for path in config.train]
    train = join_manifests(parts)
    watched = {
        name: load_manifest(path).unlabeled().with_classes(train.classes)
        for name, path in config.watch.items()
    }
    sizes = tuple(len(part) for part in parts)
    return TrainData(train, sizes, load_manifest(config.val).with_classes(train.classes), watched)
