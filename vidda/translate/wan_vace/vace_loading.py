"""Loading of Wan VACE's networks into diffusers' pipeline, and of LoRAs into its transformer."""

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet_libraries
from vidda.translate.stable_diffusion.folders import JsonContent
from vidda.translate.stable_diffusion.loading import load_network
from vidda.translate.stable_diffusion.weights_config import LoraConfig
from vidda.translate.wan_vace.t5_prompts import T5Prompts, load_tokenizer
from vidda.translate.wan_vace.vace_config import VaceWeightsConfig
from vidda.translate.wan_vace.vace_files import SCHEDULERS, VaceFiles

log = logging.getLogger("vidda")

_ADAPTER = "lora"


def load_vace(
    config: VaceWeightsConfig, files: VaceFiles, device: torch.device, dtype: torch.dtype
) -> tuple[Any, T5Prompts]:
    """Load all networks; return diffusers' WanVACEPipeline, without text encoder, and the prompts'.

    dtype: of transformer and text encoder; the autoencoder is in float32, as its makers advise.
    Raises ViddaError when a network cannot be loaded, or a LoRA does not fit.
    """
    from diffusers import WanVACEPipeline

    text = load_network(files.text_encoder, dtype).requires_grad_(False).eval()
    with quiet_libraries():
        pipeline: Any = WanVACEPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=load_network(files.vae, torch.float32),
            transformer=load_network(files.transformer, dtype),
            scheduler=build_vace_scheduler(files.scheduler, 1.0),
        )
    pipeline.set_progress_bar_config(disable=True)
    for lora, file in zip(config.loras, files.loras, strict=True):
        fuse_wan_lora(pipeline, file, lora)
    for network in (pipeline.vae, pipeline.transformer):
        network.requires_grad_(False).eval().to(device)
    log.info("loaded %s on %s in %s", files.transformer.path, device, dtype)
    return pipeline, T5Prompts(load_tokenizer(files.tokenizer), text, device)


def build_vace_scheduler(content: JsonContent, flow_shift: float) -> Any:
    """Return a new scheduler of diffusers; it keeps state, so build one for each clip.

    content: of scheduler_config.json, whose class is one of `SCHEDULERS`.
    """
    import diffusers

    name = content["_class_name"]
    return getattr(diffusers, name).from_config(content, **{SCHEDULERS[name]: flow_shift})


def fuse_wan_lora(pipeline: Any, file: Path, config: LoraConfig) -> None:
    """Add a LoRA to the weights of a pipeline's transformer, in place, scaled by config.scale.

    Raises ViddaError when the file is no LoRA of this transformer, or has layers that it lacks.
    """
    wanted = _count_layers(file)
    # The libraries initialize weights at random before they load the file's.
    with quiet_libraries(), torch.random.fork_rng(devices=[]):
        try:
            pipeline.load_lora_weights(
                str(file.parent),
                weight_name=file.name,
                adapter_name=_ADAPTER,
                use_safetensors=True,
                local_files_only=True,
            )
            # diffusers drops layers that it does not know without an error.
            found = _lora_layers(pipeline.transformer)
            if found != wanted:
                raise ViddaError(
                    f"{file}: {wanted - found} of its {wanted} layers are not in this transformer;"
                    " name a LoRA of its base"
                )
            pipeline.fuse_lora(
                components=["transformer"], lora_scale=config.scale, adapter_names=[_ADAPTER]
            )
        except (SafetensorError, ValueError, RuntimeError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{file}: cannot be added to this transformer ({reason:.200}); name a LoRA of its"
                " base"
            ) from None
        finally:
            pipeline.unload_lora_weights()
    log.info("LoRA %s: %d layers, scale %g", file, found, config.scale)


def _count_layers(file: Path) -> int:
    """Return the number of layers of a LoRA's file; raise ViddaError when it has none."""
    try:
        with safe_open(file, framework="pt") as opened:
            keys = list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise ViddaError(f"{file}: not a safetensors file ({error}); copy it again") from None
    count = sum("lora_A." in key or "lora_down." in key for key in keys)
    if not count:
        raise ViddaError(f"{file}: holds no LoRA; name another")
    return count


def _lora_layers(network: Any) -> int:
    from peft.tuners.lora import LoraLayer

    return sum(
        isinstance(layer, LoraLayer) and _ADAPTER in layer.lora_A for layer in network.modules()
    )
