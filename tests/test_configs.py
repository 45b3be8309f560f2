"""Every file under configs/ loads, and opens with the command that runs it."""

import importlib
import inspect
import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from vidda import config
from vidda.command import COMMANDS
from vidda.experiment.experiment_config import (
    ExperimentConfig,
    MaskedVariant,
    TranslatedVariant,
)
from vidda.translate.stable_diffusion.personalize.dreambooth import DreamBoothConfig
from vidda.translate.stable_diffusion.personalize.lora import LoraTrainingConfig
from vidda.translate.stable_diffusion.personalize.personalize_config import PersonalizeConfig
from vidda.translate.translate_config import TranslateConfig

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))


def test_there_are_configs() -> None:
    assert FILES
    assert all(file.suffix == ".yaml" for file in (ROOT / "configs").rglob("*.*"))


@pytest.mark.parametrize(
    ("learned", "asked", "prior"),
    [
        ("personalize/dreambooth.yaml", "translate/sd15_images.yaml", "an object"),
        ("personalize/dreambooth_rocog.yaml", "translate/sd15.yaml", "a person"),
        ("personalize/lora.yaml", "translate/sd15.yaml", None),
    ],
)
def test_a_translation_asks_for_the_words_that_personalizing_teaches(
    learned: str, asked: str, prior: str | None
) -> None:
    method = config.load(PersonalizeConfig, ROOT / "configs" / learned).method
    prompt = config.load(TranslateConfig, ROOT / "configs" / asked).prompt
    assert (
        isinstance(method, DreamBoothConfig | LoraTrainingConfig)
        and prompt.token == method.token == "sks"
    )
    assert prompt.template.format(token=prompt.token) == method.caption
    kept = method.prior.prompt if method.prior else None
    assert kept == prior
    if kept:
        assert method.caption == f"{kept} in the style of sks {kept.split()[-1]}"


def test_a_whole_run_translates_with_what_it_personalizes() -> None:
    run = config.load(ExperimentConfig, ROOT / "configs" / "run" / "rocog_v2.yaml")
    assert run.personalize["dreambooth"].file == Path("configs/personalize/dreambooth_rocog.yaml")
    translated = [one for one in run.variants.values() if isinstance(one, TranslatedVariant)]
    assert {one.file for one in translated} == {Path("configs/translate/sd15.yaml")}
    assert isinstance(run.variants[run.variants["backgrounds"].of], MaskedVariant)
    trained = {str(recognizer.file) for recognizer in run.recognizers.values()}
    assert trained == {f"configs/train/{name}.yaml" for name in ("biconvlstm", "x3d_s", "videomae")}


def test_the_commented_arms_of_a_whole_run_are_arms_once_uncommented(tmp_path: Path) -> None:
    text = (ROOT / "configs" / "run" / "rocog_v2.yaml").read_text(encoding="utf-8")
    whole = re.sub(r"^  # ((?:  )*[\w ]+:(?: [\w{/].*)?)$", r"  \1", text, flags=re.MULTILINE)
    (tmp_path / "run.yaml").write_text(whole)
    run = config.load(ExperimentConfig, tmp_path / "run.yaml")
    assert {*run.variants} >= {"motion modules", "video model"}
    for name in ("motion modules", "video model"):
        variant = run.variants[name]
        assert isinstance(variant, TranslatedVariant) and (ROOT / variant.file).is_file()
        assert any(arm.data == (name,) for arm in run.arms.values())


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_config_loads_with_the_command_in_its_opening_comment(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    (command,) = [line for line in comment if line.startswith("vidda ")]
    _, name, given, *overrides = shlex.split(command)
    relative = file.relative_to(ROOT)
    assert Path(given) == relative, "the command names another file"
    assert relative.parts[:2] == ("configs", name), "configs/<command>/<name>.yaml"
    module, _, function = COMMANDS[name].target.partition(":")
    run = getattr(importlib.import_module(module), function)
    schema = next(iter(inspect.signature(run, eval_str=True).parameters.values())).annotation
    config.load(schema, file, [o for o in overrides if not o.startswith("--")])
