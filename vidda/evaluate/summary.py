"""All results that are computed from one file of labeled predictions."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate import metrics
from vidda.evaluate.intervals import Interval, bootstrap_mean, wilson
from vidda.evaluate.labeled_predictions import STRATA, TAKE, labels_of

TAKE_CLUSTER = "take "
"""Start of the name of a cluster that is a take."""


class Intervals(Config):
    """Settings of confidence intervals."""

    confidence: float = Field(
        default=0.95, gt=0, lt=1, description="confidence of every interval, 0 to 1"
    )
    samples: int = Field(default=5000, ge=100, description="number of bootstrap samples")
    seed: int = Field(default=0, ge=0, description="seed of the bootstrap samples")

    def wilson(self, share: float, clips: int) -> Interval:
        """Return Wilson's interval of an accuracy over independent clips.

        share: the accuracy, 0 to 1. clips: their number.
        """
        return wilson(share, clips, self.confidence)

    def bootstrap(self, values: np.ndarray, clusters: np.ndarray) -> Interval | None:
        """Return the bootstrap interval of a mean over clips (and runs); None for a single cluster.

        values: (N,) or (R, N), correct predictions (bool) or gains (float), of N clips in R runs.
        clusters: (N,) keys; clips of one key, such as a subject, are resampled together.
        """
        return bootstrap_mean(
            values, clusters, samples=self.samples, seed=self.seed, confidence=self.confidence
        )


@dataclass(frozen=True, slots=True)
class Stratum:
    """Accuracy on the clips that share one value of a column.

    column, value: its name and the value. clips: their number. accuracy: 0 to 1. wilson: interval
    of the accuracy.
    """

    column: str
    value: str
    clips: int
    accuracy: float
    wilson: Interval


@dataclass(frozen=True, slots=True)
class Summary:
    """A model's results on one list of clips; accuracies, F1 and calibration error are 0 to 1.

    clips, subjects, without_subject: number of clips, of known subjects, and of clips whose subject
    is not known. classes: names, index by index. wilson, bootstrap: intervals of the accuracy; for
    the latter the clips of a cluster are resampled together, see `clusters_of`, and it is None for
    a single one. takes: number of takes that are the clusters, 0 where these are others. confusion:
    (K, K), number of clips by class (rows) and prediction (columns). strata: accuracy by the values
    of some columns.
    """

    clips: int
    classes: tuple[str, ...]
    accuracy: float
    wilson: Interval
    bootstrap: Interval | None
    subjects: int
    mean_class_accuracy: float
    macro_f1: float
    calibration_error: float
    confusion: tuple[tuple[int, ...], ...]
    strata: tuple[Stratum, ...]
    without_subject: int = 0
    takes: int = 0


def summarize(saved: SavedPredictions, intervals: Intervals) -> Summary:
    """Measure labeled predictions; raises ViddaError when they have no labels or no clips."""
    labels, logits = labels_of(saved), saved.predictions.logits
    hits = metrics.is_correct(logits, labels)
    confusion = metrics.confusion_matrix(logits, labels)
    subjects, without_subject = count_subjects(subjects_of(saved))
    accuracy = float(hits.mean())
    names = np.array(saved.classes)[labels]
    columns = {name: saved.columns[name] for name in STRATA if name in saved.columns}
    return Summary(
        clips=len(hits),
        classes=saved.classes,
        accuracy=accuracy,
        wilson=intervals.wilson(accuracy, len(hits)),
        bootstrap=intervals.bootstrap(hits, clusters_of(saved)),
        subjects=subjects,
        mean_class_accuracy=metrics.mean_class_accuracy(confusion),
        macro_f1=metrics.macro_f1(confusion),
        calibration_error=metrics.calibration_error(logits, labels),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        strata=tuple(
            stratum
            for column, values in (columns | {"class": names}).items()
            for stratum in _strata(column, values, hits, intervals)
        ),
        without_subject=without_subject,
        takes=count_takes(clusters_of(saved)),
    )


def clusters_of(saved: SavedPredictions) -> np.ndarray:
    """Return the bootstrap cluster of each clip, (N,) text: its subject, or else the clip alone.

    Where all clips are of one subject, it is the clip's take, if each has one: that says how sure
    the result is for this subject, and nothing of others.
    """
    ids = np.array([f"clip {clip_id}" for clip_id in saved.predictions.ids], dtype=np.str_)
    subjects, takes = subjects_of(saved), saved.columns.get(TAKE)
    if takes is not None and (takes != "").all() and count_subjects(subjects) == (1, 0):
        return np.char.add(TAKE_CLUSTER, takes)
    return np.where(subjects == "", ids, np.char.add("subject ", subjects))


def count_takes(clusters: np.ndarray) -> int:
    """Return the number of clusters that are takes, of those that `clusters_of` returned."""
    return len(np.unique(clusters[np.char.startswith(clusters, TAKE_CLUSTER)]))


def subjects_of(saved: SavedPredictions) -> np.ndarray:
    """Return the subject of each clip, (N,) text, "" where it is not known."""
    unknown = np.full(len(saved.predictions.ids), "", dtype=np.str_)
    return saved.columns.get("subject", unknown)


def count_subjects(subjects: np.ndarray) -> tuple[int, int]:
    """Return the number of known subjects, and the number of clips without one.

    subjects: (N,) text, the subject of each clip, "" where it is not known.
    """
    known = subjects[subjects != ""]
    return len(np.unique(known)), len(subjects) - len(known)


def _strata(
    column: str, values: np.ndarray, hits: np.ndarray, intervals: Intervals
) -> list[Stratum]:
    """Return a stratum for each known value of a column, sorted; altitudes as numbers."""
    known = [str(value) for value in np.unique(values) if value]
    if column == "altitude_m":
        known.sort(key=float)
    found = []
    for value in known:
        own = hits[values == value]
        share = float(own.mean())
        interval = intervals.wilson(share, len(own))
        found.append(Stratum(column, value, len(own), share, interval))
    return found
