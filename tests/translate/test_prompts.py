"""Prompts: filled from manifest and captions, every mistake named, encoded as diffusers does."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from tiny_diffusion import write_tiny

from vidda.config import ConfigError, load
from vidda.errors import ViddaError
from vidda.translate.prompts import (
    NEGATIVE,
    PromptConfig,
    Prompts,
    read_captions,
    write_captions,
)
from vidda.translate.stable_diffusion.prompt_encoder import PromptEncoder
from vidda.types import ClipRecord

CLASSES = ("Advance", "Halt")


def clip(name: str = "c1", label: int | None = 1, **meta: str) -> ClipRecord:
    return ClipRecord(
        name,
        f"{name}.mp4",
        label,
        "synthetic",
        "air",
        altitude_m=15.0,
        meta={"site": "quarry"} | meta,
    )


def prompt(config: PromptConfig, of: ClipRecord | None = None) -> str:
    return Prompts(config, CLASSES).of(of or clip())


def test_a_template_is_filled_from_class_token_and_columns() -> None:
    config = PromptConfig(
        template="a {class} in the style of {token}, {domain} {view} at {altitude_m} m, {site}",
        token="sks person",
        classes={"Halt": "person who halts"},
    )
    wanted = "a person who halts in the style of sks person, synthetic air at 15 m, quarry"
    assert prompt(config) == wanted
    assert prompt(config, clip(label=0)).startswith("a Advance in")
    assert prompt(PromptConfig(template="{{real}} braces")) == "{real} braces"


def test_the_negative_prompt_is_the_recipes() -> None:
    assert PromptConfig().negative == NEGATIVE
    assert NEGATIVE.startswith("longbody, lowres, bad anatomy, bad hands, missing fingers, extra")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["template=a {class"], "double a literal brace"),
        (["template='a {class.__init__}'"], "is not a plain name"),
        (["template='a {class!r}'"], "is not a plain name"),
        (["template='in the style of {token}'"], r"names \{token\}, but token is not set"),
        (["token=sks"], r"token is set, but template does not name \{token\}"),
        (["template='{caption}'"], r"names \{caption\}, but captions is not set"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(settings: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(PromptConfig, None, settings)


def test_what_clips_lack_is_reported_for_each(tmp_path: Path) -> None:
    with pytest.raises(
        ViddaError, match=r"clip 'c1': template names \{sight\}; did you mean 'site'"
    ):
        prompt(PromptConfig(template="{sight}"))
    prompts = Prompts(PromptConfig(template="{class} {subject}"), CLASSES)
    with pytest.raises(ViddaError) as error:
        prompts.check([clip("a", None), clip("b")])
    first, second = str(error.value).splitlines()
    assert first == "clip 'a': has no label for {class}; leave {class} out of template"
    assert second == "clip 'b': its column 'subject' is empty; leave {subject} out"
    with pytest.raises(ViddaError, match="no class 'halt'; did you mean 'Halt'"):
        Prompts(PromptConfig(classes={"halt": "x"}), CLASSES)


def test_captions_are_a_choice(tmp_path: Path) -> None:
    file = tmp_path / "captions.csv"
    write_captions(file, [("c1", 'a man, "waving"', "t#3"), ("c2", "a field", "t#4")])
    assert read_captions(file) == {"c1": 'a man, "waving"', "c2": "a field"}
    config = PromptConfig(template="{caption}, best quality", captions=file)
    assert prompt(config) == 'a man, "waving", best quality'
    with pytest.raises(ViddaError, match=r"clip 'c9': not in .*captions\.csv; run vidda caption"):
        prompt(config, clip("c9"))


def test_every_mistake_in_captions_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "captions.csv"
    file.write_text("clip,caption\na,one\na,two\nb,\n")
    with pytest.raises(ViddaError) as error:
        read_captions(file)
    assert [line.rpartition("captions.csv:")[2][0] for line in str(error.value).splitlines()] == [
        "3",
        "4",
    ]
    file.write_text("id,text\n")
    with pytest.raises(ViddaError, match="its columns are id,text; it needs clip,caption"):
        read_captions(file)
    with pytest.raises(ViddaError, match="cannot be read as captions"):
        read_captions(tmp_path / "none.csv")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionPipeline:
    folder = write_tiny(tmp_path_factory.mktemp("sd") / "base")
    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)


def test_prompts_are_encoded_as_diffusers_does(pipeline: StableDiffusionPipeline) -> None:
    texts = ["a person", "a zebra on fire", "a person"]
    encoder = PromptEncoder(pipeline.tokenizer, pipeline.text_encoder)
    ours = encoder.encode(texts)
    theirs, negative = pipeline.encode_prompt(texts, torch.device("cpu"), 1, True, [NEGATIVE] * 3)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(encoder.encode([NEGATIVE]), negative[:1])
    assert torch.equal(ours[0], ours[2])
    assert torch.equal(encoder.encode(["a zebra on fire"])[0], ours[1]), "depends on the others"


def test_a_repeated_prompt_is_encoded_once(pipeline: StableDiffusionPipeline) -> None:
    passes = []
    hook = pipeline.text_encoder.register_forward_hook(lambda *_: passes.append(1))
    encoder = PromptEncoder(pipeline.tokenizer, pipeline.text_encoder)
    encoder.encode(["one", "two", "one"])
    encoder.encode(["two"])
    hook.remove()
    assert len(passes) == 2
