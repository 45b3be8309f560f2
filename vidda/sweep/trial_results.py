"""Results of finished trials, and the combination of keys that is chosen without labels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from vidda.data.saved_predictions import SavedPredictions, load_predictions
from vidda.evaluate.epochs import read_epochs, watched_predictions
from vidda.evaluate.label_free_metrics import agreement
from vidda.evaluate.labeled_predictions import join_labels, labels_of
from vidda.evaluate.metrics import is_correct
from vidda.evaluate.score_worth import load_target_logits, score_worth
from vidda.experiment.experiment_config import Keys
from vidda.report.run_records import read_training
from vidda.sweep.sweep_config import AGREEMENT
from vidda.sweep.trial_table import EpochFigures, TrialRow
from vidda.types import Manifest


def finished_row(row: TrialRow, test: Manifest, name: str, *, stream: bool) -> TrialRow:
    """Return the row of a trial with the results of its complete run.

    test: labeled clips. name: the manifest's, for messages. stream: see `MethodRecipe`. Raises
    ViddaError where files of the run are damaged.
    """
    training = read_training(row.run)
    found = read_epochs(row.run, test, name)
    values = training.scores()
    worths = score_worth([(values, found)])
    scores = {score: values[score][found.selected] for score in values}
    accuracies = [found.accuracies[epoch] for epoch in found.chosen.values()]
    if stream:
        accuracies = [
            _accuracy(read_test_predictions(row, found.selected, test, name, stream=True))
        ] * 3
        worths = []
    return replace(
        row,
        status="finished",
        reason="",
        epochs=EpochFigures(*found.chosen.values()),
        accuracy=EpochFigures(*accuracies),
        # JSON has no -inf.
        scores={score: value for score, value in scores.items() if math.isfinite(value)},
        correlations={one.score: one.correlation for one in worths},
        lost={one.score: one.lost for one in worths},
    )


def read_test_predictions(
    row: TrialRow, epoch: int, test: Manifest, name: str, *, stream: bool
) -> SavedPredictions:
    """Load a run's predictions of the test clips after an epoch, from 0, with their labels.

    test: labeled clips. name: the manifest's, for messages. stream: load the predictions of each
    clip at its turn in the stream instead.
    """
    folder = row.run / "online" if stream else watched_predictions(row.run, test)
    assert folder is not None, "a trial watches the test clips"
    return join_labels(load_predictions(folder / f"epoch_{epoch:03d}.npz"), test, name)


def _accuracy(found: SavedPredictions) -> float:
    return float(is_correct(found.predictions.logits, labels_of(found)).mean())


def point_score(rows: Iterable[TrialRow], score: str) -> float | None:
    """Return the mean score of the finished rows of one combination, which differ in their seed.

    score: one of the rows' scores, or "agreement" between two or more rows. None where no row has
    it. Test accuracies are not used.
    """
    done = [row for row in rows if row.status == "finished"]
    if score == AGREEMENT:
        return agreement([_of_target(row) for row in done]) if len(done) > 1 else None
    known = [row.scores[score] for row in done if score in row.scores]
    return float(np.mean(known)) if known else None


def _of_target(row: TrialRow) -> np.ndarray:
    assert row.epochs
    return load_target_logits(row.run, int(row.epochs.selected))


def group_by_keys(rows: Sequence[TrialRow]) -> list[tuple[Keys, list[TrialRow]]]:
    """Group the rows of one method and task by their combination of keys."""
    found: list[tuple[Keys, list[TrialRow]]] = []
    for row in rows:
        own = next((members for keys, members in found if keys == row.keys), None)
        if own is None:
            found.append((row.keys, [row]))
        else:
            own.append(row)
    return found


def chosen_rows(rows: Sequence[TrialRow], score: str) -> list[TrialRow]:
    """Return the finished rows of the best combination among rows of one method and task.

    score: see `point_score`. Combinations with more finished seeds are preferred; a single
    combination needs no score.
    """
    best: tuple[int, float] | None = None
    members: list[TrialRow] = []
    for _, own in group_by_keys(rows):
        done = [row for row in own if row.status == "finished"]
        found = point_score(own, score)
        rank = (len(done), -math.inf if found is None else found)
        if done and (best is None or rank > best):
            best, members = rank, done
    return members
