"""The words that embeddings add to a tokenizer: their tokens, and their expansion in prompts."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any


def token_names(token: str, vectors: int) -> list[str]:
    """Return the tokens of a word, one for each of its vectors, as diffusers names them."""
    token = unicodedata.normalize("NFC", token)  # as CLIP's tokenizer reads prompts
    return [token, *(f"{token}_{number}" for number in range(1, vectors))]


def token_problem(tokenizer: Any, words: Sequence[str]) -> str | None:
    """Return why a tokenizer cannot take a new word, as the start of a message; None if it can.

    words: `token_names` of the word. A name that is a word already, or may be part of one, would
    change the meaning of other prompts.
    """
    token, known = words[0], tokenizer.get_vocab()
    folded = {name.casefold() for name in tokenizer.added_tokens_encoder}
    # CLIP's vocabulary has whole words as "word</w>", in lower case.
    if f"{token.lower()}</w>" in known:
        return f"the word {token!r} is in the base's vocabulary already"
    if any(name in known or name.casefold() in folded for name in words):
        return f"the word {token!r} is known already"
    if token.isalpha():
        return f"the word {token!r} may be an ordinary word, or a part of one, in a prompt"
    if re.search(r"\s", token) or not token:
        return f"the word {token!r} is not one word"
    stem, _, number = token.rpartition("_")
    if (number.isdigit() and stem.casefold() in folded) or (
        f"{token}_{len(words)}".casefold() in folded
    ):
        return f"the word {token!r} would be confused with a further vector of another word"
    return None


def add_words(tokenizer: Any, words: Sequence[str]) -> None:
    """Add new tokens to a tokenizer, in place, as they are written, capitals and accents included.

    tokenizer: CLIP's, of transformers. words: the tokens of a new word, one for each vector.
    """
    from transformers import AddedToken

    tokenizer.add_tokens(
        [
            # A token that begins and ends like a word must not match inside other words.
            AddedToken(word, normalized=False, single_word=bool(re.fullmatch(r"\w(.*\w)?", word)))
            for word in words
        ]
    )


def expand_tokens(tokenizer: Any, prompt: str) -> str:
    """Return a prompt with each learned word, in any case, replaced by all of its tokens.

    tokenizer: CLIP's, of transformers, to which `add_words` has added the words.
    """
    added = {name.casefold(): name for name in tokenizer.added_tokens_encoder}

    def expand(match: re.Match[str]) -> str:
        name = added[match.group().casefold()]
        tokens, number = [name], 1
        while f"{name}_{number}".casefold() in added:
            tokens.append(f"{name}_{number}")
            number += 1
        return " ".join(tokens)

    forms = {*added, *added.values()}  # re.IGNORECASE does not match "ss" with "\u00df"
    pattern = "|".join(_pattern(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(pattern, expand, unicodedata.normalize("NFC", prompt), flags=re.IGNORECASE)


def _pattern(name: str) -> str:
    """Return a regular expression for a name, bounded where it begins or ends like a word."""
    before = r"(?<!\w)" if re.match(r"\w", name) else ""
    after = r"(?!\w)" if re.search(r"\w$", name) else ""
    return before + re.escape(name) + after
