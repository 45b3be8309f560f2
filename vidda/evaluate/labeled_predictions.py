"""Predictions joined with the labels and columns of their clips, by clip id."""

import numpy as np

from vidda.data.saved_predictions import SavedPredictions
from vidda.errors import ViddaError
from vidda.types import Manifest, Predictions

STRATA = ("view", "altitude_m", "subject")
"""Columns by which results are broken down."""
TAKE = "take"
"""Column of the recording that a clip is a part of, where a dataset names it."""


def join_labels(saved: SavedPredictions, manifest: Manifest, name: str) -> SavedPredictions:
    """Return the predictions in the manifest's order, with its labels and `columns_of`.

    name: the manifest's, for messages. Raises ViddaError, one line, when clips are missing or left
    over, a clip has no label, the classes differ or labels that the file holds are others.
    """
    manifest = manifest.with_classes(saved.classes)
    require_same_classes(manifest.classes, name, saved.classes, saved.source)
    require_labels(manifest, name)
    joined = join_columns(saved, manifest, name)
    found, ids = joined.predictions, joined.predictions.ids
    labels = np.array([clip.label for clip in manifest.clips], dtype=np.int64)
    if saved.predictions.labels is not None:
        known = saved.predictions.labels[_rows(saved, ids, name)]
        _require_same_labels(known, labels, ids, saved.source, name)
    predictions = Predictions(ids, found.logits, labels)
    return SavedPredictions(saved.source, predictions, saved.classes, joined.columns)


def join_columns(saved: SavedPredictions, manifest: Manifest, name: str) -> SavedPredictions:
    """Return the predictions in the manifest's order, with `columns_of`, unlabeled.

    name: the manifest's, for messages. Raises ViddaError when clips are missing or left over.
    """
    ids = tuple(clip.id for clip in manifest.clips)
    predictions = Predictions(ids, saved.predictions.logits[_rows(saved, ids, name)])
    return SavedPredictions(saved.source, predictions, saved.classes, columns_of(manifest))


def columns_of(manifest: Manifest) -> dict[str, np.ndarray]:
    """Return the columns of `STRATA`, and `TAKE` where there are takes, by name.

    Each is (N,) text, "" where a clip has no value.
    """
    takes = np.array([clip.meta.get(TAKE, "") for clip in manifest.clips], dtype=np.str_)
    return {
        "view": np.array([clip.view for clip in manifest.clips]),
        "altitude_m": np.array(
            ["" if c.altitude_m is None else f"{c.altitude_m:g}" for c in manifest.clips]
        ),
        "subject": np.array([clip.subject or "" for clip in manifest.clips]),
        **({TAKE: takes} if takes.any() else {}),
    }


def labels_of(saved: SavedPredictions) -> np.ndarray:
    """Return the labels, (N,) int64; raises ViddaError when the file has none, or no clips."""
    if saved.predictions.labels is None:
        raise ViddaError(f"{saved.source} holds no labels; give the manifest too: manifest=FILE")
    if len(saved.predictions.ids) == 0:
        raise ViddaError(f"{saved.source} holds no clips; predict again")
    return saved.predictions.labels


def require_labels(manifest: Manifest, name: str) -> None:
    """Raise ViddaError unless there are clips and each has a label.

    name: of the manifest or file, for the message.
    """
    if not manifest.clips:
        raise ViddaError(f"{name}: no clips in it; give a manifest with clips")
    unknown = [clip.id for clip in manifest.clips if clip.label is None]
    if unknown:
        raise ViddaError(
            f"{name}: {len(unknown)} of {len(manifest)} clips have no label, first {unknown[0]!r};"
            " only labeled clips can be measured (vidda predict needs no labels)"
        )


def require_same_classes(
    classes: tuple[str, ...], name: str, known: tuple[str, ...], model: str
) -> None:
    """Raise ViddaError unless a manifest's classes are those of a model or its predictions.

    name, model: what to call the two in the message.
    """
    if classes == known:
        return
    strange = [label for label in classes if label not in known]
    if strange:
        what = f"class {strange[0]!r} is unknown to {model}, which knows {', '.join(known)}"
    elif len(classes) != len(known):
        what = f"{len(classes)} classes, {model} knows {len(known)} ({', '.join(known)})"
    else:
        what = f"its classes are in another order than in {model} ({', '.join(known)})"
    raise ViddaError(f"{name}: {what}; use a manifest and a model with the same list of classes")


def align_clips(saved: SavedPredictions, other: SavedPredictions) -> SavedPredictions:
    """Return labeled predictions in the clip order of others, with their logits and columns.

    Raises ViddaError, one line, when the clips, their labels or the classes are not the same.
    """
    require_same_classes(saved.classes, saved.source, other.classes, other.source)
    ids = other.predictions.ids
    rows = _rows(saved, ids, other.source)
    logits, labels = saved.predictions.logits[rows], labels_of(saved)[rows]
    _require_same_labels(labels, labels_of(other), ids, saved.source, other.source)
    columns = {name: values[rows] for name, values in saved.columns.items()}
    predictions = Predictions(ids, logits, labels)
    return SavedPredictions(saved.source, predictions, saved.classes, columns)


def _rows(saved: SavedPredictions, wanted: tuple[str, ...], name: str) -> list[int]:
    """Return the row of each wanted clip; ViddaError unless the predictions have just these."""
    row_of = {clip_id: row for row, clip_id in enumerate(saved.predictions.ids)}
    missing, extra = set(wanted) - row_of.keys(), row_of.keys() - set(wanted)
    if missing or extra:
        parts = [
            f"{len(clips)} clips {what}, first {min(clips)!r}"
            for what, clips in (("missing", missing), ("too many", extra))
            if clips
        ]
        raise ViddaError(
            f"{saved.source} has other clips than {name}: {'; '.join(parts)};"
            " give predictions of the same manifest"
        )
    return [row_of[clip_id] for clip_id in wanted]


def _require_same_labels(
    labels: np.ndarray, truth: np.ndarray, ids: tuple[str, ...], source: str, name: str
) -> None:
    other = np.flatnonzero(labels != truth)
    if len(other):
        raise ViddaError(
            f"{source} has other labels than {name} for {len(other)} clips, first"
            f" {ids[other[0]]!r}; give the manifest that the predictions were made with"
        )
