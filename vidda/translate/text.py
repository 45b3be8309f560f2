"""Prompts as the UNet reads them."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.loaders import TextualInversionLoaderMixin

from vidda.errors import ViddaError


@torch.inference_mode()
def encode(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> torch.Tensor:
    """The text encoder's last states for each prompt, (N, tokens, width).

    A token that Textual Inversion learned as several vectors stands for all of them. Raises
    ViddaError when a prompt is too long, rather than let its end be cut off.
    """
    # Its only method that is used here needs no more of a pipeline than the tokenizer.
    converted = TextualInversionLoaderMixin().maybe_convert_prompt(list(prompts), tokenizer)
    limit = tokenizer.model_max_length
    for prompt, ids in zip(prompts, tokenizer(converted).input_ids, strict=True):
        if len(ids) > limit:
            raise ViddaError(
                f"a prompt has {len(ids) - 2} tokens and {limit - 2} fit; shorten {prompt!r:.80}"
            )
    ids = tokenizer(converted, padding="max_length", max_length=limit, return_tensors="pt")
    states: torch.Tensor = text_encoder(ids.input_ids.to(text_encoder.device))[0]
    return states
