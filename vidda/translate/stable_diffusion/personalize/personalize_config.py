"""What `vidda personalize` is told."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import torch
from accelerate import Accelerator
from pydantic import Field

from vidda.config import Config
from vidda.device import Precision
from vidda.errors import ViddaError
from vidda.run import WandbMode
from vidda.translate.stable_diffusion.cost import BACKWARD, ENCODE, SD15_PIXELS, UNET
from vidda.translate.stable_diffusion.loading import WeightsConfig
from vidda.translate.stable_diffusion.personalize.dreambooth import DreamBoothConfig
from vidda.translate.stable_diffusion.personalize.frames import FramesConfig
from vidda.translate.stable_diffusion.personalize.lora import LoraTrainingConfig
from vidda.translate.stable_diffusion.personalize.render_images import DrawingConfig
from vidda.translate.stable_diffusion.personalize.textual_inversion import TextualInversionConfig
from vidda.translate.stable_diffusion.personalize.training_loop import TrainingSchedule
from vidda.translate.stable_diffusion.personalize.vae_decoder import VaeDecoderConfig
from vidda.weights import Folder, Hub, SourceConfig

RESULT = "result"
MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}

MethodConfig = Annotated[
    DreamBoothConfig | TextualInversionConfig | LoraTrainingConfig | VaeDecoderConfig,
    Field(discriminator="name"),
]


class _Base(WeightsConfig):
    """Weights whose keys are the personalization's own."""

    key: ClassVar[str] = ""


class PersonalizeConfig(Config):
    """A method, the model that it adapts, and the unlabeled frames that it adapts it to."""

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
    sample_every: int = Field(
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
    def result(self) -> Path:
        """Return the folder or the file's folder that `vidda translate` takes."""
        return self.run / RESULT

    def with_base(self, folder: Path) -> Self:
        """Return the same, starting from the pipeline in a folder."""
        return self.model_copy(update={"base": Folder(path=folder)})

    def teraflops(self) -> float:
        """Return the work at Stable Diffusion 1.5's size: steps forth and back, class images."""
        method = self.method
        prior = getattr(method, "prior", None)  # DreamBooth's alone
        side = self.frames.resolution or 512
        seen = method.steps * method.batch_size * method.accumulate * (2 if prior else 1)
        passes = 2 if self.drawing.guidance > 1 else 1
        drawn = prior.count * self.drawing.steps * passes * UNET if prior else 0.0
        return (seen * (BACKWARD * UNET + ENCODE) + drawn) * side * side / SD15_PIXELS

    @property
    def weights(self) -> WeightsConfig:
        """What is loaded: the base alone."""
        return _Base(base=self.base, vae=self.vae, controlnets=(), download=self.download)

    @property
    def pace(self) -> TrainingSchedule:
        """What happens when."""
        return TrainingSchedule(self.log_every, self.sample_every, self.save_every, self.keep)

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
