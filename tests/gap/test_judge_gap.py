"""The tool that judges the gap's figures: correlations of sets and of clips."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tools import judge_gap
from vidda.data.saved_predictions import save_predictions
from vidda.types import Predictions


def test_correlations_are_those_of_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_gap, "PERMUTATIONS", 199)
    monkeypatch.setattr(judge_gap, "BOOTSTRAP", 50)
    truth = np.arange(14.0)
    value, low, high, p = judge_gap.rank_correlation(-np.exp(truth), truth)
    assert [value, low, high] == pytest.approx([-1, -1, -1]) and p == 1 / 200
    noise = np.random.default_rng(0).normal(size=14)
    value, low, high, p = judge_gap.rank_correlation(noise, truth)
    assert low <= value <= high and p > 0.05
    assert np.isnan(judge_gap.rank_correlation(np.ones(14), truth)).all()


def test_sets_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judge_gap, "PERMUTATIONS", 99)
    monkeypatch.setattr(judge_gap, "BOOTSTRAP", 20)
    lines = ["gap,accuracy"]
    for n in range(5):
        space = dict.fromkeys(
            ("neighbor_shift", "log_density_source", "proxy_a_distance", "frechet"), float(n)
        )
        content = {
            "score": {"value": n, "spread": 0.1},
            "features": {"own": space},
            "attributes": {"blur": {"standardized": 5.0 - n, "bhattacharyya": 1.0}},
        }
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "gap.json").write_text(json.dumps(content))
        lines.append(f"{tmp_path / str(n)},{90 - n * n}")
    (tmp_path / "sets.csv").write_text("\n".join(lines))
    monkeypatch.setattr(sys, "argv", ["judge_gap", "sets", str(tmp_path / "sets.csv")])
    assert judge_gap.main() == 0
    said = capsys.readouterr().out
    assert "note: 5 sets are too few" in said
    found = {line.split()[0]: line.split()[1] for line in said.splitlines() if "  p " in line}
    assert found["score.value"] == "-1.00" and found["blur.standardized"] == "+1.00"
    assert found["own.frechet"] == "-1.00" and found["blur.bhattacharyya"] == "+nan"


def test_clips_are_judged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    distances = rng.uniform(0, 1, 40)
    logits = np.eye(3)[labels] * (1 - 2 * distances)[:, None]
    ids = tuple(f"c{n}" for n in range(40))
    saved = Predictions(ids, logits.astype(np.float32), labels)
    save_predictions(tmp_path / "p.npz", saved, ("a", "b", "c"))
    with (tmp_path / "source.csv").open("w", newline="") as file:
        rows = [["id", "own.neighbors"], *([f"c{n}", distances[n]] for n in range(5, 40))]
        csv.writer(file).writerows(rows)
    figures, errors, losses = judge_gap.read_clips(tmp_path / "source.csv", tmp_path / "p.npz")
    assert len(errors) == 35 and figures["own.neighbors"] == pytest.approx(distances[5:])
    assert errors.tolist() == (distances[5:] > 0.5).tolist()
    assert (np.argsort(losses) == np.argsort(distances[5:])).all()
