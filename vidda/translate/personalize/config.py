"""What `vidda personalize` is told."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from accelerate import Accelerator
from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.run import WandbMode
from vidda.translate.loading import Precision, WeightsConfig
from vidda.translate.personalize.drawing import DrawingConfig
from vidda.translate.personalize.dreambooth import DreamBooth
from vidda.translate.personalize.frames import FramesConfig
from vidda.translate.personalize.lora import Lora
from vidda.translate.personalize.textual_inversion import TextualInversion
from vidda.translate.personalize.training import Pace
from vidda.translate.personalize.vae_decoder import VaeDecoder
from vidda.translate.sources import Hub, SourceConfig

MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}

MethodConfig = Annotated[
    DreamBooth | TextualInversion | Lora | VaeDecoder, Field(discriminator="name")
]


class _Base(WeightsConfig):
    """Weights whose keys are the personalization's own."""

    key: ClassVar[str] = ""


class PersonalizeConfig(Config):
    """A method, the model that it adapts, and the unlabelled frames that it adapts it to."""

    run: Path = Field(description="run folder to write")
    target: Path = Field(description="manifest of the target's clips; labels are not read")
    method: MethodConfig = Field(description="what learns, and how")
    frames: FramesConfig = Field(default=FramesConfig(), description="what it learns from")
    base: SourceConfig = Field(
        default=Hub(repo="stable-diffusion-v1-5/stable-diffusion-v1-5"),
        description="the pipeline to start from",
    )
    vae: SourceConfig | None = Field(default=None, description="an autoencoder for the base's")
    download: bool = Field(default=False, description="fetch from the hub what the cache lacks")
    drawing: DrawingConfig = Field(
        default=DrawingConfig(), description="how class images and samples are drawn"
    )
    samples: int = Field(default=4, ge=1, description="pictures on a sheet of samples")
    look_every: int = Field(
        default=100,
        ge=1,
        description="steps between sheets of samples, and measurements on held-out clips",
    )
    log_every: int = Field(default=10, ge=1, description="steps between lines of metrics")
    save_every: int = Field(default=100, ge=1, description="steps between checkpoints")
    keep: int = Field(default=1, ge=1, description="newest checkpoints that are kept")
    precision: Precision = Field(
        default="fp32", description="of the computation; weights stay fp32"
    )
    device: Literal["auto", "cpu"] = Field(
        default="auto", description="auto takes a GPU where there is one"
    )
    seed: int = Field(default=0, ge=0, description="decides class images, order, noise and samples")
    wandb: WandbMode = Field(default="off", description="mirror of the metrics")
    tensorboard: bool = Field(default=False, description="write the metrics for TensorBoard too")

    @property
    def weights(self) -> WeightsConfig:
        """What is loaded: the base alone."""
        return _Base(base=self.base, vae=self.vae, controlnets=(), download=self.download)

    @property
    def pace(self) -> Pace:
        """What happens when."""
        return Pace(self.log_every, self.look_every, self.save_every, self.keep)

    def accelerator(self) -> Accelerator:
        """Device and precision; ViddaError for fp16 without a GPU and for several processes."""
        if self.precision == "fp16" and (self.device == "cpu" or not torch.cuda.is_available()):
            raise ViddaError("precision: fp16 needs a CUDA device; take bf16 or fp32")
        accelerator = Accelerator(mixed_precision=MIXED[self.precision], cpu=self.device == "cpu")
        if accelerator.num_processes > 1:
            raise ViddaError(
                f"personalize runs in one process, not in {accelerator.num_processes}; start it"
                " without torchrun or accelerate launch"
            )
        return accelerator
