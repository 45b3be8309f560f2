"""The guides of docs/: their files are written and installed as they stand, their commands run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.installed import commands
from tests.tiny import prepared
from vidda.data import load_shift

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
TINY = [
    *("sampling.frames=8", "test_sampling.frames=8", "transform.size=32", "batch_size=8"),
    *("epochs=1", "schedule.warmup=0", "workers=0", "log_every=1"),
]
"""Keys for the small clips of these tests, instead of those of a whole training."""


class Guide(NamedTuple):
    """A page of docs. files: by the name in the first line. code: other Python. commands: as
    printed, in order.
    """

    files: dict[str, str]
    code: list[str]
    commands: list[list[str]]


def read_guide(name: str) -> Guide:
    guide = Guide({}, [], [])
    for language, text in BLOCK.findall((ROOT / "docs" / name).read_text(encoding="utf-8")):
        first, _, rest = text.partition("\n")
        if language == "bash":
            lines = text.replace("\\\n", " ").splitlines()
            guide.commands.extend(shlex.split(line) for line in lines)
        elif first.startswith("# "):
            guide.files[first.removeprefix("# ")] = rest
        else:
            assert language == "python", f"{name}: a block in {language} without a file's name"
            guide.code.append(text)
    return guide


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in dataset of a few clips, where the configs of the repository look for it."""
    folder = tmp_path_factory.mktemp("guides")
    made = prepared(folder / "data")
    made.rename(folder / "data" / "mini_prepared")
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


def named(package: str) -> set[str]:
    """The files of a guide's package."""
    names = (f"{package}_plugin.py", "pyproject.toml", f"test_{package}.py")
    return {f"{package}/{name}" for name in names}


def follow(guide: Guide, folder: Path, more: dict[str, Sequence[str]]) -> list[str]:
    """Write the guide's files, execute its code and run its commands; their output.

    folder: to work in, the current one. more: by vidda's command, keys that are added for the
    tests' small clips.
    """
    for name, text in guide.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for text in guide.code:
        exec(compile(text, "the guide", "exec"), {})
    said = []
    for ours, lines in groupby(guide.commands, lambda line: line[0] == "vidda"):
        if ours:  # all in one process, which imports torch once
            added = [[*line[1:], *more.get(line[1], ())] for line in lines]
            results = commands(folder / "site", *added)
        else:
            results = [_run(line[0], line[1:], folder) for line in lines]
        for status, text in results:
            assert status == 0, text
            assert "warning: plugin" not in text
            said.append(text)
    return said


def _run(program: str, arguments: list[str], folder: Path) -> tuple[int, str]:
    if program == "pip":  # into a folder of the test's, with nothing from the network
        arguments = ["-m", "pip", *arguments, "--no-index", "--no-build-isolation", "--quiet"]
        arguments += ["--no-deps", "--target", str(folder / "site")]
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.deep
def test_the_guide_to_a_method_adapts_with_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    guide = read_guide("add_a_method.md")
    assert set(guide.files) == named("bnm")
    _, told, adapted, tested = follow(guide, data, {"adapt": [*TINY, "model.head.grid=2"]})
    assert "method.weight  (float, 1.0)" in told and "nuclear norm" in told
    assert "bnm: biconvlstm, " in adapted
    metrics = (data / "runs" / "bnm_0" / "metrics.jsonl").read_text()
    assert '"train/bnm": -' in metrics
    assert (data / "runs" / "bnm_0" / "DONE").exists()
    assert "3 passed" in tested


@pytest.mark.deep
def test_the_guide_to_a_recognizer_trains_it_and_predicts(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    guide = read_guide("add_a_recognizer.md")
    assert set(guide.files) == named("tsm")
    _, told, trained, tested = follow(guide, data, {"train": TINY})
    assert "model.share" in told and "tsm, " in trained and "2 passed" in tested
    assert (data / "runs" / "tsm_0" / "DONE").exists()
    # In a process of its own, from what is on disk.
    line = ["predict", "runs/tsm_0", "data/mini/real/ground", "device=cpu", "workers=0"]
    ((status, predicted),) = commands(data / "site", line)
    assert status == 0 and "Rally" in predicted


@pytest.mark.deep
def test_the_guide_to_a_dataset_prepares_and_trains(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    guide = read_guide("add_a_dataset.md")
    assert set(guide.files) == named("kth") | {"kth/kth.yaml"}
    more = {"train": [*TINY, "model.head.grid=2"]}
    _, planned, done, trained, tested = follow(guide, data, more)
    assert "would write 60 clips, 6 of 6 experiments" in planned and "30" in planned
    assert "prepared: 60 clips, 6 of 6 experiments" in done
    assert "18 clips" in trained and "2 passed" in tested
    shift = load_shift("data/kth_prepared", "d1_d4", "adapted")
    assert shift.target is not None
    assert {clip.domain for clip in shift.target.clips} == {"d4"}
    assert {clip.label for clip in shift.target.clips} == {None}
    assert {clip.subject for clip in shift.test.clips} == {"person22"}


def test_the_lines_that_guides_name_are_there() -> None:
    """The file of a union, and the variable of a test, to which a guide sends its reader."""
    places = {
        "vidda/adapt/methods.py": "CoralConfig,",
        "vidda/recognize/recognizers.py": "TimmFramesConfig,",
        "vidda/data/datasets.py": "UcfHmdb",
        "vidda/translate/backbone.py": "AnimateDiffConfig,",
        "tests/translate/backbone_cases.py": "CASES = {",
        "tests/recognize/test_recognizers.py": "CASES = {",
        "tests/adapt/test_losses_alignment.py": "LOSSES: Rows = [",
        "tests/adapt/tiny_adapt.py": "SMALL: dict",
    }
    texts = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("add_a_*.md")}
    for place, line in places.items():
        assert line in (ROOT / place).read_text(encoding="utf-8")
        assert any(place in text for text in texts.values()), place
    for name, text in texts.items():
        for module in re.findall(r"`(vidda\.[a-z0-9_.]+[a-z0-9_])", text):
            file = ROOT / Path(*module.split("."))
            known = file.with_suffix(".py").is_file() or file.parent.with_suffix(".py").is_file()
            assert known or module.startswith("vidda.methods"), (name, module)
