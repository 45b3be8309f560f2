"""LoRAs and textual-inversion embeddings, put into the models for good by diffusers' loaders."""

import logging
import re
from contextlib import AbstractContextManager
from itertools import chain
from math import isclose
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.lora_file import read_lora, strength
from vidda.translate.stable_diffusion.weights_config import EmbeddingConfig, LoraConfig
from vidda.translate.stable_diffusion.words import add_words, names, problem
from vidda.weights import quieted

log = logging.getLogger("vidda")

# What AUTOMATIC1111 calls the vectors in a file that does not name its word.
_NAMELESS = "emb_params"
_NAME = "lora"
_TEXT_ATTENTION = re.compile(r"(?<=\.self_attn)\.to_(q|k|v|out)_lora\.")


def carrier(unet: Any, text_encoder: Any, tokenizer: Any) -> Any:
    """Return a pipeline around the models, for diffusers' loaders, which are methods of one."""
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
    """Add a LoRA's product, times alpha / rank of each layer and the config's scale, to the models.

    The layers stay the base's own classes: no adapter runs while sampling. Raises ViddaError when
    the file is no LoRA, or has a layer that the models have not, or one of another shape.
    """
    with quiet():
        try:
            strengths = _load_lora(pipeline, file)
            models = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
            applied = {part: _strengths(model) for part, model in models.items()}
            found = sum(map(len, applied.values()))
            if found != len(strengths):
                raise ViddaError(
                    f"{file}: {len(strengths) - found} of its {len(strengths)} layers are not in"
                    " this model; name a LoRA of its base"
                )
            together = zip(sorted(strengths), sorted(chain(*applied.values())), strict=True)
            if not all(isclose(own, other, rel_tol=1e-4) for own, other in together):
                raise ViddaError(
                    f"{file}: diffusers would add some layers at another strength than the file's"
                    " alpha / rank; save it anew with diffusers' save_lora_weights"
                )
            parts = [part for part, own in applied.items() if own]
            pipeline.fuse_lora(components=parts, lora_scale=config.scale, adapter_names=[_NAME])
        finally:  # one that does not fit must not be in the way of the next
            pipeline.unload_lora_weights()
    log.info("LoRA %s: %d layers, scale %g", file, found, config.scale)


def _load_lora(pipeline: Any, file: Path) -> list[float]:
    """Load a file as the adapter `_NAME`; gives the strength that each layer should have."""
    try:
        lora = read_lora(file)
        state, _ = pipeline.lora_state_dict(lora.state)
        # As diffusers reads kohya's text encoder, its attention would be lost beside its MLP.
        named = {
            _TEXT_ATTENTION.sub(r".\1_proj.lora_linear_layer.", k): v for k, v in state.items()
        }
        pipeline.load_lora_weights(named, adapter_name=_NAME)
    except (SafetensorError, ValueError, RuntimeError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"{file}: cannot be added to this model ({reason:.200}); name a LoRA of its base"
        ) from None
    return lora.strengths


def _strengths(model: Any) -> list[float]:
    """Return the strength at which each layer of the adapter `_NAME` is about to be added."""
    from peft.tuners.lora import LoraLayer

    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    return [
        abs(layer.scaling[_NAME]) * strength(layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight)
        for layer in layers
    ]


def add_embedding(pipeline: Any, file: Path, config: EmbeddingConfig) -> str:
    """Teach tokenizer and text encoder a new word; gives the word. Raises as `read_embedding`."""
    width = pipeline.text_encoder.config.hidden_size
    words, vectors = read_embedding(file, config, pipeline.tokenizer, width)
    first = len(pipeline.tokenizer)
    add_words(pipeline.tokenizer, words)
    with quiet():
        pipeline.text_encoder.resize_token_embeddings(len(pipeline.tokenizer))
    table = pipeline.text_encoder.get_input_embeddings().weight
    table.data[first:] = vectors.reshape(len(words), width)
    log.info("embedding %s: %s, %d vectors", file, words[0], len(words))
    return words[0]


def read_embedding(
    file: Path, config: EmbeddingConfig, tokenizer: Any, width: int
) -> tuple[list[str], torch.Tensor]:
    """Return the tokens that a new word is to be, as diffusers names them, and its vectors.

    width: of the text encoder's words. Raises ViddaError when the file is no embedding, has another
    width than the text encoder, or its word cannot be taught, see `words.problem`.
    """
    tensors = _tensors(file)
    if len(tensors) != 1:
        raise ViddaError(f"{file}: holds {len(tensors)} tensors, not one embedding; name another")
    ((name, vectors),) = tensors.items()
    if vectors.ndim not in (1, 2) or vectors.shape[-1] != width or not vectors.numel():
        shape = "x".join(map(str, vectors.shape))
        raise ViddaError(
            f"{file}: an embedding of {shape}, but this text encoder's words have {width} numbers;"
            " name one that was learned on this base"
        )
    if name == _NAMELESS and config.token is None:
        raise ViddaError(f"{file}: does not name its word; give it, for instance token: <realism>")
    words = names(config.token or name, vectors.numel() // width)
    wrong = problem(tokenizer, words)
    if wrong:
        raise ViddaError(f"{file}: {wrong}; give another as token, such as <realism>")
    return words, vectors


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
