"""Prompts as the UNet reads them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet
from vidda.translate.stable_diffusion.words import spelled

REMEMBERED = 256
"""So many prompts' embeddings are kept; at SD 1.5's size one is 0.1 to 0.2 MB."""


class PromptEncoder:
    """Prompts as the UNet reads them; repeated ones are encoded once."""

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._one = lru_cache(REMEMBERED)(self._encode)

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return the text encoder's last states, (N, tokens, width), on its own device and in its
        dtype.

        Each prompt is encoded alone, so that its numbers do not depend, in their last digit, on
        which others are translated with it. Raises ViddaError when one is too long.
        """
        return torch.cat([self._one(prompt) for prompt in prompts])

    def _encode(self, prompt: str) -> torch.Tensor:
        return encode(self._tokenizer, self._text_encoder, [prompt])


@torch.inference_mode()
def encode(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Return the text encoder's last states for each prompt, (N, tokens, width).

    A token that Textual Inversion learned as several vectors stands for all of them. Raises
    ViddaError when a prompt is too long, rather than let its end be cut off.
    """
    for prompt, told in too_long(tokenizer, prompts).items():
        raise ViddaError(f"a prompt has {told}; shorten {prompt!r:.80}")
    ids = tokenizer(
        _spelled(tokenizer, prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    )
    states: torch.Tensor = text_encoder(ids.input_ids.to(text_encoder.device))[0]
    return states


def too_long(tokenizer: Any, prompts: Sequence[str]) -> dict[str, str]:
    """Return the prompts that a text encoder does not read to their end, and how long they are, in
    words.

    Its first and last token are not counted.
    """
    room = tokenizer.model_max_length - 2
    with quiet():  # it warns of what is told here
        lengths = [len(ids) - 2 for ids in tokenizer(_spelled(tokenizer, prompts)).input_ids]
    return {
        prompt: f"{length} tokens and {room} fit"
        for prompt, length in zip(prompts, lengths, strict=True)
        if length > room
    }


def _spelled(tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    return [spelled(tokenizer, prompt) for prompt in prompts]
