"""Every file under configs/ loads, and opens with the command that runs it."""

import importlib
import inspect
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from vidda import config
from vidda.cli import COMMANDS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))


def test_there_are_configs() -> None:
    assert FILES
    assert all(file.suffix == ".yaml" for file in (ROOT / "configs").rglob("*.*"))


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
