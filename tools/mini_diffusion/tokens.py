"""A CLIP tokenizer in which each word of the captions is one token, and other text is letters."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

LENGTH = 77
"""Tokens of a prompt, as everywhere in Stable Diffusion 1.x."""

END = "</w>"
Piece = tuple[str, ...]


def tokenizer(words: Sequence[str]) -> CLIPTokenizer:
    """Return a tokenizer whose vocabulary is all letters and these lower-case words."""
    letters = sorted(ByteLevel.alphabet())
    merges = byte_pairs(words)
    pieces = [*letters, *(letter + END for letter in letters), *(a + b for a, b in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)  # type: ignore[arg-type]


def byte_pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the merges that make each word one token (Sennrich et al. 2016, arXiv 1508.07909).

    The most frequent pair is merged first; ties go to the first in alphabetical order.
    """
    pieces: list[Piece] = [(*word[:-1], word[-1] + END) for word in dict.fromkeys(words)]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for piece in pieces for pair in pairwise(piece))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = [_merged(piece, best) for piece in pieces]


def _merged(piece: Piece, pair: tuple[str, str]) -> Piece:
    found: list[str] = []
    for part in piece:
        if found and (found[-1], part) == pair:
            found[-1] += part
        else:
            found.append(part)
    return tuple(found)
