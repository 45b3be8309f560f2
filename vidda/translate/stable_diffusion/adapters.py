"""LoRAs and textual-inversion embeddings, merged into the models by diffusers' loaders."""

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
from vidda.translate.stable_diffusion.learned_tokens import add_words, token_names, token_problem
from vidda.translate.stable_diffusion.lora_file import layer_strength, read_lora
from vidda.translate.stable_diffusion.weights_config import EmbeddingConfig, LoraConfig
from vidda.weights import silence_libraries

log = logging.getLogger("vidda")

# AUTOMATIC1111's key for the vectors in a file that does not name its word.
_UNNAMED = "emb_params"
_ADAPTER_NAME = "lora"
_TEXT_ATTENTION = re.compile(r"(?<=\.self_attn)\.to_(q|k|v|out)_lora\.")


def adapter_pipeline(unet: Any, text_encoder: Any, tokenizer: Any) -> Any:
    """Return a diffusers pipeline around the models, whose methods load LoRAs into them.

    unet: of diffusers. text_encoder, tokenizer: CLIP's, of transformers. They are shared, not
    copied; the pipeline cannot sample, for it has no autoencoder.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    with quiet_libraries():
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
    """Add a LoRA to the weights of a pipeline's UNet and text encoder, in place.

    Each layer's weights change by config.scale * alpha / rank * up @ down, so that no adapter runs
    while sampling. Raises ViddaError when the file is no LoRA, or has a layer that the models lack
    or have in another shape.
    """
    with quiet_libraries():
        try:
            strengths = _load_lora(pipeline, file)
            models = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
            applied = {part: _applied_strengths(model) for part, model in models.items()}
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
            pipeline.fuse_lora(
                components=parts, lora_scale=config.scale, adapter_names=[_ADAPTER_NAME]
            )
        finally:  # so that a LoRA that does not fit does not block the next
            pipeline.unload_lora_weights()
    log.info("LoRA %s: %d layers, scale %g", file, found, config.scale)


def _load_lora(pipeline: Any, file: Path) -> list[float]:
    """Load a file as the adapter `_ADAPTER_NAME`; return the strength that each layer needs."""
    try:
        lora = read_lora(file)
        state, _ = pipeline.lora_state_dict(lora.state)
        # Without these names diffusers drops the attention layers of kohya's text encoder.
        named = {
            _TEXT_ATTENTION.sub(r".\1_proj.lora_linear_layer.", k): v for k, v in state.items()
        }
        pipeline.load_lora_weights(named, adapter_name=_ADAPTER_NAME)
    except (SafetensorError, ValueError, RuntimeError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"{file}: cannot be added to this model ({reason:.200}); name a LoRA of its base"
        ) from None
    return lora.strengths


def _applied_strengths(model: Any) -> list[float]:
    """Return the strength at which diffusers will add each layer of `_ADAPTER_NAME`."""
    from peft.tuners.lora import LoraLayer

    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    return [
        abs(layer.scaling[_ADAPTER_NAME])
        * layer_strength(layer.lora_A[_ADAPTER_NAME].weight, layer.lora_B[_ADAPTER_NAME].weight)
        for layer in layers
    ]


def add_embedding(pipeline: Any, file: Path, config: EmbeddingConfig) -> str:
    """Add a new word to a pipeline's tokenizer and text encoder, in place; return the word.

    Raises ViddaError as `read_embedding` does.
    """
    width = pipeline.text_encoder.config.hidden_size
    words, vectors = read_embedding(file, config, pipeline.tokenizer, width)
    first = len(pipeline.tokenizer)
    add_words(pipeline.tokenizer, words)
    with quiet_libraries():
        pipeline.text_encoder.resize_token_embeddings(len(pipeline.tokenizer))
    table = pipeline.text_encoder.get_input_embeddings().weight
    table.data[first:] = vectors.reshape(len(words), width)
    log.info("embedding %s: %s, %d vectors", file, words[0], len(words))
    return words[0]


def read_embedding(
    file: Path, config: EmbeddingConfig, tokenizer: Any, width: int
) -> tuple[list[str], torch.Tensor]:
    """Return the tokens of a new word, as diffusers names them, and its vectors (V, width).

    width: hidden size of the text encoder. Raises ViddaError when the file is no embedding, its
    vectors have another width, or the tokenizer cannot take the word (`token_problem`).
    """
    tensors = _read_tensors(file)
    if len(tensors) != 1:
        raise ViddaError(f"{file}: holds {len(tensors)} tensors, not one embedding; name another")
    ((name, vectors),) = tensors.items()
    if vectors.ndim not in (1, 2) or vectors.shape[-1] != width or not vectors.numel():
        shape = "x".join(map(str, vectors.shape))
        raise ViddaError(
            f"{file}: an embedding of {shape}, but this text encoder's words have {width} numbers;"
            " name one that was learned on this base"
        )
    if name == _UNNAMED and config.token is None:
        raise ViddaError(f"{file}: does not name its word; set it, for instance token: <realism>")
    words = token_names(config.token or name, vectors.numel() // width)
    wrong = token_problem(tokenizer, words)
    if wrong:
        raise ViddaError(f"{file}: {wrong}; give another as token, such as <realism>")
    return words, vectors


def _read_tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            if len(list(opened.keys())) > 1:  # a whole model, perhaps of gigabytes
                return dict.fromkeys(opened.keys(), torch.empty(0))
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ViddaError(f"{file}: not a safetensors file ({error}); copy it again") from None


def quiet_libraries() -> AbstractContextManager[None]:
    """Return a context in which diffusers and transformers print no logs or progress bars."""
    from diffusers.utils import logging as diffusers
    from transformers.utils import logging as transformers

    return silence_libraries(diffusers, transformers)
