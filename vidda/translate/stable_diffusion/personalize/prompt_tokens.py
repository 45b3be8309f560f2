"""Prompts as CLIP's token ids, and what can be wrong with them."""

from collections.abc import Sequence

import torch
from transformers import CLIPTokenizer

from vidda.errors import ViddaError

SLOT = "{token}"


def filled(template: str, token: str, key: str) -> str:
    """Return a template with the token in its place; ViddaError, naming the key, where
    it has none.
    """
    if SLOT not in template:
        raise ViddaError(f"{key}: {template!r} has no {SLOT}; say where the token stands")
    return template.replace(SLOT, token)


def token_ids(tokenizer: CLIPTokenizer, prompts: Sequence[str], key: str) -> torch.Tensor:
    """Ids of the prompts, padded as diffusers' pipelines pad them, (P, L) int64.

    Raises ViddaError, naming the config's key, when a prompt is longer than the text encoder reads
    or has a part that its vocabulary does not know.
    """
    longest = tokenizer.model_max_length
    problems = []
    for prompt in prompts:
        ids = words(tokenizer, prompt)
        if len(ids) > longest - 2:
            problems.append(
                f"{key}: {prompt!r} is {len(ids)} tokens, the text encoder reads {longest - 2};"
                " shorten it"
            )
        elif tokenizer.unk_token_id in ids:
            problems.append(
                f"{key}: {prompt!r} has words that the base's vocabulary does not know; take others"
            )
    if problems:
        raise ViddaError("\n".join(problems))
    padded = tokenizer(list(prompts), padding="max_length", max_length=longest, return_tensors="pt")
    table: torch.Tensor = padded.input_ids
    return table


def words(tokenizer: CLIPTokenizer, text: str) -> list[int]:
    """Return the ids of a text without start, end and padding."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids
