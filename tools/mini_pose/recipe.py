"""The recipe of the pose estimator: all settings; the defaults are those of the shipped one."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tools.mini_diffusion.recipe import Count, DataConfig, StageConfig
from vidda.config import Config


class TrainingConfig(StageConfig):
    """The training settings of the network."""

    steps: Count = 4500
    batch: int = Field(default=64, ge=2, description="images in a step")
    lr: float = 2e-3
    warmup: int = 100
    cooldown: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the steps at the end in which lr falls to zero",
    )
    beta2: float = 0.99
    look: Count = 500


class AugmentConfig(Config):
    """The random augmentation of training images."""

    shift: float = Field(
        default=0.06, ge=0, description="standard deviation of the shift, as a share of the side"
    )
    turn: float = Field(default=8.0, ge=0, description="standard deviation of rotation, in degrees")
    zoom: tuple[float, float] = Field(
        default=(0.75, 1.3), description="smallest and largest zoom factor"
    )
    color: float = Field(default=1.0, ge=0, description="strength of color changes; 0: none")
    blur: float = Field(default=2.5, gt=0, description="largest deviation of the blur, in pixels")
    noise: float = Field(
        default=0.1, ge=0, description="largest deviation of the noise, as a share of white"
    )


class Recipe(Config):
    """All settings of the training, from images to a model of mmpose."""

    out: Path = Field(description="folder of the run; its result/ is the model")
    clips: Path = Field(
        default=Path("data/mini_prepared"),
        description="a prepared MiniRoCoG; only its synthetic domain is trained on",
    )
    pictures: Path = Field(
        default=Path("runs/mini_diffusion/data"),
        description="images of tools.train_mini_diffusion; missing ones are rendered",
    )
    seed: int = Field(default=0, ge=0, description="seed of all random numbers")
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    augment: AugmentConfig = AugmentConfig()
    device: str = Field(default="auto", description="cpu, cuda, ...; auto: a GPU if there is one")
    precision: Literal["bf16", "fp32"] = Field(
        default="bf16", description="number format of the computation in training"
    )


class PoseRun(Config):
    """The config of the run folder: all settings that determine the result."""

    seed: int
    data: DataConfig
    training: TrainingConfig
    augment: AugmentConfig
    precision: str
