"""The recipe of the miniature: all settings; the defaults are those of the shipped one.

Its scenes were of version 1 (`cache.VERSION`).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidda.config import Config

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Widths = tuple[int, ...]


class DataConfig(Config):
    """The training images, which are rendered once, in shards, by the seed."""

    scenes: Count = Field(default=8192, description="scenes to train on")
    held_out: Count = Field(default=128, description="held-out scenes to measure on")
    moments: Count = Field(default=4, description="images of each scene")
    captions: Count = Field(default=4, description="captions of each image")
    size: int = Field(default=112, ge=32, multiple_of=16, description="pixels a side of images")
    shard: Count = Field(default=64, description="scenes in a file")
    jobs: int = Field(default=0, ge=0, description="rendering processes; 0: one for each core")


class SizesConfig(Config):
    """Sizes of the networks; all together at most 8 million weights, which is 16 MB in fp16."""

    vae: Count = Field(default=48, description="width of all levels of the autoencoder")
    vae_levels: Count = Field(
        default=3, description="levels of the autoencoder, each half the size of the previous one"
    )
    latents: Count = Field(default=8, description="channels of a latent")
    unet: Widths = Field(
        default=(56, 80, 96), description="widths of the UNet's levels; all but the first attend"
    )
    heads: Count = Field(default=4, description="attention heads")
    hint: Widths = Field(
        default=(8, 24, 48), description="widths of the ControlNets' embedding of a control map"
    )
    text: Count = Field(default=64, description="width of the text encoder")
    text_layers: Count = Field(default=2, description="layers of the text encoder")
    groups: Count = Field(default=8, description="groups of normalization in UNet and ControlNets")


class StageConfig(Config):
    """The training settings of one stage."""

    steps: Count = Field(description="steps of the optimizer")
    batch: Count = Field(description="images in a step")
    lr: float = Field(gt=0, description="highest learning rate")
    warmup: int = Field(default=200, ge=0, description="steps of linear rise at the start")
    cooldown: Share = Field(
        default=0.25, description="share of the steps at the end in which lr falls to zero"
    )
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="decay of the averaged weights; 0: none"
    )
    beta2: Share = Field(default=0.99, description="AdamW's decay of squared gradients")
    clip_grad: float = Field(default=1.0, gt=0, description="largest gradient norm")
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")
    save: Count = Field(default=500, description="steps between checkpoints")
    look: Count = Field(default=1000, description="steps between evaluations with contact sheets")


class AutoencoderStage(StageConfig):
    """The training settings of the autoencoder."""

    steps: Count = 3500
    batch: Count = 8
    lr: float = 2e-3
    look: Count = 250
    cut: int = Field(default=64, ge=16, multiple_of=16, description="pixels a side of random crops")
    noise: float = Field(
        default=0.1, ge=0, description="deviation of noise added to latents before the decoder"
    )
    shrink: float = Field(default=1e-3, ge=0, description="weight of the latents' mean square")
    gradient: float = Field(
        default=1.0, ge=0, description="weight of the loss on differences between neighbors"
    )
    person: float = Field(default=3.0, ge=0, description="additional weight of a person's pixels")


class DenoiserStage(StageConfig):
    """The training settings of text encoder, UNet and both ControlNets, trained together."""

    steps: Count = 4800
    batch: Count = 16
    lr: float = 6e-4
    cut: int = Field(
        default=64,
        ge=16,
        multiple_of=16,
        description="pixels a side of random crops, in steps without whole images",
    )
    whole: Share = Field(default=0.3, description="share of the steps on whole images")
    no_caption: Share = Field(
        default=0.12, description="share of the images without caption, for guidance"
    )
    person: float = Field(default=2.0, ge=0, description="additional weight of a person's latents")
    arms: float = Field(
        default=0.0, ge=0, description="additional weight of the latents of arms and hands"
    )
    pure_noise: Share = Field(default=0.08, description="share of the images at the last timestep")
    no_pose: Share = Field(default=0.15, description="share of the steps without pose ControlNet")
    no_edges: Share = Field(default=0.5, description="share of the steps without edges ControlNet")
    only_person: Share = Field(
        default=0.7, description="share of the edge maps limited to the person's surroundings"
    )


class Recipe(Config):
    """All settings of the training, from data to a pipeline in diffusers' format."""

    out: Path = Field(description="folder of data, runs and result")
    seed: int = Field(default=0, ge=0, description="seed of all random numbers")
    start: Path | None = Field(
        default=None,
        description="earlier result to train further: its autoencoder is kept, and the other"
        " networks start from its weights; null: random weights",
    )
    data: DataConfig = DataConfig()
    sizes: SizesConfig = SizesConfig()
    autoencoder: AutoencoderStage = AutoencoderStage()
    denoiser: DenoiserStage = DenoiserStage()
    control_scale: float = Field(
        default=1.3,
        gt=0,
        description="factor of the ControlNets' outputs in the result, over 1 to follow the maps"
        " more closely than trained",
    )
    device: str = Field(default="auto", description="cpu, cuda, ...; auto: a GPU if there is one")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="number format of the computation; auto: bf16 on a GPU, else fp32"
    )
    samples: Count = Field(default=8, description="images in a row of a contact sheet")


class StageRun(Config):
    """The config of a stage's run folder: all settings that determine its result."""

    stage: str
    seed: int
    sizes: SizesConfig
    data: DataConfig
    config: AutoencoderStage | DenoiserStage
    precision: str
