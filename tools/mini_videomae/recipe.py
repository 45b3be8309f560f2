"""The recipe of the VideoMAE: all settings; the defaults are those of the shipped one."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tools.mini_diffusion.recipe import Count, Share, StageConfig
from vidda.config import Config


class ClipsConfig(Config):
    """The clips to train on, which are rendered once, in shards, by the seed."""

    motions: Count = Field(default=512, description="random motions, each a class")
    renders: Count = Field(
        default=8, description="clips of a motion, each of another person, place and camera"
    )
    held_out: Count = Field(default=256, description="held-out clips, of the same motions")
    frames: Count = Field(default=16, description="frames of a clip")
    rendered: int = Field(default=72, ge=16, description="pixels a side that are rendered")
    size: int = Field(
        default=54, ge=16, description="pixels a side to which they are reduced, before the crop"
    )
    shard: Count = Field(default=128, description="clips in a file")


class ModelConfig(Config):
    """The sizes of the encoder."""

    size: Count = Field(default=48, description="pixels a side of the input")
    patch: Count = Field(default=8, description="height and width of a patch, in pixels")
    tubelet: Count = Field(default=4, description="frames of a patch")
    width: Count = Field(default=128, description="width of a token; a multiple of `heads`")
    layers: Count = Field(default=5, description="transformer layers")
    heads: Count = Field(default=2, description="attention heads of a layer")
    mlp: Count = Field(default=384, description="hidden width of a layer's MLP")
    init: float = Field(default=0.06, gt=0, description="deviation of the random weights")


class TrainingConfig(StageConfig):
    """The training settings of the network."""

    steps: Count = 4000
    batch: int = Field(default=48, ge=2, description="clips in a step")
    lr: float = 4e-3
    warmup: int = 100
    cooldown: Share = Field(
        default=0.4, description="share of the steps at the end in which lr falls to zero"
    )
    ema: float = Field(default=0.99, ge=0, lt=1, description="decay of the averaged weights")
    beta2: Share = 0.98
    weight_decay: float = Field(default=0.05, ge=0, description="weight decay of AdamW")
    save: Count = 100
    look: Count = 200
    visible: float = Field(
        default=0.5, gt=0, le=1, description="share of the positions that the encoder sees"
    )
    unmasked: Share = Field(
        default=0.1, description="share of the steps in which it sees all positions"
    )
    classes: float = Field(default=0.15, ge=0, description="weight of the loss of motion classes")
    arms: float = Field(default=4.0, ge=0, description="weight of the loss of arm directions")
    points: float = Field(default=1.0, ge=0, description="weight of the loss of joints' places")


class AugmentConfig(Config):
    """The random augmentation of training clips."""

    zoom: tuple[float, float] = Field(
        default=(0.85, 1.25), description="smallest and largest zoom factor"
    )
    shift: float = Field(
        default=0.05, ge=0, description="standard deviation of the shift, as a share of the side"
    )
    turn: float = Field(default=3.0, ge=0, description="standard deviation of rotation, in degrees")
    shake: float = Field(
        default=0.6, ge=0, description="largest shake of the camera, in pixels a frame"
    )
    gamma: float = Field(
        default=0.3, ge=0, description="standard deviation of the logarithm of gamma"
    )
    noise: float = Field(
        default=0.08, ge=0, description="largest deviation of the noise, as a share of white"
    )


class Recipe(Config):
    """All settings of the training, from clips to a model of transformers."""

    out: Path = Field(description="folder of the run; its result/ is the model")
    rendered: Path = Field(
        default=Path("runs/mini_videomae_clips"),
        description="folder of the rendered clips; missing ones are rendered",
    )
    seed: int = Field(default=0, ge=0, description="seed of all random numbers")
    clips: ClipsConfig = ClipsConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    augment: AugmentConfig = AugmentConfig()
    jobs: int = Field(default=0, ge=0, description="rendering processes; 0: one for each core")
    device: str = Field(default="auto", description="cpu, cuda, ...; auto: a GPU if there is one")
    precision: Literal["bf16", "fp32"] = Field(
        default="bf16", description="number format of the computation in training"
    )


class VideoMaeRun(Config):
    """The config of the run folder: all settings that determine the result."""

    seed: int
    clips: ClipsConfig
    model: ModelConfig
    training: TrainingConfig
    augment: AugmentConfig
    precision: str
