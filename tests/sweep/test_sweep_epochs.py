"""Scores without target labels after each epoch of an adaptation, and epochs chosen by them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.adapt.tiny_adapt import adapt, adapt_config, write_clips
from tests.tiny import train_config
from vidda.cli import main
from vidda.data import load_manifest
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.evaluate import label_free_metrics
from vidda.evaluate.label_free_scores import NEED_FEATURES, epoch_scores, read_epoch_outputs
from vidda.recognize.saved_recognizer import load_card
from vidda.report.run_records import read_training
from vidda.sweep.trial_results import finished_row
from vidda.sweep.trial_table import TrialRow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("data"))


def selected(data: Path, run: Path, **changes: Any) -> dict[str, Any]:
    """What an adaptation of three epochs has selected."""
    assert adapt(adapt_config(data, run, "source_only", epochs=3, **changes)) == 0
    found: dict[str, Any] = json.loads((run / "selection.json").read_text())
    return found


@pytest.fixture(scope="module")
def judged(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose epoch was chosen by iwcv."""
    run = tmp_path_factory.mktemp("judged") / "run"
    selected(data, run, features=True, select="iwcv")
    return run


def test_every_epoch_has_the_scores_of_what_it_said(judged: Path) -> None:
    run = judged
    found = json.loads((run / "selection.json").read_text())
    values = read_training(run).scores()
    assert set(values) > NEED_FEATURES and all(len(own) == 3 for own in values.values())
    for epoch in range(3):
        shown = read_epoch_outputs(run, epoch)
        assert {name: own[epoch] for name, own in values.items()} == pytest.approx(
            epoch_scores(shown)
        )
        assert values["entropy"][epoch] == pytest.approx(label_free_metrics.entropy(shown.target))
        losses = label_free_metrics.cross_entropies(shown.val, shown.labels)
        assert shown.features is not None
        here, there = shown.features.val, shown.features.target
        weights = label_free_metrics.density_ratio(here, there, here)
        assert values["dev"][epoch] == pytest.approx(label_free_metrics.dev(losses, weights))
    best = int(np.argmax(values["iwcv"]))
    assert (found["selected"], found["select"]) == (best, "iwcv")
    assert found["scores"] == pytest.approx(values["iwcv"])
    # What is saved as the best is of that epoch.
    folder, _ = load_card(run)
    assert int(folder.resolve().name) == 2 * (best + 1)
    with np.load(run / "predictions" / "val.npz") as kept:
        assert (kept["logits"] == read_epoch_outputs(run, best).val).all()


def test_what_chooses_the_epoch_changes_nothing_else(
    data: Path, judged: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    plain, last = selected(data, run), selected(data, tmp_path / "last", select="last")
    values, others = read_training(run).scores(), read_training(judged).scores()
    assert values == {name: own for name, own in others.items() if name not in NEED_FEATURES}
    best = int(np.argmax(values["source_validation"]))
    assert (plain["selected"], plain["select"]) == (best, "source_validation")
    assert (last["selected"], last["select"]) == (2, "last")
    assert read_training(tmp_path / "last").scores() == values
    assert plain["selected"] != int(np.argmax(others["iwcv"])), "a test of nothing"


def test_scores_of_features_need_them(data: Path, tmp_path: Path) -> None:
    file = adapt_config(data, tmp_path / "run", "source_only", select="dev")
    with pytest.raises(ViddaError, match="select: dev is computed from features; set features=tr"):
        adapt(file, dry_run=True)


def test_of_a_stream_what_was_said_of_each_clip_as_it_came_counts(
    data: Path, tmp_path: Path
) -> None:
    start, run = tmp_path / "start", tmp_path / "run"
    assert main(["train", str(train_config(data, start, epochs=1))]) == 0
    changes = {"start": str(start), "train": [str(data / "train.csv")], "target_batch_size": 1}
    file = adapt_config(data, run, "vitta", epochs=1, **changes)
    assert adapt(file) == 0
    row = TrialRow("vitta", "vitta", "gs2gr", 0, {}, run)
    test = load_manifest(data / "target.csv")
    found = finished_row(row, test, "target.csv", stream=True)
    said = load_predictions(run / "online" / "epoch_000.npz").predictions
    labels = {clip.id: clip.label for clip in test.clips}
    hits = [
        labels[i] == int(logit.argmax()) for i, logit in zip(said.ids, said.logits, strict=True)
    ]
    assert len(hits) == len(test) and found.accuracy
    assert found.accuracy.selected == found.accuracy.oracle == pytest.approx(np.mean(hits))
    assert found.status == "finished" and found.correlations == {} and "entropy" in found.scores
