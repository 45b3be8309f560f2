"""The words of the prompts: the base's tokenizer, and what embeddings teach it."""

from typing import Any

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet, read_embedding
from vidda.translate.stable_diffusion.model_files import ModelFiles
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.translate.stable_diffusion.words import add_words


def load_tokenizer(parts: ModelFiles) -> Any:
    """Return the base's tokenizer as it was saved; raises ViddaError when it cannot be read."""
    from transformers import CLIPTokenizer

    with quiet():
        try:
            return CLIPTokenizer.from_pretrained(parts.tokenizer, local_files_only=True)
        except Exception as error:  # the tokenizers library raises plain Exception
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{parts.tokenizer}: not a CLIP tokenizer ({reason:.200}); copy the folder again"
            ) from None


def load_vocabulary(config: WeightsConfig, parts: ModelFiles) -> Any:
    """Return the tokenizer with the words of all embeddings, without any network.

    Raises ViddaError with a line for each embedding that does not fit.
    """
    tokenizer = load_tokenizer(parts)
    width = parts.text_encoder.config["hidden_size"]
    problems = []
    for embedding, file in zip(config.embeddings, parts.embeddings, strict=True):
        try:
            words, _ = read_embedding(file, embedding, tokenizer, width)
        except ViddaError as error:
            problems.append(str(error))
        else:
            add_words(tokenizer, words)
    if problems:
        raise ViddaError("\n".join(problems))
    return tokenizer
