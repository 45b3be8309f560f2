"""The words of embeddings: all their vectors, in prompts that mean them and in no others."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_diffusion import WIDTH, tiny_tokenizer, write_tiny

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.learned_tokens import (
    add_words,
    expand_tokens,
    token_names,
    token_problem,
)
from vidda.translate.stable_diffusion.loading import Models, load_models
from vidda.translate.stable_diffusion.personalize.textual_inversion import TextualInversionConfig
from vidda.translate.stable_diffusion.prompt_encoder import encode_prompts, overlong_prompts
from vidda.translate.stable_diffusion.weights_config import EmbeddingConfig, WeightsConfig
from vidda.weights import Folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def with_words(base: Path, folder: Path, *words: str) -> Models:
    """Models with a word of three vectors for each name."""
    sources = []
    for number, word in enumerate(words):
        file = folder / f"{number}.safetensors"
        draw = torch.Generator().manual_seed(number)
        save_file({word: torch.randn(3, WIDTH, generator=draw)}, file)
        sources.append(EmbeddingConfig(source=Folder(path=file)))
    weights = WeightsConfig(base=Folder(path=base), controlnets=(), embeddings=tuple(sources))
    return load_models(weights, torch.device("cpu"), torch.float32)


WORDS = ["<realism>", "<Realism>", "<\u00c9lan>", "<E\u0301lan>", "<STRASSE-Stil>", "bad_Hand4"]
WORDS += ["Stra\u00dfe-7"]


@pytest.mark.parametrize("word", WORDS)
def test_a_prompt_holds_all_vectors_of_a_word(base: Path, tmp_path: Path, word: str) -> None:
    models = with_words(base, tmp_path, word)
    own = range(len(tiny_tokenizer()), len(models.tokenizer))
    assert len(own) == 3
    for prompt in (f"a photo, {word}", f"a photo, {word.lower()}", f"{word.upper()} photo"):
        ids = models.tokenizer(expand_tokens(models.tokenizer, prompt)).input_ids
        assert [i for i in ids if i in own] == list(own), prompt
    table = models.text_encoder.get_input_embeddings().weight
    wanted = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0))
    assert torch.equal(table[own.start :], wanted)


def test_words_do_not_touch_what_other_words_are_read_as(base: Path, tmp_path: Path) -> None:
    plain = tiny_tokenizer()
    taught = with_words(base, tmp_path, "hand4", "<Realism>").tokenizer
    for prompt in ("a photo of a person", "chand4s, shand4, a hand 4", "realism", "Best < quality"):
        assert taught(expand_tokens(taught, prompt)).input_ids == plain(prompt).input_ids


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("person", "in the base's vocabulary already"),
        ("Person", "in the base's vocabulary already"),
        ("rust", "may be an ordinary word, or a part of one"),
        ("Caf\u00e9", "may be an ordinary word, or a part of one"),
        ("two words", "is not one word"),
        ("<Real>", "is known already"),
        ("<real>_3", "would be confused with a further vector"),
        ("<REAL>_1", "is known already"),
    ],
)
def test_a_name_that_would_change_other_prompts_is_refused(
    base: Path, tmp_path: Path, word: str, reason: str
) -> None:
    tokenizer = tiny_tokenizer()
    add_words(tokenizer, token_names("<real>", 3))
    before = len(tokenizer)
    found = token_problem(tokenizer, token_names(word, 2))
    assert found is not None and reason in found
    with pytest.raises(ViddaError, match="give another as token") as error:
        with_words(base, tmp_path, "<real>", word)
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert len(tokenizer) == before


def test_a_word_is_not_read_as_one_more_vector_of_a_later_one() -> None:
    tokenizer = tiny_tokenizer()
    add_words(tokenizer, ["<real>_1"])
    found = token_problem(tokenizer, ["<real>"])
    assert found is not None and "confused" in found


@pytest.mark.parametrize(
    ("token", "reason"), [("rust", "an ordinary word"), ("PERSON", "vocabulary already")]
)
def test_personalize_checks_alike(base: Path, token: str, reason: str) -> None:
    weights = WeightsConfig(base=Folder(path=base), controlnets=())
    models = load_models(weights, torch.device("cpu"), torch.float32)
    method = TextualInversionConfig(token=token, initializer="person", templates=("a {token}",))
    with pytest.raises(ViddaError, match=rf"method.token: .*{reason}.*; take a new one"):
        method.check(models)
    good = TextualInversionConfig(
        token="<Realism>", vectors=2, initializer="person", templates=("a {token}",)
    )
    good.check(models)


def test_a_prompt_s_length_counts_all_vectors(base: Path, tmp_path: Path) -> None:
    models = with_words(base, tmp_path, "<Realism>")
    long = " ".join(["<Realism>"] * 26)
    assert overlong_prompts(models.tokenizer, [long]) == {long: "78 tokens and 75 fit"}
    states = encode_prompts(models.tokenizer, models.text_encoder, ["<Realism>", "<realism>"])
    assert torch.equal(states[0], states[1])
