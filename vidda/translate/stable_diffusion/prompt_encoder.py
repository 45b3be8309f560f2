"""Encoding of prompts by the text encoder, for the UNet."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet_libraries
from vidda.translate.stable_diffusion.learned_tokens import expand_tokens

CACHED_PROMPTS = 256
"""Prompts whose encodings are cached; one takes 0.1 to 0.2 MB at SD 1.5's size."""


class PromptEncoder:
    """A CLIP tokenizer with its text encoder (transformers); repeated prompts are encoded once."""

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._one = lru_cache(CACHED_PROMPTS)(self._encode)

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return the last hidden states of N prompts, (N, tokens, width), in the encoder's dtype.

        Each prompt is encoded alone, so that rounding does not depend on the other prompts. Raises
        ViddaError when a prompt is too long.
        """
        return torch.cat([self._one(prompt) for prompt in prompts])

    def _encode(self, prompt: str) -> torch.Tensor:
        return encode_prompts(self._tokenizer, self._text_encoder, [prompt])


@torch.inference_mode()
def encode_prompts(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Return the text encoder's last hidden states of N prompts, (N, tokens, width).

    tokenizer, text_encoder: CLIP's, of transformers. A word that Textual Inversion learned as
    several vectors is expanded to all of them. Raises ViddaError when a prompt is too long, instead
    of cutting it.
    """
    for prompt, length in overlong_prompts(tokenizer, prompts).items():
        raise ViddaError(f"a prompt has {length}; shorten {prompt!r:.80}")
    ids = tokenizer(
        _expanded(tokenizer, prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    )
    states: torch.Tensor = text_encoder(ids.input_ids.to(text_encoder.device))[0]
    return states


def overlong_prompts(tokenizer: Any, prompts: Sequence[str]) -> dict[str, str]:
    """Return the prompts that a text encoder would cut, each with its length as text.

    The text is such as "80 tokens and 75 fit"; start and end token are not counted. tokenizer:
    CLIP's, of transformers, which knows how many tokens fit.
    """
    longest = tokenizer.model_max_length - 2
    with quiet_libraries():  # the tokenizer would warn of the same
        lengths = [len(ids) - 2 for ids in tokenizer(_expanded(tokenizer, prompts)).input_ids]
    return {
        prompt: f"{length} tokens and {longest} fit"
        for prompt, length in zip(prompts, lengths, strict=True)
        if length > longest
    }


def _expanded(tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    return [expand_tokens(tokenizer, prompt) for prompt in prompts]
