"""The translator's models: base, ControlNets, LoRAs, embeddings and DreamBooth weights, loaded."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import add_embedding, carrier, fuse_lora, quiet
from vidda.translate.stable_diffusion.folders import Content, FolderPart
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.vocabulary import load_tokenizer
from vidda.translate.stable_diffusion.weights_config import ControlNetConfig, Kind, WeightsConfig

log = logging.getLogger("vidda")


@dataclass(frozen=True, slots=True)
class ControlNet:
    """One ControlNet and when it acts: from `start` to `end`, shares of the steps in 0..1."""

    kind: Kind
    model: Any
    scale: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Models:
    """What a picture is made with, on one device, in one dtype, not to be trained.

    vae: diffusers' AutoencoderKL or AutoencoderTiny. unet: UNet2DConditionModel. text_encoder,
    tokenizer: transformers' CLIPTextModel and CLIPTokenizer. scheduler_config: what the folder's
    scheduler_config.json holds: the noise that the UNet was trained with; see `schedulers.build`.
    """

    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: Content
    controlnets: tuple[ControlNet, ...]

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """Return all networks: autoencoder, UNet, text encoder, ControlNets."""
        return (self.vae, self.unet, self.text_encoder, *(c.model for c in self.controlnets))


def load(
    config: WeightsConfig, device: torch.device, dtype: torch.dtype, parts: ModelFiles | None = None
) -> Models:
    """Return all models on a device. LoRAs are fused in float32, before the weights take their
    dtype.

    parts: where `find_model_files` found them; None: it looks now. Only safetensors are read, and
    nothing is fetched unless `config.download`. Raises ViddaError with a line for each thing that
    is missing or does not fit; sizes are compared before weights are read.
    """
    parts = parts or find_model_files(config)
    exact = torch.float32 if config.loras else dtype
    models = Models(
        _network(parts.vae, dtype),
        _network(parts.unet, exact),
        _network(parts.text_encoder, exact),
        load_tokenizer(parts),
        parts.scheduler,
        _controlnets(config.controlnets, parts.controlnets, dtype),
    )
    _adapt(models, config, parts)
    for module in models.modules():
        with quiet():
            module.requires_grad_(False).eval().to(device, dtype)
        if config.channels_last and module is not models.text_encoder:
            module.to(memory_format=torch.channels_last)
    log.info("loaded %s on %s in %s", parts.unet.folder, device, dtype)
    return models


def _controlnets(
    configs: Sequence[ControlNetConfig], parts: Sequence[FolderPart], dtype: torch.dtype
) -> tuple[ControlNet, ...]:
    return tuple(
        ControlNet(c.kind, _network(part, dtype), c.scale, c.start, c.end)
        for c, part in zip(configs, parts, strict=True)
    )


def _network(part: FolderPart, dtype: torch.dtype) -> Any:
    """Return a model of diffusers or transformers with all its weights; ViddaError when
    some lack.
    """
    import diffusers
    import transformers

    name = part.config.get("_class_name")
    library, kind = (
        ("torch_dtype", getattr(diffusers, name))
        if name
        else ("dtype", getattr(transformers, part.config["architectures"][0]))
    )
    with quiet():
        try:
            model, info = kind.from_pretrained(
                part.folder,
                variant=part.variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **{library: dtype},
            )
        except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{part.folder}: cannot be loaded ({reason:.200}); copy the folder again"
            ) from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise ViddaError(
            f"{part.folder}: {len(missing)} weights are missing (first {missing[0]});"
            " copy the folder again"
        )
    return model


def _adapt(models: Models, config: WeightsConfig, parts: ModelFiles) -> None:
    """Put LoRAs and embeddings in; every one that does not fit is named."""
    if not (config.loras or config.embeddings):
        return
    pipeline = carrier(models.unet, models.text_encoder, models.tokenizer)
    problems = []
    # The libraries draw numbers for what the files' own then replace.
    with torch.random.fork_rng(devices=[]):
        for lora, file in zip(config.loras, parts.loras, strict=True):
            try:
                fuse_lora(pipeline, file, lora)
            except ViddaError as error:
                problems.append(str(error))
        for embedding, file in zip(config.embeddings, parts.embeddings, strict=True):
            try:
                add_embedding(pipeline, file, embedding)
            except ViddaError as error:
                problems.append(str(error))
    if problems:
        raise ViddaError("\n".join(problems))
