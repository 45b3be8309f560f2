"""Encoding of prompts by Wan's text encoder."""

import html
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet_libraries

LONGEST = 512
"""Tokens of a prompt that the transformer reads."""
CACHED_PROMPTS = 64
"""Prompts whose encodings are cached; one takes 4 MB at the public models' size."""


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer of transformers; raise ViddaError when it cannot be read."""
    from transformers import AutoTokenizer

    with quiet_libraries():
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the tokenizers library raises plain Exception
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{folder}: not a tokenizer ({reason:.200}); copy the folder again"
            ) from None


def overlong(tokenizer: Any, prompts: Sequence[str]) -> dict[str, str]:
    """Return the prompts that would be cut, each with its length as text; see `LONGEST`."""
    with quiet_libraries():  # the tokenizer would warn of the same
        lengths = [len(tokenizer(clean(prompt)).input_ids) for prompt in prompts]
    return {
        prompt: f"{length} tokens and {LONGEST} fit"
        for prompt, length in zip(prompts, lengths, strict=True)
        if length > LONGEST
    }


def clean(prompt: str) -> str:
    """Return a prompt as Wan's pipelines clean it, without their repair of broken characters."""
    return " ".join(html.unescape(html.unescape(prompt)).split())


class T5Prompts:
    """A tokenizer with its text encoder (transformers); repeated prompts are encoded once.

    device: where prompts are encoded, and where their encodings stay.
    """

    def __init__(self, tokenizer: Any, text_encoder: Any, device: torch.device) -> None:
        self._tokenizer, self._text_encoder, self._device = tokenizer, text_encoder, device
        self._waits = False
        self.encode = lru_cache(CACHED_PROMPTS)(self._encode)

    def park(self) -> None:
        """Keep the text encoder in main memory while it does not encode."""
        self._waits = True
        self._text_encoder.to("cpu")

    @torch.inference_mode()
    def _encode(self, prompt: str) -> torch.Tensor:
        """Return the last hidden states of a prompt, (1, LONGEST, width), 0 after its end."""
        inputs = self._tokenizer(
            clean(prompt),
            padding="max_length",
            max_length=LONGEST,
            truncation=True,
            return_tensors="pt",
        )
        encoder = self._text_encoder.to(self._device)
        try:
            ids, mask = (inputs[key].to(self._device) for key in ("input_ids", "attention_mask"))
            states: torch.Tensor = encoder(ids, mask).last_hidden_state
        finally:
            if self._waits:
                encoder.to("cpu")
        return states * mask[..., None].to(states.dtype)
