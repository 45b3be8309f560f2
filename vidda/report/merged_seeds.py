"""Means of several seeds' results on the same clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidda.evaluate.summary import Intervals, Stratum, Summary


@dataclass(frozen=True, slots=True)
class MergedSeeds:
    """Results as means over seeds; accuracies, F1 and calibration error are 0 to 1.

    seeds, clips: their numbers. classes: names, index by index. confusion: (K, K), number of clips
    by class (rows) and prediction (columns), summed over seeds. strata: mean accuracy by the values
    of some columns.
    """

    seeds: int
    clips: int
    classes: tuple[str, ...]
    accuracy: float
    mean_class_accuracy: float
    macro_f1: float
    calibration_error: float
    confusion: np.ndarray
    strata: tuple[Stratum, ...]


def merge_seeds(summaries: Sequence[Summary], intervals: Intervals) -> MergedSeeds:
    """Return the means of several seeds' results.

    summaries: at least one, all of the same clips. The interval of a stratum is Wilson's, of the
    mean over seeds as of one model on its clips.
    """
    first = summaries[0]
    strata = []
    for number, stratum in enumerate(first.strata):
        share = float(np.mean([summary.strata[number].accuracy for summary in summaries]))
        interval = intervals.wilson(share, stratum.clips)
        strata.append(Stratum(stratum.column, stratum.value, stratum.clips, share, interval))
    return MergedSeeds(
        seeds=len(summaries),
        clips=first.clips,
        classes=first.classes,
        accuracy=float(np.mean([s.accuracy for s in summaries])),
        mean_class_accuracy=float(np.mean([s.mean_class_accuracy for s in summaries])),
        macro_f1=float(np.mean([s.macro_f1 for s in summaries])),
        calibration_error=float(np.mean([s.calibration_error for s in summaries])),
        confusion=np.sum([s.confusion for s in summaries], axis=0),
        strata=tuple(strata),
    )


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Return the `count` most frequent mistakes, or fewer: class, predicted class, clips.

    confusion: (K, K), predictions (columns) of the clips of each class (rows).
    """
    wrong = confusion - np.diag(confusion.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in pairs if wrong[i, j]]
