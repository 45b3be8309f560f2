"""LoRAs and textual-inversion embeddings, put into the models for good by diffusers' loaders."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.weights import EmbeddingConfig, LoraConfig
from vidda.weights import quieted

log = logging.getLogger("vidda")

# What AUTOMATIC1111 calls the vectors in a file that does not name its word.
_NAMELESS = "emb_params"
_NAME = "lora"
# The first of the two matrices of a layer, as one trainer or another names it.
_FIRST = ("lora_A.", "lora.down.", "lora_linear_layer.down.")


def carrier(unet: Any, text_encoder: Any, tokenizer: Any) -> Any:
    """A pipeline around the models, for diffusers' loaders, which are methods of one."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    with quiet():
        return StableDiffusionPipeline(
            vae=None,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


def fuse_lora(pipeline: Any, file: Path, config: LoraConfig) -> None:
    """Add a LoRA's product, times its scale, to the weights that it was made for.

    The layers stay the base's own classes: no adapter runs while sampling. Raises ViddaError when
    the file is no LoRA, or has a layer that the models have not, or one of another shape.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    with quiet():
        try:
            wanted = _load_lora(pipeline, file)
            models = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
            layers = {
                part: sum(isinstance(module, BaseTunerLayer) for module in model.modules())
                for part, model in models.items()
            }
            found = sum(layers.values())
            if found != wanted:
                raise ViddaError(
                    f"{file}: {wanted - found} of its {wanted} layers are not in this model;"
                    " name a LoRA of its base"
                )
            parts = [part for part, own in layers.items() if own]
            pipeline.fuse_lora(components=parts, lora_scale=config.scale, adapter_names=[_NAME])
        finally:  # one that does not fit must not be in the way of the next
            pipeline.unload_lora_weights()
    log.info("LoRA %s: %d layers, scale %g", file, found, config.scale)


def _load_lora(pipeline: Any, file: Path) -> int:
    """Load a file as the adapter `_NAME`; gives how many layers it should have."""
    try:
        wanted = _lora_layers(pipeline, file)
        pipeline.load_lora_weights(
            file.parent,
            weight_name=file.name,
            adapter_name=_NAME,
            local_files_only=True,
            use_safetensors=True,
        )
    except (SafetensorError, ValueError, RuntimeError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"{file}: cannot be added to this model ({reason:.200}); name a LoRA of its base"
        ) from None
    return wanted


def add_embedding(pipeline: Any, file: Path, config: EmbeddingConfig) -> str:
    """Teach tokenizer and text encoder a new word; gives the word. Raises as `read_embedding`."""
    width = pipeline.text_encoder.config.hidden_size
    (token, *others), vectors = read_embedding(file, config, pipeline.tokenizer, width)
    with quiet():
        pipeline.load_textual_inversion({token: vectors}, token=token)
    log.info("embedding %s: %s, %d vectors", file, token, 1 + len(others))
    return token


def read_embedding(
    file: Path, config: EmbeddingConfig, tokenizer: Any, width: int
) -> tuple[list[str], torch.Tensor]:
    """The tokens that a new word is to be, as diffusers names them, and its vectors.

    width: of the text encoder's words. Raises ViddaError when the file is no embedding, has another
    width than the text encoder, or its word is known already.
    """
    tensors = _tensors(file)
    if len(tensors) != 1:
        raise ViddaError(f"{file}: holds {len(tensors)} tensors, not one embedding; name another")
    ((name, vectors),) = tensors.items()
    if vectors.ndim not in (1, 2) or vectors.shape[-1] != width:
        shape = "x".join(map(str, vectors.shape))
        raise ViddaError(
            f"{file}: an embedding of {shape}, but this text encoder's words have {width} numbers;"
            " name one that was learned on this base"
        )
    if name == _NAMELESS and config.token is None:
        raise ViddaError(f"{file}: does not name its word; give it, for instance token: <realism>")
    token = config.token or name
    names = [token, *(f"{token}_{n}" for n in range(1, vectors.numel() // width))]
    taken = tokenizer.get_vocab().keys() & names
    if taken:
        raise ViddaError(f"{file}: the word {min(taken)!r} is known already; give another as token")
    return names, vectors


def _lora_layers(pipeline: Any, file: Path) -> int:
    """How many layers a file has, in whichever format; raises ValueError when it is no LoRA."""
    state, _ = pipeline.lora_state_dict(
        file.parent, weight_name=file.name, local_files_only=True, use_safetensors=True
    )
    down = [key for key in state if any(name in key for name in _FIRST)]
    if not down:
        raise ValueError("it holds no LoRA's layers")
    return len(down)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            if len(list(opened.keys())) > 1:  # a whole model, perhaps of gigabytes
                return dict.fromkeys(opened.keys(), torch.empty(0))
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ViddaError(f"{file}: not a safetensors file ({error}); copy it again") from None


def quiet() -> AbstractContextManager[None]:
    """Keep back what diffusers and transformers say and show of themselves."""
    from diffusers.utils import logging as diffusers
    from transformers.utils import logging as transformers

    return quieted(diffusers, transformers)
