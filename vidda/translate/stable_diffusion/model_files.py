"""The files that a translator's weights are read from, found and checked before any is loaded."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.folders import (
    DIFFUSERS,
    SCHEDULER,
    TRANSFORMERS,
    Content,
    FolderPart,
    model_files,
    pipeline_files,
    weights_in,
    what_instead,
    why_no_weights,
)
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.weights import Folder, Hub, find_file

AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")
UNETS = ("UNet2DConditionModel",)
# Those whose parts are Stable Diffusion 1.x's or 2.x's; others have more parts or other ones.
PIPELINES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionControlNetPipeline",
    "StableDiffusionControlNetImg2ImgPipeline",
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """All that is read. scheduler: the content of its config."""

    vae: FolderPart
    unet: FolderPart
    text_encoder: FolderPart
    tokenizer: Path
    scheduler: Content
    controlnets: tuple[FolderPart, ...]
    loras: tuple[Path, ...]
    embeddings: tuple[Path, ...]

    @property
    def pixels_per_latent(self) -> int:
        """Return pixels of a latent along a side; both sides of a frame are multiples of it."""
        return pixels_per_latent(self.vae.config)


def pixels_per_latent(vae: Mapping[str, Any]) -> int:
    """Return pixels of a latent along a side, from the config of an autoencoder, whole or tiny."""
    blocks = vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or (0,) * 4
    return int(2 ** (len(blocks) - 1))


def find_model_files(config: WeightsConfig) -> ModelFiles:
    """Where everything is; the models' sizes are compared too, from their configs.

    Raises ViddaError with a line for each thing that is not there, is not what it should be, or
    does not fit the others.
    """
    finder = _Finder(config)
    folder = finder.pipeline()
    base = config.base
    vae, unet = finder.autoencoder(folder), finder.unet(folder)
    text = finder.home("text_encoder", folder)
    text_encoder = text and finder.part(text[1], ("CLIPTextModel",), text[0], TRANSFORMERS)
    words = finder.home("tokenizer", folder)
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
        problems += _misfits(unet, vae, text_encoder)
        for part in controlnets:
            problems += _controlnet_misfits(part, unet, vae) if part else ()
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


class _Finder:
    """Finds parts; what is wrong with one is added to `problems`, and the next is looked for."""

    def __init__(self, config: WeightsConfig) -> None:
        self.config = config
        self.key = config.key
        self.problems: list[str] = []

    def pipeline(self) -> Path | None:
        """Return the base's folder, when it is a pipeline of the right kind."""
        base = self.config.base
        folder = self._place(f"{self.key}base", base, pipeline_files(base.variant))
        if folder is None:
            return None
        index = folder / "model_index.json"
        if not index.is_file():
            self.problems.append(f"{folder}: no model_index.json; {what_instead(folder)}")
            return None
        name = (self.content(index, base) or {}).get("_class_name")
        if name not in PIPELINES:
            self.problems.append(
                f"{index}: a {name}; name a Stable Diffusion 1.x folder ({PIPELINES[0]})"
            )
            return None
        return folder

    def autoencoder(self, base: Path | None) -> FolderPart | None:
        """Return the base's, or the one that is to replace it."""
        source = self.config.vae
        if source is None:
            return self.part(base / "vae", AUTOENCODERS, self.config.base) if base else None
        return self._alone(f"{self.key}vae", source, AUTOENCODERS)

    def unet(self, base: Path | None) -> FolderPart | None:
        """Return the base's, or DreamBooth's."""
        source = self.config.dreambooth
        if source is None:
            return self.part(base / "unet", UNETS, self.config.base) if base else None
        return self._alone(f"{self.key}dreambooth", source, UNETS, "unet")

    def home(self, below: str, base: Path | None) -> tuple[Folder | Hub, Path] | None:
        """Return the source and folder of the text encoder or tokenizer: DreamBooth's if it has
        one.
        """
        source = self.config.dreambooth
        if source is not None:
            try:
                place = source.find(f"{self.key}dreambooth", (), download=False) / below
            except ViddaError:  # said already, for its UNet
                return None
            if place.is_dir():
                return source, place
        return (self.config.base, base / below) if base else None

    def controlnet(self, number: int) -> FolderPart | None:
        """Return the ControlNet of this number in the config."""
        source = self.config.controlnets[number].source
        return self._alone(f"{self.key}controlnets.{number}.source", source, ("ControlNetModel",))

    def tokenizer(self, folder: Path, source: Folder | Hub) -> Path | None:
        """Return the tokenizer's folder, when its words are there."""
        whole = (folder / "tokenizer.json").is_file()
        if whole or ((folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()):
            return folder
        self.problems.append(
            f"{folder}: neither tokenizer.json nor vocab.json and merges.txt;"
            f" {source.missing(self.key)}"
        )
        return None

    def file(self, key: str, source: Folder | Hub, file: str | None, usual: str) -> Path | None:
        """Return one *.safetensors; see `find_file`."""
        try:
            return find_file(source, f"{self.key}{key}.source", file, usual, self.config.download)
        except ViddaError as error:
            self.problems.append(str(error))
            return None

    def part(
        self, folder: Path, classes: tuple[str, ...], source: Folder | Hub, stem: str = DIFFUSERS
    ) -> FolderPart | None:
        """Return a model's folder, when its config names one of the classes and its weights are
        there.
        """
        config = self.content(folder / "config.json", source)
        if config is None:
            return None
        name = config.get("_class_name") or (config.get("architectures") or ["?"])[0]
        if name not in classes:
            wanted = " or ".join(classes)
            self.problems.append(f"{folder}: holds a {name}; name a folder with a {wanted}")
            return None
        files = weights_in(folder, stem, source.variant)
        if not files:
            self.problems.append(f"{folder}: {why_no_weights(folder, stem, source, self.key)}")
            return None
        return FolderPart(folder, config, files, source.variant)

    def content(self, file: Path, source: Folder | Hub) -> Content | None:
        """What a JSON file holds."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.problems.append(f"{file.parent}: no {file.name}; {source.missing(self.key)}")
            return None
        except (OSError, ValueError) as error:
            self.problems.append(f"{file}: cannot be read as JSON ({error}); copy it again")
            return None
        if not isinstance(content, dict) or not content:
            self.problems.append(f"{file}: holds no settings; copy it again")
            return None
        return content

    def _alone(
        self, key: str, source: Folder | Hub, classes: tuple[str, ...], below: str | None = None
    ) -> FolderPart | None:
        """Return a source's model; `below` names its folder where the source is a whole
        pipeline.
        """
        names = model_files(DIFFUSERS, source.variant)
        patterns = [*names, *(pipeline_files(source.variant) if below else ())]
        folder = self._place(key, source, patterns)
        if folder and below and (folder / below).is_dir():
            folder = folder / below
        return self.part(folder, classes, source) if folder else None

    def _place(self, key: str, source: Folder | Hub, patterns: list[str]) -> Path | None:
        try:
            folder = source.find(key, patterns, self.config.download)
        except ViddaError as error:
            self.problems.append(str(error))
            return None
        if not folder.is_dir():
            self.problems.append(f"{key}: {folder} is a file; {what_instead(folder)}")
            return None
        return folder


def _misfits(unet: FolderPart, vae: FolderPart, text_encoder: FolderPart) -> Iterator[str]:
    """What of a UNet's sizes does not fit the models around it."""
    latent = vae.config.get("latent_channels", 4)
    if unet.config.get("in_channels", 4) != latent:
        yield (
            f"{unet.folder}: takes {unet.config['in_channels']} channels, but {vae.folder} makes"
            f" {latent}; name a UNet for text to image, and the autoencoder it was trained with"
        )
    width, wanted = text_encoder.config.get("hidden_size"), unet.config.get("cross_attention_dim")
    if width != wanted:
        yield (
            f"{unet.folder}: reads text of width {wanted}, but {text_encoder.folder} writes"
            f" {width}; take both from one pipeline"
        )


# The ControlNet is a copy of the UNet's first half: these must be equal in both.
_SHARED = ("cross_attention_dim", "block_out_channels", "layers_per_block", "in_channels")


def _controlnet_misfits(part: FolderPart, unet: FolderPart, vae: FolderPart) -> Iterator[str]:
    differ = [
        f"{key} is {part.config[key]}, the UNet's {unet.config[key]}"
        for key in _SHARED
        if key in part.config and key in unet.config and part.config[key] != unet.config[key]
    ]
    embedding = part.config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)
    own, latents = 2 ** (len(embedding) - 1), pixels_per_latent(vae.config)
    if own != latents:
        differ.append(f"it shrinks its map by {own}, the autoencoder its pictures by {latents}")
    if differ:
        yield f"{part.folder}: not a ControlNet of this UNet: {'; '.join(differ)}; name another"
