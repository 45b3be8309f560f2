"""What the page says of the epochs that scores without target labels choose."""

import json
from pathlib import Path

import numpy as np
import pytest
from reported import CLASSES, clips, report

from vidda.config import Config
from vidda.data import save_manifest
from vidda.data.saved_predictions import save_predictions
from vidda.evaluate.epochs import EpochAccuracies
from vidda.evaluate.score_worth import agreement_worth, score_worth
from vidda.run import RunFolder
from vidda.types import Manifest, Predictions

HITS = (2, 6, 4, 3)
"""Test clips of eight that are recognized after each epoch."""


class AdaptLike(Config):
    """The keys of an adaptation's config that a report reads."""

    train: tuple[Path, ...]
    val: Path
    watch: dict[str, Path]


def save_epoch(folder: Path, manifest: Manifest, epoch: int, hits: int) -> None:
    """Predictions that are right for the first `hits` clips."""
    truth = np.array([clip.label for clip in manifest.clips])
    shown = np.where(np.arange(len(truth)) < hits, truth, (truth + 1) % 3)
    logits = 3 * np.eye(3, dtype=np.float32)[shown]
    ids = tuple(clip.id for clip in manifest.clips)
    save_predictions(folder / f"epoch_{epoch:03d}.npz", Predictions(ids, logits), CLASSES)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An adaptation of four epochs, of which validation chose the last."""
    manifest = Manifest(tmp_path, CLASSES, clips(8, "real", "ground"))
    save_manifest(manifest, tmp_path / "test.csv")
    config = AdaptLike(
        train=(tmp_path / "test.csv",), val=tmp_path / "test.csv",
        watch={"ground": tmp_path / "test.csv"},
    )  # fmt: skip
    path = tmp_path / "dann_0"
    with RunFolder.open(path, config, {}, resume=False) as folder:
        for epoch, hits in enumerate(HITS):
            values = {"epoch/val_accuracy": epoch / 4, "epoch/val_loss": 1.0}
            values["epoch/score_entropy"] = float("nan") if epoch == 2 else -1 / hits
            folder.record(epoch, values)
            save_epoch(path / "predictions" / "ground", manifest, epoch, hits)
            save_epoch(path / "predictions" / "target", manifest, epoch, hits)
        (path / "selection.json").write_text(json.dumps({"selected": 3, "last": 3}))
        folder.finish()
    return path


def test_scores_of_a_run_stand_beside_the_oracle(run: Path, tmp_path: Path) -> None:
    assert report(runs=[str(run)], out=tmp_path / "report") == 0
    page = (tmp_path / "report" / "index.html").read_text()
    section = page[page.index('id="choosing"') : page.index('id="reproduce"')]
    assert "dann_0, ground" in section
    assert "selected 37.5, last 37.5, oracle 75.0" in section
    # The epoch of a score that was no number is its worst, so entropy chooses the true best.
    rows = [row for row in section.split("<tr>") if 'scope="row"' in row]
    assert [row.split('scope="row">')[1].split("<")[0] for row in rows] == [
        "entropy",
        "source validation",
    ]
    assert "+0.40" in rows[0] and ">75.0<" in rows[0] and ">0.0<" in rows[0]
    assert "+0.20" in rows[1] and ">37.5<" in rows[1]


def test_a_page_without_such_runs_says_what_is_needed(whole: Path) -> None:
    page = (whole / "report" / "index.html").read_text()
    assert "No run of this report predicted its test clips" in page


def test_scores_are_judged_as_means_over_runs() -> None:
    one = EpochAccuracies((0.2, 0.6, 0.4), 1, 2, 1)
    other = EpochAccuracies((0.5, 0.1, 0.3), 2, 2, 0)
    rising = [1.0, 2.0, 3.0]
    (first, flat) = score_worth(
        [({"a": rising, "b": [1, 1, 1]}, one), ({"b": [0, 0, 0], "a": rising}, other)]
    )
    assert (first.score, flat.score) == ("a", "b")
    assert first.correlation == pytest.approx((0.5 - 0.5) / 2)
    assert first.accuracy == pytest.approx((0.4 + 0.3) / 2)
    assert first.lost == pytest.approx((0.2 + 0.2) / 2)
    assert flat.correlation is None, "a score that is constant ranks nothing"
    assert flat.accuracy == pytest.approx((0.2 + 0.5) / 2)
    (alone,) = score_worth([({"a": rising, "b": rising}, one), ({"a": rising}, other)])[:2]
    assert alone.score == "a"


def test_agreement_is_judged_where_runs_kept_what_they_said(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, CLASSES, clips(8, "real", "ground"))
    for name, hits in (("a", (2, 8)), ("b", (6, 8))):
        for epoch, count in enumerate(hits):
            save_epoch(tmp_path / name / "predictions" / "target", manifest, epoch, count)
    epochs = EpochAccuracies((0.25, 1.0), 0, 1, 1)
    runs = [(tmp_path / name, epochs) for name in "ab"]
    found = agreement_worth(runs)
    assert found and found.correlation == pytest.approx(1) and found.lost == 0
    assert agreement_worth(runs[:1]) is None
    assert agreement_worth([*runs, (tmp_path / "c", epochs)]) is None
    assert agreement_worth([runs[0], (tmp_path / "b", EpochAccuracies((0.5,), 0, 0, 0))]) is None
