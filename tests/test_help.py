"""Help: a command on one screen, every key, one key alone; the nearest real name of a wrong one."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from vidda.cli import main
from vidda.command import COMMANDS, Command, schema_of
from vidda.config import Config
from vidda.errors import ViddaError
from vidda.help import command_help, find, key_help
from vidda.schema import Key, describe

LINES, COLUMNS = 66, 100
"""Of the help of one command: what a tall terminal shows, and a wide one."""


class Layer(Config):
    """A layer."""

    kind: str = Field(description="of the layer")
    width: int = Field(8, description="channels, all of them")


class Coral(Config):
    """Equal covariances."""

    name: Literal["coral"] = "coral"
    weight: float = Field(1.0, description="of the distance")


class Dann(Config):
    """A domain classifier."""

    name: Literal["dann"] = "dann"
    weight: float = Field(1.0, description="of the distance")
    layers: tuple[Layer, ...] = Field((), description="of the classifier")


class Toy(Config):
    speed: int = Field(
        1, description="of the toy; and these words would not fit on its line in 100 columns"
    )
    fast_start: bool = Field(False, description="start at once")
    quiet: bool = Field(True, description="no sound")
    method: Annotated[Coral | Dann, Field(discriminator="name")] | None = Field(
        Dann(weight=2.0), description="how to adapt"
    )
    layer: Layer = Field(Layer(kind="x", width=4), description="the last one")
    stages: dict[str, Layer] = Field({}, description="by name")
    change: dict[str, Any] = Field({}, description="keys of another command")
    watch: dict[str, Path] = Field({}, description="files")
    out: Path = Field(description="folder to write")


TOY = list(describe(Toy))


@cache
def keys_of(name: str) -> Sequence[Key]:
    return list(describe(schema_of(name)))


def shown(name: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main([name, *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def position(lines: Sequence[str], key: Key) -> int:
    """Return the line that a key of the top level is on, by its name or as a flag."""
    starts = (f"  {key.name}  (", f"  --{key.name.replace('_', '-')}  ")
    (found,) = [n for n, line in enumerate(lines) if line.startswith(starts)]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_each_key_and_fits_on_a_screen(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(name, "--help", capsys=capsys)
    assert len(lines) <= LINES and max(map(len, lines)) <= COLUMNS
    top = {key: position(lines, key) for key in keys_of(name) if len(key.path) == 1}
    assert {key.name for key in top} == set(schema_of(name).model_fields)
    required = [line for key, line in top.items() if key.default == "required"]
    others = [line for key, line in top.items() if key.default != "required"]
    assert max(required, default=0) < min(others, default=len(lines))
    if top:
        assert f"vidda {name} --help-all" in lines[-1]
        assert f"vidda help {name} KEY" in lines[-1]
    assert shown("help", name, capsys=capsys) == lines


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_describes_each_key(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(name, "--help-all", capsys=capsys)
    assert max(map(len, lines)) <= COLUMNS
    for key in keys_of(name):
        assert key.description, f"vidda {name}: {key.name} has no description"
        assert key.type or key.description.endswith("."), f"{key.name}: more than a line, cut"
        label = f"  {key.name}  (" if key.type else f"  {key.name}"
        assert any(
            line.startswith(label) and after.startswith("      ") for line, after in pairwise(lines)
        ), f"vidda {name}: {key.name} is not there"
    order = [key.default == "required" for key in keys_of(name) if len(key.path) == 1]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_key_is_found_by_its_name(name: str) -> None:
    keys = keys_of(name)
    for key in keys:
        with_choices = ".".join(key.path).replace("name=", "").replace(".[]", "[]")
        first = tuple("0" if part == "[]" else part for part in key.path)
        assert key.path in [one.path for one, _ in find(key.name, keys)], key
        assert key.path in [one.path for one, _ in find(with_choices, keys)], key
        assert first in [one.path for one, _ in find(key.name.replace("[]", ".0"), keys)], key


def test_a_key_stands_beside_what_fits_of_its_description() -> None:
    text = command_help("toy", Command("", "for these tests", ("out",)), TOY)
    assert text.splitlines() == [
        "usage: vidda toy OUT [CONFIG.yaml] [key.sub=value ...] [--flag ...]",
        "for these tests",
        "",
        "required:",
        "  out  (Path, required)           folder to write",
        "",
        "flags:",
        "  --fast-start                    start at once",
        "  --dry-run                       check everything, print the plan, change nothing",
        "  --resume                        continue where an earlier run stopped",
        "",
        "keys:",
        "  speed  (int, 1)                 of the toy",
        "  quiet  (bool, true)             no sound",
        "  method  (name: coral | dann | null, name: dann)  how to adapt",
        "  layer  (mapping)                the last one; keys: kind, width",
        "  stages  ({NAME: mapping, ...}, {})  by name; keys: kind, width",
        "  change  ({NAME: any, ...}, {})  keys of another command",
        "  watch  ({NAME: Path, ...}, {})  files",
        "",
        "every key: vidda toy --help-all; one key and those below it: vidda help toy KEY",
    ]


def told(written: str) -> list[str]:
    return key_help(written, {"toy": TOY}).splitlines()


def test_one_key_is_told_with_those_below_it() -> None:
    assert told("speed") == [
        "  speed  (int, 1)",
        "      of the toy; and these words would not fit on its line in 100 columns",
    ]
    assert told("layer") == [
        "  layer  (mapping)",
        "      the last one",
        "",
        '  layer.kind  (str, "x")          of the layer',
        "  layer.width  (int, 4)           channels, all of them",
    ]
    assert told("watch.real") == told("watch") and told("change.optimizer.lr") == told("change")


@pytest.mark.parametrize("written", ["method", "method.name"])
def test_a_union_is_told_by_its_choices(written: str) -> None:
    assert told(written) == [
        "  method  (name: coral | dann | null, name: dann)",
        "      how to adapt",
        "",
        "  method.name=coral               Equal covariances.",
        "  method.name=dann                A domain classifier.",
        "",
        "keys of a choice: vidda help toy method.coral",
    ]


@pytest.mark.parametrize("written", ["method.coral", "method.name=coral"])
def test_a_choice_is_told_by_its_keys(written: str) -> None:
    assert told(written) == [
        "  method.name=coral",
        "      Equal covariances.",
        "",
        "  method.weight  (float, 1.0)     of the distance",
    ]


def test_a_key_of_several_choices_says_of_which() -> None:
    # The default is a dann of weight 2, so they differ.
    assert told("method.weight") == [
        "  method.weight  (float, 1.0)",
        "      of the distance",
        "      with method.name=coral",
        "",
        "  method.weight  (float, 2.0)",
        "      of the distance",
        "      with method.name=dann",
    ]
    assert told("method.dann.weight") == told("method.weight")[4:]
    one = [Key(key.path, key.type, key.default.replace("2", "1"), key.description) for key in TOY]
    assert key_help("method.weight", {"toy": one}).splitlines()[-1] == (
        "      with method.name=coral, or method.name=dann"
    )


def test_items_of_lists_and_mappings_are_spelled_as_written() -> None:
    assert told("stages.first.width")[0] == "  stages.first.width  (int, 8)"
    assert told("stages.first")[3].startswith("  stages.first.kind  (")
    assert told("stages")[3].startswith("  stages.NAME.kind  (")
    assert told("stages")[-1] == "NAME is a name of your own"
    for index in ("[]", ".0", ".17"):
        assert (
            told(f"method.layers{index}.kind")[0] == f"  method.layers{index}.kind  (str, required)"
        )
    assert told("method.layers.0")[4].startswith("  method.layers.0.kind  (")
    assert told("method.layers")[-1] == "[] is .0, .1, ..."


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("sped", "did you mean 'speed'?"),
        ("method.corl", "did you mean 'method.coral'?"),
        ("weight", "did you mean 'method.weight'?"),
        ("width", "did you mean 'layer.width' or 'stages.NAME.width' or 'method.layers[].width'?"),
        ("method.layers.kind", "did you mean 'method.layers[].kind'"),
        ("watch.real.x", "see vidda toy --help"),
        ("xyzzy", "see vidda toy --help"),
        ("", "see vidda toy --help"),
    ],
)
def test_a_key_that_is_not_there_is_told_with_the_nearest(written: str, near: str) -> None:
    with pytest.raises(ViddaError) as wrong:
        told(written)
    text = str(wrong.value)
    assert text.startswith(f"vidda toy has no key {written!r}; {near}") and "\n" not in text


def test_a_key_alone_is_told_for_each_command_that_has_it() -> None:
    commands = {"toy": TOY, "other": TOY, "third": list(describe(Layer))}
    assert key_help("speed", commands).startswith("vidda toy, other:\n  speed  (int, 1)\n")
    assert key_help("kind", commands).startswith("vidda third:\n  kind  (str, required)\n")
    with pytest.raises(ViddaError, match=r"'thrid' is neither a command nor a key; did .* 'third'"):
        key_help("thrid", commands)


def test_the_command_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    overview = shown("--help", capsys=capsys)
    assert shown("help", capsys=capsys) == overview == shown("help", "--help", capsys=capsys)
    flag = shown("help", "prepare", "--allow-missing", capsys=capsys)
    assert flag[0] == "  allow_missing  (bool, false)"
    assert shown("help", "train", "model", capsys=capsys)[0].startswith(
        "  model  (name: biconvlstm |"
    )
    assert shown("help", "syn_train", capsys=capsys)[0] == "vidda mini:"
    for arguments, problem in [
        (["trian", "model"], "unknown command 'trian'; did you mean 'train'?"),
        (["train", "model", "arch"], "'arch' is a word too many; write vidda help [COMMAND] [KEY]"),
    ]:
        assert main(["help", *arguments]) == 2
        assert capsys.readouterr().err == f"error: {problem}\n"
