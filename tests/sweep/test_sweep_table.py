"""The table of trials, and what is chosen from it: by scores that know no target label."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidda.data.saved_predictions import save_predictions
from vidda.errors import ViddaError
from vidda.experiment.experiment_config import Keys
from vidda.sweep.trial_results import chosen_rows, group_by_keys, point_score
from vidda.sweep.trial_table import TRIALS_FILE, EpochFigures, TrialRow, TrialTable
from vidda.types import Predictions


def row(seed: int, keys: Keys, score: float, accuracy: float, folder: Path = Path("t")) -> TrialRow:
    name = f"coral-gs2gr-{seed}-{json.dumps(keys)}"
    return TrialRow(
        name, "coral", "gs2gr", seed, keys, folder / f"{len(keys)}_{seed}_{score}", "finished",
        epochs=EpochFigures(1, 2, 0), accuracy=EpochFigures(accuracy, 0.1, 0.9),
        scores={"entropy": score},
        correlations={"entropy": None}, lost={"entropy": 0.1},
    )  # fmt: skip


def test_a_table_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    table = TrialTable(tmp_path)
    full = row(0, {"a": [1, None], "b": {"c": 0.1}}, -0.25, 0.5)
    empty = TrialRow("dann-gs2gr-0", "dann", "gs2gr", 0, {}, Path("trials/dann"))
    table.propose([full, empty])
    table.fail(empty.name, "no such, file", 2.0)
    again = TrialTable(tmp_path)
    assert list(again.rows.values()) == [
        full, replace(empty, status="failed", reason="no such, file", seconds=2.0),
    ]  # fmt: skip
    assert [one.name for one in again.failed()] == [empty.name]
    again.propose([replace(full, status="waiting")])
    assert again.rows[full.name] == full, "what is known stays"
    with (tmp_path / "trials.csv").open() as stream:
        first, second = csv.DictReader(stream)
    assert first["a"] == "[1, null]" and first["entropy_selected"] == "-0.25"
    assert first["test_accuracy_oracle_by_test_labels"] == "0.900000"
    assert first["entropy_rank_correlation"] == "" and second["reason"] == "no such, file"
    again.keep_only([full.name])
    assert list(TrialTable(tmp_path).rows) == [full.name]
    (tmp_path / TRIALS_FILE).write_text('{"trials": [{}]}')
    with pytest.raises(ViddaError, match=r"trials\.json: not written by this version"):
        TrialTable(tmp_path)


def test_a_combination_is_chosen_by_its_score_whatever_the_test_accuracy() -> None:
    def rows(accuracies: list[float]) -> list[TrialRow]:
        good = [row(seed, {"lr": 1}, score, accuracies[0]) for seed, score in enumerate([-1, -3])]
        bad = [row(seed, {"lr": 2}, score, accuracies[1]) for seed, score in enumerate([-4, -2])]
        return bad + good

    for accuracies in ([0.1, 0.9], [0.9, 0.1]):
        members = chosen_rows(rows(accuracies), "entropy")
        assert [(one.keys, one.seed) for one in members] == [({"lr": 1}, 0), ({"lr": 1}, 1)]
    assert [keys for keys, _ in group_by_keys(rows([0, 0]))] == [{"lr": 2}, {"lr": 1}]
    assert point_score(rows([0, 0])[2:], "entropy") == -2
    # With a seed that failed it goes behind those with all seeds.
    weak = rows([0.9, 0.1])
    weak[3] = replace(weak[3], status="failed")
    assert {one.keys["lr"] for one in chosen_rows(weak, "entropy")} == {2}
    assert point_score(weak[3:], "entropy") is None
    lone = [replace(one, scores={}) for one in weak[2:3]]
    assert chosen_rows(lone, "entropy") == lone, "a lone combination needs no score"
    assert chosen_rows(weak[3:], "entropy") == []


def test_agreement_is_between_the_seeds_at_their_own_epochs(tmp_path: Path) -> None:
    said = {0: [0, 1, 1, 0], 1: [0, 1, 0, 1]}
    rows = []
    for seed, classes in said.items():
        one = row(seed, {}, 0.0, 0.5, tmp_path)
        logits = np.eye(2, dtype=np.float32)[classes]
        file = one.run / "predictions" / "target" / "epoch_001.npz"
        save_predictions(file, Predictions(tuple("abcd"), logits), ("x", "y"))
        rows.append(one)
    assert point_score(rows, "agreement") == 0.5
    assert point_score(rows[:1], "agreement") is None
