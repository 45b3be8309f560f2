"""All choices of how the pose estimator is made; the defaults are those that it was made with."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tools.mini_diffusion.recipe import Count, DataConfig, StageConfig
from vidda.config import Config


class TrainingConfig(StageConfig):
    """How the network learns."""

    steps: Count = 4500
    batch: int = Field(default=64, ge=2, description="pictures a step")
    lr: float = 2e-3
    warmup: int = 100
    cooldown: float = Field(
        default=0.5, ge=0, le=1, description="share of the steps at the end that fall to zero"
    )
    beta2: float = 0.99
    look: Count = 500


class AugmentConfig(Config):
    """What is done to a picture at random before the network sees it."""

    shift: float = Field(default=0.06, ge=0, description="spread, as a share of the side")
    turn: float = Field(default=8.0, ge=0, description="spread, in degrees")
    zoom: tuple[float, float] = Field(default=(0.75, 1.3), description="smallest and largest")
    color: float = Field(default=1.0, ge=0, description="how far colors stray; 0: not at all")
    blur: float = Field(default=2.5, gt=0, description="widest spread, in pixels")
    noise: float = Field(default=0.1, ge=0, description="most, as a share of white")


class Recipe(Config):
    """From pictures to a model of mmpose."""

    out: Path = Field(description="folder of the run; its result/ is the model")
    clips: Path = Field(
        default=Path("data/mini_prepared"),
        description="a prepared MiniRoCoG, of which only the synthetic domain is learned from",
    )
    pictures: Path = Field(
        default=Path("runs/mini_diffusion/data"),
        description="the pictures of tools.train_mini_diffusion; those that lack are rendered",
    )
    seed: int = Field(default=0, ge=0, description="decides all that is random")
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    augment: AugmentConfig = AugmentConfig()
    device: str = Field(default="auto", description="cpu, cuda, ...; auto: a GPU if any")
    precision: Literal["bf16", "fp32"] = Field(
        default="bf16", description="of what is computed while it learns"
    )


class PoseRun(Config):
    """What decides the result: the config of the run folder."""

    seed: int
    data: DataConfig
    training: TrainingConfig
    augment: AugmentConfig
    precision: str
