"""The vocabulary of the prompts: the base's tokenizer with the words of all embeddings."""

from typing import Any

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet_libraries, read_embedding
from vidda.translate.stable_diffusion.learned_tokens import add_words
from vidda.translate.stable_diffusion.model_files import ModelFiles
from vidda.translate.stable_diffusion.weights_config import WeightsConfig


def load_tokenizer(files: ModelFiles) -> Any:
    """Load the base's tokenizer without any embeddings; raise ViddaError when it cannot be read."""
    from transformers import CLIPTokenizer

    with quiet_libraries():
        try:
            return CLIPTokenizer.from_pretrained(files.tokenizer, local_files_only=True)
        except Exception as error:  # the tokenizers library raises plain Exception
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{files.tokenizer}: not a CLIP tokenizer ({reason:.200}); copy the folder again"
            ) from None


def load_vocabulary(config: WeightsConfig, files: ModelFiles) -> Any:
    """Load the base's tokenizer and add the words of all embeddings; no network is loaded.

    Raises ViddaError with a line for each embedding that does not fit.
    """
    tokenizer = load_tokenizer(files)
    width = files.text_encoder.config["hidden_size"]
    problems = []
    for embedding, file in zip(config.embeddings, files.embeddings, strict=True):
        try:
            words, _ = read_embedding(file, embedding, tokenizer, width)
        except ViddaError as error:
            problems.append(str(error))
        else:
            add_words(tokenizer, words)
    if problems:
        raise ViddaError("\n".join(problems))
    return tokenizer
