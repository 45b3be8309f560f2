"""The files that a translator's weights are read from, found and checked before any is loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.folders import (
    SCHEDULER,
    TRANSFORMERS,
    JsonContent,
    ModelFolder,
    pipeline_files,
)
from vidda.translate.stable_diffusion.model_finder import ModelFinder
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.weights import Folder, Hub

AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")
UNETS = ("UNet2DConditionModel",)
# Pipelines with the components of Stable Diffusion 1.x or 2.x.
PIPELINES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionControlNetPipeline",
    "StableDiffusionControlNetImg2ImgPipeline",
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of all models of a translator, found and checked.

    scheduler: the content of scheduler_config.json. tokenizer: its folder. loras, embeddings: files
    in the order of the config.
    """

    vae: ModelFolder
    unet: ModelFolder
    text_encoder: ModelFolder
    tokenizer: Path
    scheduler: JsonContent
    controlnets: tuple[ModelFolder, ...]
    loras: tuple[Path, ...]
    embeddings: tuple[Path, ...]

    @property
    def pixels_per_latent(self) -> int:
        """Return the pixels along a side of one latent; frame sizes are multiples of it."""
        return pixels_per_latent(self.vae.config)


def pixels_per_latent(vae: Mapping[str, Any]) -> int:
    """Return the pixels along a side of one latent.

    vae: the config of an AutoencoderKL or AutoencoderTiny.
    """
    blocks = vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or (0,) * 4
    return int(2 ** (len(blocks) - 1))


def find_model_files(config: WeightsConfig) -> ModelFiles:
    """Find all files of a translator, and compare the models' sizes by their configs.

    Raises ViddaError with a line for each model or file that is missing, is of the wrong kind, or
    does not fit the others. Downloads only with `config.download`.
    """
    finder = _Finder(config)
    base = config.base
    folder = finder.pipeline(PIPELINES, pipeline_files(base.variant), "Stable Diffusion 1.x")
    vae, unet = finder.autoencoder(folder), finder.unet(folder)
    text = finder.text_folder("text_encoder", folder)
    text_encoder = text and finder.model_folder(text[1], ("CLIPTextModel",), text[0], TRANSFORMERS)
    words = finder.text_folder("tokenizer", folder)
    tokenizer = words and finder.tokenizer(words[1], words[0])
    scheduler = folder and finder.content(folder / SCHEDULER, base)
    controlnets = [finder.controlnet(number) for number in range(len(config.controlnets))]
    loras = [
        finder.file(f"loras.{n}", lora.source, lora.file, "pytorch_lora_weights.safetensors")
        for n, lora in enumerate(config.loras)
    ]
    embeddings = [
        finder.file(f"embeddings.{n}", new.source, new.file, "learned_embeds.safetensors")
        for n, new in enumerate(config.embeddings)
    ]
    problems = finder.problems
    if unet and vae and text_encoder:
        problems += _size_mismatches(unet, vae, text_encoder)
        for part in controlnets:
            problems += _controlnet_mismatches(part, unet, vae) if part else ()
    if problems:
        raise ViddaError("\n".join(problems))
    assert vae and unet and text_encoder and tokenizer and scheduler
    return ModelFiles(
        vae,
        unet,
        text_encoder,
        tokenizer,
        scheduler,
        tuple(part for part in controlnets if part),
        tuple(file for file in loras if file),
        tuple(file for file in embeddings if file),
    )


class _Finder(ModelFinder):
    """Finds the models of Stable Diffusion."""

    def __init__(self, config: WeightsConfig) -> None:
        super().__init__(config)
        self.config = config

    def autoencoder(self, base: Path | None) -> ModelFolder | None:
        """Return the folder of the base's autoencoder, or of the one that replaces it."""
        source = self.config.vae
        if source is None:
            return self.model_folder(base / "vae", AUTOENCODERS, self.config.base) if base else None
        return self.source_model(f"{self.key}vae", source, AUTOENCODERS)

    def unet(self, base: Path | None) -> ModelFolder | None:
        """Return the folder of the base's UNet, or of DreamBooth's."""
        source = self.config.dreambooth
        if source is None:
            return self.model_folder(base / "unet", UNETS, self.config.base) if base else None
        return self.source_model(f"{self.key}dreambooth", source, UNETS, "unet")

    def text_folder(self, below: str, base: Path | None) -> tuple[Folder | Hub, Path] | None:
        """Return source and folder of the text encoder or tokenizer: DreamBooth's if it has one.

        below: text_encoder or tokenizer. base: the base's folder.
        """
        source = self.config.dreambooth
        if source is not None:
            try:
                folder = source.find(f"{self.key}dreambooth", (), download=False) / below
            except ViddaError:  # reported already, for its UNet
                return None
            if folder.is_dir():
                return source, folder
        return (self.config.base, base / below) if base else None

    def controlnet(self, number: int) -> ModelFolder | None:
        """Return the folder of the ControlNet of this number in the config."""
        source = self.config.controlnets[number].source
        return self.source_model(
            f"{self.key}controlnets.{number}.source", source, ("ControlNetModel",)
        )


def _size_mismatches(
    unet: ModelFolder, vae: ModelFolder, text_encoder: ModelFolder
) -> Iterator[str]:
    """Yield a line for each size of a UNet that does not fit the autoencoder or text encoder."""
    latent = vae.config.get("latent_channels", 4)
    if unet.config.get("in_channels", 4) != latent:
        yield (
            f"{unet.path}: takes {unet.config['in_channels']} channels, but {vae.path} makes"
            f" {latent}; name a UNet for text to image, and the autoencoder it was trained with"
        )
    width, wanted = text_encoder.config.get("hidden_size"), unet.config.get("cross_attention_dim")
    if width != wanted:
        yield (
            f"{unet.path}: reads text of width {wanted}, but {text_encoder.path} writes"
            f" {width}; take both from one pipeline"
        )


# A ControlNet is a copy of the UNet's first half, so these must be equal in both.
_SHARED_SETTINGS = ("cross_attention_dim", "block_out_channels", "layers_per_block", "in_channels")


def _controlnet_mismatches(part: ModelFolder, unet: ModelFolder, vae: ModelFolder) -> Iterator[str]:
    differ = [
        f"{key} is {part.config[key]}, the UNet's {unet.config[key]}"
        for key in _SHARED_SETTINGS
        if key in part.config and key in unet.config and part.config[key] != unet.config[key]
    ]
    embedding = part.config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)
    own, latents = 2 ** (len(embedding) - 1), pixels_per_latent(vae.config)
    if own != latents:
        differ.append(f"it shrinks its map by {own}, the autoencoder its images by {latents}")
    if differ:
        yield f"{part.path}: not a ControlNet of this UNet: {'; '.join(differ)}; name another"
