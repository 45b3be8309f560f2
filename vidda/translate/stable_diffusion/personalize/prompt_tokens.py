"""Prompts of the training frames: templates and CLIP token ids, with checks."""

from collections.abc import Sequence

import torch
from transformers import CLIPTokenizer

from vidda.errors import ViddaError

TOKEN_SLOT = "{token}"


def fill_template(template: str, token: str, key: str) -> str:
    """Return a template with "{token}" replaced by the token.

    key: the config key, for the message. Raises ViddaError when the template has no "{token}".
    """
    if TOKEN_SLOT not in template:
        raise ViddaError(f"{key}: {template!r} has no {TOKEN_SLOT}; add it where the token belongs")
    return template.replace(TOKEN_SLOT, token)


def token_ids(tokenizer: CLIPTokenizer, prompts: Sequence[str], key: str) -> torch.Tensor:
    """Return the token ids of prompts, (P, L) int64, padded as in diffusers' pipelines.

    Raises ViddaError, naming the config's key, when a prompt is longer than the text encoder reads
    or has a part that its vocabulary does not know.
    """
    longest = tokenizer.model_max_length
    problems = []
    for prompt in prompts:
        ids = plain_token_ids(tokenizer, prompt)
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


def plain_token_ids(tokenizer: CLIPTokenizer, text: str) -> list[int]:
    """Return the token ids of a text without start, end and padding tokens."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids
