"""Curves of accuracy over degraded photographs: evaluated by level, listed and drawn."""

import csv
from pathlib import Path

import numpy as np
import pytest
from trained import CLASSES, checkpoint

from tools import degrade_photographs
from tools.degradation_curves import main
from vidda import video
from vidda.data.manifest import save_manifest
from vidda.data.saved_predictions import load_predictions
from vidda.types import ClipRecord, Manifest

QUICK = ("workers=0", "device=cpu")


def levels(folder: Path) -> Path:
    """Twelve photographs of one person in four takes, at two sizes and two blurs."""
    clips = []
    (folder / "photographs").mkdir(parents=True)
    for number in range(12):
        image = np.random.default_rng(number).integers(0, 256 // (1 + number % 3), (1, 32, 40, 3))
        video.write_png(folder / "photographs" / f"{number}.png", image.astype(np.uint8))
        take = {"take": f"t{number % 4}"}
        clip = ClipRecord(
            f"{number}", f"{number}.png", number % 3, "real", "ground", "A", meta=take
        )
        clips.append(clip)
    file = folder / "photographs" / "manifest.csv"
    save_manifest(Manifest(file.parent, CLASSES, tuple(clips)), file)
    job = [str(file), str(folder / "levels"), "--sides", "8", "16", "--blurs", "0", "10.5"]
    assert degrade_photographs.main(job) == 0
    return folder / "levels"


def test_recognizers_are_evaluated_listed_and_drawn_one_after_the_other(tmp_path: Path) -> None:
    made, out = levels(tmp_path), tmp_path / "out"
    run, other = checkpoint(tmp_path / "run"), checkpoint(tmp_path / "other", seed=1)
    assert main([str(made), str(out), "first, A", str(run), *QUICK]) == 0
    (out / "first, A" / "side_8" / "untouched").touch()
    assert main([str(made), str(out), "second", str(other), *QUICK]) == 0
    assert (out / "first, A" / "side_8" / "untouched").exists()
    with (out / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["recognizer"], row["kind"], row["value"]) for row in rows] == [
        (name, kind, value)
        for kind, values in (("side", ("8.0", "16.0")), ("blur", ("0.0", "10.5")))
        for name in ("first, A", "second")
        for value in values
    ]
    for row in rows:
        saved = load_predictions(
            out / row["recognizer"] / f"{row['kind']}_{float(row['value']):g}" / "predictions.npz"
        ).predictions
        share = 100 * float((saved.logits.argmax(1) == saved.labels).mean())
        assert float(row["accuracy"]) == pytest.approx(share, abs=0.005)
        assert float(row["low"]) <= share <= float(row["high"]) and row["clips"] == "12"
    svg = (out / "curves.svg").read_text()
    for text in ("first, A", "second", "chance", "pixels of the shorter side"):
        assert f">{text}</text>" in svg
    assert "occluded square" not in svg
    assert video.read(out / "curves.png").shape[1] > 300


def test_the_same_levels_give_the_same_drawing(tmp_path: Path) -> None:
    made, out, run = levels(tmp_path), tmp_path / "out", checkpoint(tmp_path / "run")
    drawings = []
    for _ in range(2):
        assert main([str(made), str(out), "one", str(run), *QUICK]) == 0
        drawings.append([(out / f"curves.{suffix}").read_bytes() for suffix in ("svg", "png")])
    assert drawings[0] == drawings[1]


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), str(tmp_path / "out"), "one", str(tmp_path)]) == 2
    assert "no side_*, blur_*, occlusion_* with a manifest.csv" in capsys.readouterr().err
    made = levels(tmp_path)
    assert main([str(made), str(tmp_path / "out"), "one", str(tmp_path / "no_run")]) == 2
    *_, first, last = capsys.readouterr().err.splitlines()
    assert "no_run" in first and last.startswith("error: side_")
