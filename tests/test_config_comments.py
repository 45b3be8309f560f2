"""What comments of configs and pages advise works: overrides, other choices, commands.

`test_docs.py` runs the blocks of code of pages.
"""

import re
import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from doc_pages import PAGES as PAGES_OF_TEXT

from vidda import config
from vidda.command import COMMANDS, _sort, schema_of
from vidda.config import ConfigError
from vidda.experiment import experiment_plan as experiment_plan
from vidda.experiment.experiment_config import ExperimentConfig
from vidda.schema import find_field, tag
from vidda.sweep import sweep_plan as sweep_plan
from vidda.sweep.sweep_config import SweepConfig

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))
# Pages that make a package of their own are run whole by `test_docs`.
PAGES = [*FILES, *(page for page in PAGES_OF_TEXT if not page.name.startswith("add_a_"))]

COMMAND = re.compile(r"(?:^|`)vidda ([a-z]+) ([^`\n]*?)(?:  +#[^\n]*)?(?:`|$)", re.MULTILINE)
# Overrides with nothing but space between them belong together.
OVERRIDES = re.compile(r"""(?<![^\s(`])(?:[a-z][\w.]*=(?:"[^"\n]*"|\[[^]\n]*\]|[^\s`["]+) *)+""")
CHOICES = re.compile(r"(\S+)\.name=(\w+)((?:, \w+)*) or (\w+)")
# Of another command than the file's own, by their first key: a config that has it, and what else
# that needs for it.
ELSEWHERE = {
    "backbone": ("translate", []),
    "prompt": ("translate", ["prompt.template=a {token} photo of {caption}"]),
}


def text_of(page: Path) -> str:
    """A page's text, each command on a line; of a YAML file its comments, each paragraph and each
    list on a line.
    """
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".yaml":
        return text.replace("\\\n", " ")
    lines = [line.partition("#")[2] for line in text.splitlines()]
    parts = groupby(lines, key=lambda line: (bool(line), line.startswith("   ")))
    return "\n".join(" ".join(line.strip() for line in part) for _, part in parts)


def advised(text: str) -> Iterator[list[str]]:
    """The overrides that a text names outside of commands, those that stand together in a list."""
    text = COMMAND.sub("", text)
    for found in OVERRIDES.finditer(text):
        yield [one.rstrip(",;.:") for one in shlex.split(found[0])]
    for key, first, others, last in CHOICES.findall(text):
        for choice in (first, *re.findall(r"\w+", others), last):
            yield [f"{key}.name={choice}"]


def opening(file: Path) -> tuple[str, list[str]]:
    """The command of a file's comment, and the overrides in it."""
    (line,) = re.findall(r"^# +vidda (.*)$", file.read_text(), re.MULTILINE)
    name, _, *overrides = shlex.split(line)
    return name, [one for one in overrides if not one.startswith("--")]


def inline(file: Path) -> Iterator[list[str]]:
    """What a comment beside a key says to write instead: `{name: x}`, a choice, `key: value`."""
    above: list[tuple[int, str]] = []
    schema = schema_of(opening(file)[0])
    for line in file.read_text().splitlines():
        found = re.match(r"( *)([\w ]+):.*?(?:  # (.*))?$", line)
        if found is None or line.startswith("#"):
            continue
        depth, name, comment = len(found[1]), found[2], found[3] or ""
        above = [one for one in above if one[0] < depth] + [(depth, name)]
        names = [one for _, one in above]
        _, models = find_field(schema, {}, names)
        tags = [tag(model)[1] for model in models] if len(models) > 1 else []
        word = re.match(r"(?:or )?(?:\{name: )?(\w+)", comment)
        setting = re.match(r"(\w+): (\w+)", comment)
        if word and word[1] in tags:
            yield [f"{'.'.join(names)}.name={word[1]}"]
        elif setting and models:
            yield [f"{'.'.join(names)}.{setting[1]}={setting[2]}"]


def cases() -> list[Any]:
    return [
        pytest.param(file, overrides, id=f"{file.relative_to(ROOT / 'configs')}:{overrides[0]}")
        for file in FILES
        for overrides in [*advised(text_of(file)), *inline(file)]
    ]


@pytest.mark.parametrize(("file", "overrides"), cases())
def test_what_a_comment_advises_gives_a_valid_config(file: Path, overrides: list[str]) -> None:
    command, own = opening(file)
    first = re.split(r"[.=]", overrides[0])[0]
    if first not in schema_of(command).model_fields:
        command, own = ELSEWHERE[first]
        file = ROOT / "configs/translate/sd15.yaml"
    config.load(schema_of(command), file, own, overrides)


def test_the_comments_are_found() -> None:
    found = {(case.values[0].name, *case.values[1]) for case in cases()}
    vitpose = "usyd-community/vitpose-base-simple"
    names = ("dreambooth.name=folder", "dreambooth.path=runs/dreambooth_rocog/result")
    assert {
        ("mini.yaml", "method.name=coral"),
        ("mini.yaml", "method.name=adamatch"),
        ("sd15.yaml", "frames.name=all"),
        ("sd15.yaml", "backbone.sampling.noise.name=flow_warped"),
        ("sd15.yaml", *(f"backbone.weights.{name}" for name in names)),
        ("dreambooth.yaml", "frames.crop.name=person"),
        ("biconvlstm.yaml", "model.head.name=pooled"),
        ("videos.yaml", "pose.name=onnx", "pose.model=rtmpose-m.onnx"),
        (
            "videos.yaml",
            "pose.name=vitpose",
            f"pose.weights.repo={vitpose}",
            "pose.boxes.name=detr",
        ),
        ("mini_search.yaml", "search.name=grid"),
        ("mini.yaml", "match.shake=false"),
    } <= found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_have_keys_that_are_there(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for name, arguments in COMMAND.findall(text_of(page)):
        if name == "help":
            continue
        words = shlex.split(arguments)
        given = [one for one in words if one not in ("...", "CONFIG", "--help")]
        _, file, overrides = _sort(COMMANDS[name], schema_of(name), given)
        users_own = file is not None and file.parts[0] != "configs"
        try:
            config.load(schema_of(name), None if users_own else file, overrides)
        except ConfigError as error:
            assert users_own or {"...", "CONFIG"} & {*words}, error
            keys = tuple(one.partition("=")[0] for one in overrides)
            assert not any(problem.startswith(keys) for problem in error.problems)


@pytest.mark.parametrize("page", PAGES_OF_TEXT, ids=lambda page: str(page.relative_to(ROOT)))
def test_overrides_in_the_text_of_a_page_name_keys_of_some_command(page: Path) -> None:
    prose = re.sub(r"```(?:python|text).*?```", "", text_of(page), flags=re.DOTALL)
    for override in (one for several in advised(prose) for one in several):
        key = override.partition("=")[0]
        found = [find_field(schema_of(name), {}, key.split("."))[0] for name in COMMANDS]
        assert any(found) or key == "key", override


def test_the_commands_are_found() -> None:
    found = [name for page in PAGES for name, _ in COMMAND.findall(text_of(page))]
    assert len(found) > len(PAGES) and {"prepare", "adapt", "sweep", "report"} <= {*found}


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.parent.name in ("run", "sweep")],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_a_job_changes_keys_that_its_commands_have(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    if file.parent.name == "run":
        assert experiment_plan.make_plan(config.load(ExperimentConfig, file)).stages
    else:
        assert sweep_plan.make_plan(config.load(SweepConfig, file)).cells


def test_the_switches_that_the_field_makes_most() -> None:
    for command, place, overrides in (
        ("translate", "translate/sd15.yaml", ["control.pose.name=sidecar"]),
        (
            "translate",
            "translate/sd15.yaml",
            ["backbone.weights.base.name=folder", "backbone.weights.base.path=x"],
        ),
        ("train", "train/biconvlstm.yaml", ["model.name=torchvision", "model.arch=r3d_18"]),
        ("train", "train/videomae.yaml", ["model.start.name=scratch"]),
        ("adapt", "adapt/mini_mic.yaml", ["method.name=coral"]),
        ("adapt", "adapt/mini_transvae.yaml", ["method.name=source_only"]),
        ("train", "train/x3d_s.yaml", ["optimizer.name=adamw", "schedule.name=cosine"]),
    ):
        config.load(schema_of(command), ROOT / "configs" / place, overrides)
