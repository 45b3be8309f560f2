"""Which weights a translator is made of: the config that `loading` reads."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vidda.config import Config
from vidda.weights import Hub, SourceConfig

Kind = Literal["edges", "pose"]
Share = Annotated[float, Field(ge=0, le=1)]


class ControlNetConfig(Config):
    """One ControlNet (arXiv 2302.05543), what it is shown, and when it acts."""

    kind: Kind = Field(description="the control map it reads: edges or pose")
    source: SourceConfig = Field(description="its folder or repository")
    scale: float = Field(default=1.0, description="of what it adds to the UNet")
    start: Share = Field(default=0.0, description="share of the steps before it acts")
    end: Share = Field(default=1.0, description="share of the steps after which it rests")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start {self.start} is not before end {self.end}; it would never run")
        return self


class LoraConfig(Config):
    """A LoRA of the UNet, of the text encoder or of both, added to their weights.

    Few-step LoRAs (LCM, arXiv 2311.05556; Hyper-SD, arXiv 2404.13686) want their scheduler too.
    """

    source: SourceConfig = Field(description="its folder, file or repository")
    file: str | None = Field(
        default=None, description="its name there; null: pytorch_lora_weights.safetensors"
    )
    scale: float = Field(default=1.0, description="of what it adds to the weights")


class EmbeddingConfig(Config):
    """A textual-inversion embedding (arXiv 2208.01618): a new word of the prompts."""

    source: SourceConfig = Field(description="its folder, file or repository")
    file: str | None = Field(
        default=None, description="its name there; null: learned_embeds.safetensors"
    )
    token: str | None = Field(
        default=None, description="the word that prompts write, e.g. <realism>; null: the file's"
    )


class WeightsConfig(Config):
    """The weights of the translator; by default the public ones of Stable Diffusion 1.5.

    key: begins its keys as the command line writes them, for messages.
    """

    key: ClassVar[str] = "backbone.weights."
    base: SourceConfig = Field(
        default=Hub(repo="stable-diffusion-v1-5/stable-diffusion-v1-5"),
        description="the whole pipeline: VAE, UNet, text encoder, tokenizer, scheduler's config",
    )
    controlnets: tuple[ControlNetConfig, ...] = Field(
        default=(
            ControlNetConfig(kind="edges", source=Hub(repo="lllyasviel/control_v11p_sd15_canny")),
            ControlNetConfig(kind="pose", source=Hub(repo="lllyasviel/control_v11p_sd15_openpose")),
        ),
        description="what ties the pictures to the source; may be empty",
    )
    dreambooth: SourceConfig | None = Field(
        default=None,
        description="a fine-tuned UNet, or a pipeline: its UNet and text encoder replace base's",
    )
    vae: SourceConfig | None = Field(
        default=None, description="an autoencoder (AutoencoderKL or AutoencoderTiny) for base's"
    )
    loras: tuple[LoraConfig, ...] = Field(default=(), description="added in this order")
    embeddings: tuple[EmbeddingConfig, ...] = Field(default=(), description="new words")
    channels_last: bool = Field(
        default=False, description="memory layout of pictures; measure whether it is faster"
    )
    download: bool = Field(default=False, description="fetch from the hub what the cache lacks")
