"""A reader's way from two folders of clips to a report, by the commands that vidda init prints."""

import csv
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from vidda import video
from vidda.cli import main

CLASSES = ("down", "right")


def write_clip(file: Path, label: int, number: int) -> None:
    """Five frames of 32 x 32 pixels of a texture that moves down, or to the right."""
    frames = moving(5, 40, 40, number)
    axis = 1 if label else 0
    shifted = [np.roll(frames[0], 3 * t, axis)[:32, :32] for t in range(5)]
    file.parent.mkdir(parents=True, exist_ok=True)
    video.write(file, np.stack(shifted), 10)


def run_printed(printed: str) -> None:
    """Run the commands that follow the line `wrote ...; next:`."""
    lines = printed.splitlines()
    (start,) = [n for n, line in enumerate(lines) if line.endswith("next:")]
    commands = [shlex.split(line) for line in lines[start + 1 :]]
    assert [words[:2] for words in commands] == [["vidda", "run"]] * 2
    for words in commands:
        assert main(words[1:]) == 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for label, name in enumerate(CLASSES):
        for number in range(3):
            write_clip(tmp_path / "rendered" / name / f"{number}.mp4", label, number)
    return tmp_path


@pytest.mark.deep
def test_two_folders_of_clips_become_a_report(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, name in enumerate(CLASSES):
        for number in range(5):
            write_clip(here / "filmed" / name / f"{number}.mp4", label, 9 + number)
    words = ["source=rendered", "target=filmed", "device=cpu"]
    assert main(["init", "own", *words]) == 0
    run_printed(capsys.readouterr().out)
    said = capsys.readouterr().out
    assert "clips of source2target/target_only: train 4, val 2, test 4" in said
    assert "left out: randomized: the clips of train have no mask in sidecars; vidda mask" in said
    results = Path("own/results")
    page = (results / "report" / "biconvlstm" / "index.html").read_text()
    for arm in ("source only", "image augmentation", "translated", "DAN", "target only"):
        assert arm in page
    table = (results / "evaluated" / "biconvlstm" / "transfer.md").read_text()
    assert "source2target" in table and "target only" in table
    with next(iter((results / "translated").glob("*/manifest.csv"))).open() as file:
        assert {row["domain"] for row in csv.DictReader(file)} == {"translated"}


@pytest.mark.deep
def test_a_target_without_labels_gets_scores_and_predictions(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        write_clip(here / "filmed" / f"{number}.mp4", number % 2, 9 + number)
    words = ["source=rendered", "target=filmed", "device=cpu"]
    assert main(["init", "own", *words]) == 0
    run_printed(capsys.readouterr().out)
    said = capsys.readouterr().out
    assert "clips of source2target/adapted: train 4, val 2, target 6" in said
    evaluated = Path("own/results/evaluated/biconvlstm")
    table = (evaluated / "transfer.md").read_text()
    assert "Label-free scores on source2target, 6 target clips without labels" in table
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    arms = ("source only", "image augmentation", "translated", "image augmentation + DAN")
    assert [row for row in rows if row[2:] in arms] == [f"| {arm}" for arm in arms]
    assert "target only" not in table
    found = sorted((evaluated / "predictions").rglob("*.csv"))
    assert len(found) == len(arms)
    assert all(len(file.read_text().splitlines()) == 1 + 6 for file in found)
    assert (Path("own/results/report") / "biconvlstm" / "index.html").is_file()
