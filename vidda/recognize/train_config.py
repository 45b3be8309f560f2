"""What `vidda train` is told, and the manifests that it reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidda.config import Config
from vidda.data import load_manifest
from vidda.data.joined import joined
from vidda.data.sampling import SamplingConfig, Uniform
from vidda.data.transforms import CentreCrop, RandomResizedCrop, TransformConfig
from vidda.recognize.inference import Precision
from vidda.recognize.models import ModelConfig
from vidda.recognize.optim import AdamW, Cosine, OptimizerConfig, ScheduleConfig
from vidda.run import WandbMode
from vidda.types import Manifest

Share = Annotated[float, Field(ge=0)]


class TrainConfig(Config):
    """What is trained, on what, and how."""

    run: Path = Field(description="run folder to write")
    train: tuple[Path, ...] = Field(min_length=1, description="labelled manifests to train on")
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None, description="share of each manifest in an epoch; null: every clip once"
    )
    val: Path = Field(description="labelled manifest of the source that chooses the epoch")
    watch: dict[str, Path] = Field(
        {}, description="manifests to predict after each epoch, by name; their labels are not read"
    )
    model: ModelConfig = Field(description="the recognizer, chosen by its name")
    sampling: SamplingConfig = Field(Uniform(), description="frames of a training clip")
    transform: TransformConfig = Field(
        TransformConfig(crop=RandomResizedCrop()), description="what is done to them"
    )
    test_sampling: SamplingConfig = Field(Uniform(jitter=False), description="frames in testing")
    batch_size: int = Field(16, ge=1, description="clips a step, over all processes")
    accumulate: int = Field(1, ge=1, description="parts that a batch is computed in")
    epochs: int = Field(30, ge=1, description="passes over as many clips as the manifests hold")
    repeats: int = Field(1, ge=1, description="times a clip comes in a batch, augmented anew")
    optimizer: OptimizerConfig = Field(AdamW(), description="what moves the weights")
    schedule: ScheduleConfig = Field(Cosine(), description="learning rate over time")
    layer_decay: float = Field(1.0, gt=0, le=1, description="learning rate of a layer to the next")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share spread over all classes")
    mixup: Share = Field(0.0, description="alpha of mixup; 0 for none")
    cutmix: Share = Field(0.0, description="alpha of CutMix; 0 for none")
    clip_grad: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest gradient norm"
    )
    balanced: bool = Field(False, description="every class equally often")
    freeze: tuple[str, ...] = Field((), description="parameters that stay, by patterns of names")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of averaged weights, which are then tested and saved"
    )
    patience: Annotated[int, Field(ge=1)] | None = Field(
        None, description="epochs without better source validation after which it stops"
    )
    precision: Precision = Field("fp32", description="of the computation; weights stay fp32")
    device: Literal["auto", "cpu"] = Field(
        "auto", description="auto takes a GPU where there is one"
    )
    compile: bool = Field(False, description="torch.compile the model")
    channels_last: bool = Field(False, description="memory layout that suits some GPUs and CPUs")
    seed: int = Field(0, ge=0, description="decides weights, order, frames and augmentation")
    workers: int = Field(2, ge=0, description="processes that decode, for each training process")
    cache: Path | None = Field(None, description="folder for decoded frames")
    on_error: Literal["error", "skip"] = Field("error", description="what an unreadable clip does")
    log_every: int = Field(10, ge=1, description="steps between lines of metrics")
    save_every: Annotated[int, Field(ge=1)] | None = Field(
        None, description="steps between checkpoints besides those after each epoch"
    )
    keep: int = Field(1, ge=1, description="newest checkpoints that are kept, besides the best")
    wandb: WandbMode = Field("off", description="mirror of the metrics")
    tensorboard: bool = Field(False, description="write the metrics for TensorBoard too")

    @property
    def test_transform(self) -> TransformConfig:
        """The middle of the frame, normalised as in training."""
        crop, size = CentreCrop(), self.transform.size
        return TransformConfig(size=size, crop=crop, normalise=self.transform.normalise)


@dataclass(frozen=True)
class Data:
    """The manifests of a run. sizes: clips of each of the joined training manifests."""

    train: Manifest
    sizes: tuple[int, ...]
    val: Manifest
    watch: Mapping[str, Manifest]

    def fingerprints(self) -> dict[str, str]:
        named = {"train": self.train, "val": self.val, **self.watch}
        return {name: manifest.fingerprint() for name, manifest in named.items()}


def load_data(config: TrainConfig) -> Data:
    """Read every manifest of a run; the watched ones without their labels."""
    parts = [load_manifest(path) for path in config.train]
    watched = {name: load_manifest(path).unlabelled() for name, path in config.watch.items()}
    sizes = tuple(len(part) for part in parts)
    return Data(joined(parts), sizes, load_manifest(config.val), watched)
