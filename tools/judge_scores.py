"""Judge label-free scores: do they rank recognizers as their accuracies do?

    python tools/judge_scores.py PREDICTIONS PREDICTIONS [...]

Each file holds one recognizer's predictions of the same labeled clips, as `vidda evaluate out=OUT`
writes them. The scores see its logits alone. Printed are each recognizer's accuracy and scores,
and of each score the rank correlation (Spearman) with the accuracies, and the accuracy of the
recognizer that it would have chosen.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich import print as show
from rich.table import Table

from vidda.data.saved_predictions import SavedPredictions, load_predictions
from vidda.errors import ViddaError
from vidda.evaluate.label_free_metrics import (
    class_correlation,
    entropy,
    information_maximization,
    rank_correlation,
    soft_neighborhood_density,
)
from vidda.evaluate.metrics import accuracy

SCORES: dict[str, Callable[[np.ndarray], float]] = {
    "entropy": entropy,
    "information maximization": information_maximization,
    "SND": soft_neighborhood_density,
    "Corr-C": class_correlation,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="files of predictions")
    options = parser.parse_args(arguments)
    try:
        accuracies, scores = judge([load_predictions(path) for path in options.predictions])
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    each = Table("recognizer", "accuracy", *SCORES, title="Recognizers")
    for number, path in enumerate(options.predictions):
        values = [f"{scores[name][number]:.3f}" for name in SCORES]
        each.add_row(path.parent.name or str(path), f"{accuracies[number]:.1%}", *values)
    show(each)
    judged = Table("score", "rank correlation", "accuracy of its choice", title="Scores")
    for name, values_of in scores.items():
        chosen = accuracies[int(np.argmax(values_of))]
        judged.add_row(name, f"{rank_correlation(values_of, accuracies):+.2f}", f"{chosen:.1%}")
    judged.add_row("the best recognizer", "", f"{max(accuracies):.1%}")
    show(judged)
    return 0


def judge(saved: Sequence[SavedPredictions]) -> tuple[list[float], dict[str, list[float]]]:
    """Return each recognizer's accuracy, 0 to 1, and its scores by name.

    saved: at least two, labeled, of the same clips. Raises ViddaError where they are not.
    """
    if len(saved) < 2:
        raise ViddaError("one recognizer cannot be ranked; name predictions of several")
    first = saved[0].predictions
    for one in saved:
        if one.predictions.labels is None:
            raise ViddaError(f"{one.source}: has no labels; predict a manifest that has them")
        if one.predictions.ids != first.ids:
            raise ViddaError(
                f"{one.source}: of other clips than {saved[0].source}; predict the same manifest"
            )
    logits = [one.predictions.logits for one in saved]
    labels = first.labels
    assert labels is not None
    scores = {name: [score(one) for one in logits] for name, score in SCORES.items()}
    return [accuracy(one, labels) for one in logits], scores


if __name__ == "__main__":
    sys.exit(main())
