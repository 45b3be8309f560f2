"""What a finished trial has reached, and which combination of keys is chosen without labels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from vidda.data.saved_predictions import SavedPredictions, load_predictions
from vidda.evaluate.epochs import read_epochs, watched
from vidda.evaluate.label_free_metrics import agreement
from vidda.evaluate.labeled_predictions import join, labels_of
from vidda.evaluate.metrics import right
from vidda.evaluate.score_worth import score_worth, target_logits
from vidda.experiment.experiment_config import Keys
from vidda.report.run_records import read_training
from vidda.sweep.sweep_config import AGREEMENT
from vidda.sweep.trial_table import Three, TrialRow
from vidda.types import Manifest


def finished(row: TrialRow, test: Manifest, name: str, *, stream: bool) -> TrialRow:
    """Return the row of a trial whose run is complete; raises ViddaError where its files are
    damaged.

    test: labeled clips. name: what to call them. stream: see `MethodRecipe`.
    """
    training = read_training(row.run)
    found = read_epochs(row.run, test, name)
    values = training.scores()
    judged = score_worth([(values, found)])
    scores = {score: values[score][found.selected] for score in values}
    accuracies = [found.accuracies[epoch] for epoch in found.chosen.values()]
    if stream:
        accuracies = [_accuracy(answers(row, found.selected, test, name, stream=True))] * 3
        judged = []
    return replace(
        row,
        status="finished",
        reason="",
        epochs=Three(*found.chosen.values()),
        accuracy=Three(*accuracies),
        # The worst there is has no place in JSON.
        scores={score: value for score, value in scores.items() if math.isfinite(value)},
        correlations={one.score: one.correlation for one in judged},
        lost={one.score: one.lost for one in judged},
    )


def answers(
    row: TrialRow, epoch: int, test: Manifest, name: str, *, stream: bool
) -> SavedPredictions:
    """What a run says of the test clips after an epoch, with their labels.

    stream: what it said of each as it came.
    """
    folder = row.run / "online" if stream else watched(row.run, test)
    assert folder is not None, "a trial watches the test clips"
    return join(load_predictions(folder / f"epoch_{epoch:03d}.npz"), test, name)


def _accuracy(found: SavedPredictions) -> float:
    return float(right(found.predictions.logits, labels_of(found)).mean())


def value(rows: Iterable[TrialRow], score: str) -> float | None:
    """What the rows of one combination, a seed each, have by a score: the mean of those that have.

    None where none has. Test accuracies are not looked at. Agreement is of two or more.
    """
    done = [row for row in rows if row.status == "finished"]
    if score == AGREEMENT:
        return agreement([_of_target(row) for row in done]) if len(done) > 1 else None
    known = [row.scores[score] for row in done if score in row.scores]
    return float(np.mean(known)) if known else None


def _of_target(row: TrialRow) -> np.ndarray:
    assert row.epochs
    return target_logits(row.run, int(row.epochs.selected))


def points(rows: Sequence[TrialRow]) -> list[tuple[Keys, list[TrialRow]]]:
    """Return the combinations among rows of one method and task, each with its rows."""
    found: list[tuple[Keys, list[TrialRow]]] = []
    for row in rows:
        own = next((members for keys, members in found if keys == row.keys), None)
        if own is None:
            found.append((row.keys, [row]))
        else:
            own.append(row)
    return found


def chosen(rows: Sequence[TrialRow], score: str) -> list[TrialRow]:
    """Return the finished rows of the best combination among rows of one method and task.

    One with more finished seeds goes before one with fewer; a lone one needs no score.
    """
    best: tuple[int, float] | None = None
    members: list[TrialRow] = []
    for _, own in points(rows):
        done = [row for row in own if row.status == "finished"]
        found = value(own, score)
        rank = (len(done), -math.inf if found is None else found)
        if done and (best is None or rank > best):
            best, members = rank, done
    return members
