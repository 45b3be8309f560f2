"""Installed packages add to unions; one that cannot be used is a line, and nothing else."""

from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, get_args

import pytest
from pydantic import TypeAdapter

from tests.installed import installed
from vidda.config import Config
from vidda.plugins import union

NUMBER = count()


class Own(Config):
    """One of vidda's."""

    name: Literal["own"] = "own"


class Other(Config):
    """Another one of vidda's."""

    name: Literal["other"] = "other"


def united(folder: Path, monkeypatch: pytest.MonkeyPatch, *points: str, **modules: str) -> Any:
    """The union of a group of its own to which these modules' entry points add."""
    number = next(NUMBER)
    group = f"vidda.test{number}"
    for name, text in modules.items():
        lines = [p.replace("=", f"= {name}{number}:") for p in points if p.endswith(name)]
        lines = [line.removesuffix(name) + "Added" for line in lines]
        text = f"from typing import Literal\nfrom vidda.config import Config\n{dedent(text)}"
        installed(folder, f"{name}{number}", text, {group: lines})
    monkeypatch.syspath_prepend(str(folder))
    return union(group, Config, Own, Other)


def names(kind: Any) -> list[str]:
    return [get_args(one.model_fields["name"].annotation)[0] for one in get_args(get_args(kind)[0])]


def added(name: str, more: str = "") -> str:
    return (
        f'class Added(Config):\n    name: Literal["{name}"] = "{name}"\n    size: int = 3\n{more}'
    )


def test_a_package_adds_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = united(tmp_path, monkeypatch, "b=second", "a=first", first=added("x"), second=added("y"))
    assert names(kind) == ["own", "other", "x", "y"]
    found = TypeAdapter(kind).validate_python({"name": "y", "size": 4})
    assert (found.name, found.size) == ("y", 4)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("Adds = 1", "AttributeError: module 'bad"),
        ("Added = Config()", "(bad"),
        ("class Added: name: Literal['x'] = 'x'", "(bad"),
        ("class Added(Config): size: int = 3", "no `name: Literal"),
        ("class Added(Config): name: str = 'x'", "no `name: Literal"),
        ("class Added(Config): name: Literal['x', 'y'] = 'x'", "no `name: Literal"),
        ("class Added(Config): name: Literal[3] = 3", "no `name: Literal"),
        (added("x", "    gone: 'Gone'"), "PydanticUndefinedAnnotation: name 'Gone' is not defined"),
        (added("own"), "(the name 'own' is vidda's own; it needs another"),
        (added("x"), "(the name 'x' is that of plugin 'a'; it needs another"),
        (
            "from abc import abstractmethod\nclass Added(Config):\n    name: Literal['z'] = 'z'\n"
            "    @abstractmethod\n    def build(self): ...",
            "does not define build",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_and_the_rest_is_there(
    text: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = united(tmp_path, monkeypatch, "b=bad", "a=good", bad=text, good=added("x"))
    assert names(kind) == ["own", "other", "x"]
    assert TypeAdapter(kind).validate_python({"name": "own"}) == Own()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: plugin 'b' of vidda.test") and reason in line
    assert line.endswith("; correct or uninstall it")
