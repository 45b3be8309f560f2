"""The config of `vidda personalize`."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import torch
from accelerate import Accelerator
from pydantic import Field

from vidda.config import Config
from vidda.device import PrecisionChoice, choose_precision, open_accelerator, torch_device
from vidda.errors import ViddaError
from vidda.run import WandbMode
from vidda.translate.stable_diffusion.cost import BACKWARD, ENCODE, SD15_PIXELS, UNET
from vidda.translate.stable_diffusion.model_files import find_model_files
from vidda.translate.stable_diffusion.personalize.dreambooth import DreamBoothConfig
from vidda.translate.stable_diffusion.personalize.frames import FramesConfig
from vidda.translate.stable_diffusion.personalize.lora import LoraTrainingConfig
from vidda.translate.stable_diffusion.personalize.render_images import DrawingConfig
from vidda.translate.stable_diffusion.personalize.textual_inversion import TextualInversionConfig
from vidda.translate.stable_diffusion.personalize.training_loop import TrainingSchedule
from vidda.translate.stable_diffusion.personalize.vae_decoder import VaeDecoderConfig
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.weights import Folder, Hub, SourceConfig

RESULT = "result"
MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}

PersonalizeMethodConfig = Annotated[
    DreamBoothConfig | TextualInversionConfig | LoraTrainingConfig | VaeDecoderConfig,
    Field(discriminator="name"),
]


class _BaseWeights(WeightsConfig):
    """The base's weights, whose keys are at the top of the personalization's config."""

    key: ClassVar[str] = ""


class PersonalizeConfig(Config):
    """A personalization method, the model to adapt, and the unlabeled frames of the target."""

    run: Path = Field(description="run folder to write")
    target: Path = Field(description="manifest of the target's clips; labels are not read")
    method: PersonalizeMethodConfig = Field(
        description="the personalization method and its training"
    )
    frames: FramesConfig = Field(default=FramesConfig(), description="the frames to train on")
    base: SourceConfig = Field(
        default=Hub(repo="stable-diffusion-v1-5/stable-diffusion-v1-5"),
        description="the pipeline to start from",
    )
    vae: SourceConfig | None = Field(
        default=None, description="an autoencoder that replaces the base's; null: the base's"
    )
    download: bool = Field(
        default=False, description="download from the hub what the local cache lacks"
    )
    drawing: DrawingConfig = Field(
        default=DrawingConfig(), description="how class images and samples are rendered"
    )
    samples: int = Field(default=4, ge=1, description="images in a row of a contact sheet")
    sample_every: int = Field(
        default=100,
        ge=1,
        description="steps between contact sheets, and between measurements on held-out clips",
    )
    log_every: int = Field(default=10, ge=1, description="steps between lines of metrics")
    save_every: int = Field(default=100, ge=1, description="steps between checkpoints")
    keep: int = Field(default=1, ge=1, description="number of newest checkpoints to keep")
    precision: PrecisionChoice = Field(
        default="fp32",
        description="number format of the computation; weights stay fp32; auto: bf16 where the"
        " device computes in it, else fp32",
    )
    device: Literal["auto", "cpu"] = Field(
        default="auto", description="auto: a GPU where there is one, else the CPU"
    )
    seed: int = Field(
        default=0, ge=0, description="seed of class images, frame order, noise and samples"
    )
    wandb: WandbMode = Field(default="off", description="copy the metrics to Weights & Biases")
    tensorboard: bool = Field(default=False, description="write the metrics for TensorBoard too")

    @property
    def result(self) -> Path:
        """Return the folder of the result, which `vidda translate` reads."""
        return self.run / RESULT

    def with_base(self, folder: Path) -> Self:
        """Return the config with the pipeline in a folder as its base."""
        return self.model_copy(update={"base": Folder(path=folder)})

    def starting_from(self, other: Self) -> Self:
        """Return the config with the result of another personalization as its model.

        other: of a method whose result is a whole pipeline, or the autoencoder of one. Raises
        ViddaError for other methods, and when this config has an autoencoder of its own already.
        """
        result = Folder(path=other.result)
        match other.method.name:
            case "dreambooth":
                return self.model_copy(update={"base": result})
            case "vae_decoder" if self.vae is None:
                return self.model_copy(update={"base": other.base, "vae": result})
            case "vae_decoder":
                raise ViddaError("vae: the result of vae_decoder replaces it; leave vae out")
            case method:
                raise ViddaError(
                    f"base: {method} makes no model to start from; name a personalization with"
                    " method dreambooth or vae_decoder"
                )

    def config_problems(self) -> list[str]:
        """Return the mistakes that show without the target's clips and the model, a line each."""
        problems = []
        checks = (
            lambda: self.method.caption,
            lambda: self.method.check_optimizer(self._torch_device()),
            self._check_precision,
        )
        for check in checks:
            try:
                check()
            except ViddaError as error:
                problems.append(str(error))
        return problems

    def folder_problems(self) -> list[str]:
        """Return a line for each mistake in local folders; none when a source is on the hub."""
        if isinstance(self.base, Hub) or isinstance(self.vae, Hub):
            return []
        try:
            find_model_files(self.weights)
        except ViddaError as error:
            return str(error).splitlines()
        return []

    def teraflops(self) -> float:
        """Return the TFLOP of training and of rendering class images, at SD 1.5's size."""
        method = self.method
        prior = getattr(method, "prior", None)  # DreamBooth's alone
        side = self.frames.resolution or 512
        frames = method.steps * method.batch_size * method.accumulate * (2 if prior else 1)
        passes = 2 if self.drawing.guidance > 1 else 1
        rendering = prior.count * self.drawing.steps * passes * UNET if prior else 0.0
        return (frames * (BACKWARD * UNET + ENCODE) + rendering) * side * side / SD15_PIXELS

    @property
    def weights(self) -> WeightsConfig:
        """Return the config of the weights to load: the base without ControlNets."""
        return _BaseWeights(base=self.base, vae=self.vae, controlnets=(), download=self.download)

    @property
    def training_schedule(self) -> TrainingSchedule:
        """Return the intervals of logging, evaluation and checkpoints."""
        return TrainingSchedule(self.log_every, self.sample_every, self.save_every, self.keep)

    def accelerator(self) -> Accelerator:
        """Return the accelerator for device and precision.

        Raises ViddaError for fp16 without a GPU and for several processes.
        """
        self._check_precision()
        precision = choose_precision(self.precision, self._torch_device())
        accelerator = open_accelerator(MIXED[precision], cpu=self.device == "cpu")
        if accelerator.num_processes > 1:
            raise ViddaError(
                f"personalize runs in one process, not in {accelerator.num_processes}; start it"
                " without torchrun or accelerate launch"
            )
        return accelerator

    def _check_precision(self) -> None:
        """Raise ViddaError for fp16 without a GPU."""
        if self.precision == "fp16" and self._torch_device().type == "cpu":
            raise ViddaError("precision: fp16 needs a CUDA device; take bf16 or fp32")

    def _torch_device(self) -> torch.device:
        """Return the device that the accelerator takes, without creating one."""
        return torch_device(self.device, "device")
