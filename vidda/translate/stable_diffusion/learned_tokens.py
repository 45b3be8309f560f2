"""The words that embeddings teach a tokenizer: their names, and how a prompt spells them."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any


def names(token: str, vectors: int) -> list[str]:
    """Return the tokens of a word of so many vectors, as diffusers names them."""
    token = unicodedata.normalize("NFC", token)  # as CLIP's tokenizer reads prompts
    return [token, *(f"{token}_{number}" for number in range(1, vectors))]


def problem(tokenizer: Any, words: Sequence[str]) -> str | None:
    """Why a tokenizer cannot be taught a word, `names` of it; None where it can.

    A prompt must be able to say everything else as before: a name that is a word, or may be a part
    of one, would change prompts that do not mean it.
    """
    token, known = words[0], tokenizer.get_vocab()
    folded = {name.casefold() for name in tokenizer.added_tokens_encoder}
    # CLIP's vocabulary has words that end there as "word</w>", in lower case.
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
        return f"the word {token!r} would be mixed up with one more vector of another word"
    return None


def add_words(tokenizer: Any, words: Sequence[str]) -> None:
    """Teach a tokenizer new tokens, each as it is written: capitals and accents are kept."""
    from transformers import AddedToken

    tokenizer.add_tokens(
        [
            # One that begins and ends as words do is not found inside other words.
            AddedToken(word, normalized=False, single_word=bool(re.fullmatch(r"\w(.*\w)?", word)))
            for word in words
        ]
    )


def spelled(tokenizer: Any, prompt: str) -> str:
    """Return a prompt with each learned word as all of its tokens, in whatever case it
    is written.
    """
    added = {name.casefold(): name for name in tokenizer.added_tokens_encoder}

    def tokens(found: re.Match[str]) -> str:
        name = added[found.group().casefold()]
        every, number = [name], 1
        while f"{name}_{number}".casefold() in added:
            every.append(f"{name}_{number}")
            number += 1
        return " ".join(every)

    forms = {*added, *added.values()}  # a regular expression takes no "ss" for a "\u00df"
    ways = "|".join(_pattern(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(ways, tokens, unicodedata.normalize("NFC", prompt), flags=re.IGNORECASE)


def _pattern(name: str) -> str:
    """Return a name as a regular expression; where it ends as words do, a word ends."""
    before = r"(?<!\w)" if re.match(r"\w", name) else ""
    after = r"(?!\w)" if re.search(r"\w$", name) else ""
    return before + re.escape(name) + after
