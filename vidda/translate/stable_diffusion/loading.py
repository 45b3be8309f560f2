"""Loading of the translator's models: base, ControlNets, LoRAs, embeddings, DreamBooth weights."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import (
    adapter_pipeline,
    add_embedding,
    fuse_lora,
    quiet_libraries,
)
from vidda.translate.stable_diffusion.folders import JsonContent, ModelFolder
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.vocabulary import load_tokenizer
from vidda.translate.stable_diffusion.weights_config import (
    ControlKind,
    ControlNetConfig,
    WeightsConfig,
)

log = logging.getLogger("vidda")


@dataclass(frozen=True, slots=True)
class ControlNet:
    """One ControlNet; it acts from `start` to `end`, shares of the steps in [0, 1].

    scale: factor of what it adds to the UNet.
    """

    kind: ControlKind
    model: Any
    scale: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Models:
    """All networks of a translator on one device, in one dtype, without gradients.

    vae: diffusers' AutoencoderKL or AutoencoderTiny. unet: UNet2DConditionModel. text_encoder,
    tokenizer: transformers' CLIPTextModel and CLIPTokenizer. scheduler_config: the content of the
    folder's scheduler_config.json, with the noise schedule that the UNet was trained with.
    """

    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: JsonContent
    controlnets: tuple[ControlNet, ...]

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """Return all networks: autoencoder, UNet, text encoder, ControlNets."""
        return (self.vae, self.unet, self.text_encoder, *(c.model for c in self.controlnets))


def load_models(
    config: WeightsConfig, device: torch.device, dtype: torch.dtype, files: ModelFiles | None = None
) -> Models:
    """Load all models onto a device; LoRAs are fused in float32, before the cast to dtype.

    files: the result of `find_model_files`; None: call it. Only safetensors are read, and nothing
    is downloaded unless `config.download`. Raises ViddaError with a line for each file that is
    missing or does not fit; sizes are compared before weights are read.
    """
    files = files or find_model_files(config)
    exact = torch.float32 if config.loras else dtype
    models = Models(
        load_network(files.vae, dtype),
        load_network(files.unet, exact),
        load_network(files.text_encoder, exact),
        load_tokenizer(files),
        files.scheduler,
        _controlnets(config.controlnets, files.controlnets, dtype),
    )
    _add_adapters(models, config, files)
    for module in models.modules():
        with quiet_libraries():
            module.requires_grad_(False).eval().to(device, dtype)
        if config.channels_last and module is not models.text_encoder:
            module.to(memory_format=torch.channels_last)
    log.info("loaded %s on %s in %s", files.unet.path, device, dtype)
    return models


def _controlnets(
    configs: Sequence[ControlNetConfig], folders: Sequence[ModelFolder], dtype: torch.dtype
) -> tuple[ControlNet, ...]:
    return tuple(
        ControlNet(c.kind, load_network(folder, dtype), c.scale, c.start, c.end)
        for c, folder in zip(configs, folders, strict=True)
    )


def load_network(folder: ModelFolder, dtype: torch.dtype) -> Any:
    """Return a model of diffusers or transformers; raise ViddaError when weights are missing."""
    import diffusers
    import transformers

    name = folder.config.get("_class_name")
    library, kind = (
        ("torch_dtype", getattr(diffusers, name))
        if name
        else ("dtype", getattr(transformers, folder.config["architectures"][0]))
    )
    with quiet_libraries():
        try:
            model, info = kind.from_pretrained(
                folder.path,
                variant=folder.variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **{library: dtype},
            )
        except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{folder.path}: cannot be loaded ({reason:.200}); copy the folder again"
            ) from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise ViddaError(
            f"{folder.path}: {len(missing)} weights are missing (first {missing[0]});"
            " copy the folder again"
        )
    return model


def _add_adapters(models: Models, config: WeightsConfig, files: ModelFiles) -> None:
    """Add LoRAs and embeddings; raise ViddaError with a line for each that does not fit."""
    if not (config.loras or config.embeddings):
        return
    pipeline = adapter_pipeline(models.unet, models.text_encoder, models.tokenizer)
    problems = []
    # The libraries initialize weights at random before they load the files'.
    with torch.random.fork_rng(devices=[]):
        for lora, file in zip(config.loras, files.loras, strict=True):
            try:
                fuse_lora(pipeline, file, lora)
            except ViddaError as error:
                problems.append(str(error))
        for embedding, file in zip(config.embeddings, files.embeddings, strict=True):
            try:
                add_embedding(pipeline, file, embedding)
            except ViddaError as error:
                problems.append(str(error))
    if problems:
        raise ViddaError("\n".join(problems))
