"""The config of a translator's weights, which `loading` reads."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vidda.config import Config
from vidda.weights import Hub, SourceConfig

ControlKind = Literal["edges", "pose", "depth", "segmentation", "mask"]
Share = Annotated[float, Field(ge=0, le=1)]


class ControlNetConfig(Config):
    """One ControlNet (arXiv 2302.05543), its control map, and the steps in which it acts."""

    kind: ControlKind = Field(
        description="the control map that the ControlNet reads: edges, pose, depth, segmentation or"
        " mask"
    )
    source: SourceConfig = Field(description="folder or repository of the ControlNet")
    scale: float = Field(
        default=1.0, description="strength of the ControlNet: factor of what it adds to the UNet"
    )
    start: Share = Field(default=0.0, description="share of the steps before it starts to act")
    end: Share = Field(default=1.0, description="share of the steps after which it stops acting")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start {self.start} is not before end {self.end}; it would never run")
        return self


class LoraConfig(Config):
    """A LoRA of the UNet, of the text encoder or of both, added to their weights.

    Few-step LoRAs (LCM, arXiv 2311.05556; Hyper-SD, arXiv 2404.13686) need their scheduler too.
    """

    source: SourceConfig = Field(description="folder, file or repository of the LoRA")
    file: str | None = Field(
        default=None, description="file name in the source; null: pytorch_lora_weights.safetensors"
    )
    scale: float = Field(
        default=1.0, description="strength of the LoRA: factor of what it adds to the weights"
    )


class EmbeddingConfig(Config):
    """A textual-inversion embedding (arXiv 2208.01618): a new word of the prompts."""

    source: SourceConfig = Field(description="folder, file or repository of the embedding")
    file: str | None = Field(
        default=None, description="file name in the source; null: learned_embeds.safetensors"
    )
    token: str | None = Field(
        default=None,
        description="the word for it in prompts, e.g. <realism>; null: the one named in the file",
    )


class WeightsConfig(Config):
    """The weights of the translator; by default the public ones of Stable Diffusion 1.5.

    key: the prefix of its keys on the command line, for messages. backbone: whose they are.
    """

    key: ClassVar[str] = "backbone.weights."
    backbone: ClassVar[str] = "stable_diffusion"
    base: SourceConfig = Field(
        default=Hub(repo="stable-diffusion-v1-5/stable-diffusion-v1-5"),
        description="the whole pipeline: VAE, UNet, text encoder, tokenizer, scheduler config",
    )
    controlnets: tuple[ControlNetConfig, ...] = Field(
        default=(
            ControlNetConfig(kind="edges", source=Hub(repo="lllyasviel/control_v11p_sd15_canny")),
            ControlNetConfig(kind="pose", source=Hub(repo="lllyasviel/control_v11p_sd15_openpose")),
        ),
        description="ControlNets, which make the images follow the source; may be empty",
    )
    dreambooth: SourceConfig | None = Field(
        default=None,
        description="a fine-tuned UNet, or a pipeline whose UNet and text encoder replace base's",
    )
    vae: SourceConfig | None = Field(
        default=None,
        description="an autoencoder (AutoencoderKL or AutoencoderTiny) that replaces base's",
    )
    loras: tuple[LoraConfig, ...] = Field(default=(), description="LoRAs, added in this order")
    embeddings: tuple[EmbeddingConfig, ...] = Field(
        default=(), description="textual-inversion embeddings, new words of the prompts"
    )
    channels_last: bool = Field(
        default=False,
        description="channels-last memory layout of the networks, which compiled ones always have",
    )
    download: bool = Field(
        default=False, description="download from the hub what the local cache lacks"
    )
