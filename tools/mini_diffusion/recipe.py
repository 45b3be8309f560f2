"""All choices of how the miniature is made; the defaults are those that it was made with."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidda.config import Config

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Widths = tuple[int, ...]


class DataConfig(Config):
    """The foundation's pictures: rendered once, in shards, by the seed."""

    scenes: Count = Field(default=8192, description="scenes to learn from")
    held_out: Count = Field(default=128, description="scenes to measure on")
    moments: Count = Field(default=4, description="pictures of each scene")
    captions: Count = Field(default=4, description="captions of each picture")
    size: int = Field(default=112, ge=32, multiple_of=16, description="pixels a side")
    shard: Count = Field(default=64, description="scenes a file")
    jobs: int = Field(
        default=0, ge=0, description="processes that render; 0 takes one for each core"
    )


class SizesConfig(Config):
    """Widths of the networks; all together at most 8 million weights, which is 16 MB in fp16."""

    vae: Count = Field(default=48, description="of all levels of the autoencoder")
    vae_levels: Count = Field(default=3, description="its levels, of 1/2 each")
    latents: Count = Field(default=8, description="channels of a latent of 4x4 pixels")
    unet: Widths = Field(
        default=(56, 80, 96), description="of the UNet's levels; attention below the top"
    )
    heads: Count = Field(default=4, description="of attention")
    hint: Widths = Field(
        default=(8, 24, 48), description="of what shrinks a control map to the latents"
    )
    text: Count = Field(default=64, description="width of the text encoder")
    text_layers: Count = Field(default=2, description="its layers")
    groups: Count = Field(default=8, description="of the normalization in UNet and ControlNets")


class StageConfig(Config):
    """How one of the networks learns."""

    steps: Count = Field(description="of the optimizer")
    batch: Count = Field(description="pictures a step")
    lr: float = Field(gt=0, description="highest learning rate")
    warmup: int = Field(default=200, ge=0, description="steps of linear growth at the start")
    cooldown: Share = Field(
        default=0.25, description="share of the steps at the end that fall to zero"
    )
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="decay of the averaged weights; 0: none"
    )
    beta2: Share = Field(default=0.99, description="AdamW's memory of the gradients' squares")
    clip_grad: float = Field(default=1.0, gt=0, description="largest gradient norm")
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW")
    save: Count = Field(default=500, description="steps from checkpoint to checkpoint")
    look: Count = Field(default=1000, description="steps from sheet to sheet of samples")


class AutoencoderStage(StageConfig):
    """Pictures to latents and back."""

    steps: Count = 3500
    batch: Count = 8
    lr: float = 2e-3
    look: Count = 250
    cut: int = Field(
        default=64, ge=16, multiple_of=16, description="pixels a side of what is cut from a picture"
    )
    noise: float = Field(
        default=0.1, ge=0, description="deviation of the noise that the decoder has to bear"
    )
    shrink: float = Field(default=1e-3, ge=0, description="weight of the latents' mean square")
    gradient: float = Field(
        default=1.0, ge=0, description="weight of the errors of neighbors' differences"
    )
    person: float = Field(default=3.0, ge=0, description="how much more a person's pixels weigh")


class DenoiserStage(StageConfig):
    """Text encoder, UNet and both ControlNets, from noise to latents, together from the start."""

    steps: Count = 4800
    batch: Count = 16
    lr: float = 6e-4
    cut: int = Field(
        default=64,
        ge=16,
        multiple_of=16,
        description="pixels a side of what is cut from the pictures of most steps",
    )
    whole: Share = Field(default=0.3, description="steps on whole pictures")
    no_caption: Share = Field(default=0.12, description="pictures without caption, for guidance")
    person: float = Field(default=2.0, ge=0, description="how much more a person's latents weigh")
    pure_noise: Share = Field(
        default=0.08, description="pictures at the very first, all-noise step"
    )
    no_pose: Share = Field(default=0.15, description="steps without the pose's ControlNet")
    no_edges: Share = Field(default=0.5, description="steps without the edges' ControlNet")
    only_person: Share = Field(
        default=0.7, description="edge maps that end at the person's surroundings"
    )


class Recipe(Config):
    """From nothing to a pipeline in diffusers' format."""

    out: Path = Field(description="folder of everything: data, runs, result")
    seed: int = Field(default=0, ge=0, description="decides all that is random")
    data: DataConfig = DataConfig()
    sizes: SizesConfig = SizesConfig()
    autoencoder: AutoencoderStage = AutoencoderStage()
    denoiser: DenoiserStage = DenoiserStage()
    device: str = Field(default="auto", description="cpu, cuda, ...; auto: a GPU if any")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="of what is computed; auto: bf16 on a GPU, fp32 else"
    )
    samples: Count = Field(default=8, description="pictures a row of a sheet")


class StageRun(Config):
    """What decides one stage's result: the config of its run folder."""

    stage: str
    seed: int
    sizes: SizesConfig
    data: DataConfig
    config: AutoencoderStage | DenoiserStage
    precision: str
