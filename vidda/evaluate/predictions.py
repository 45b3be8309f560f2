"""Predictions and the truth about their clips, put together by clip id."""

import numpy as np

from vidda.data.predictions import SavedPredictions
from vidda.errors import ViddaError
from vidda.types import Manifest, Predictions

STRATA = ("view", "altitude_m", "subject")
"""Columns by which results are told apart."""


def join(saved: SavedPredictions, manifest: Manifest, name: str) -> SavedPredictions:
    """The predictions in the manifest's order, with its labels and the columns of `STRATA`.

    name: the manifest's, for messages. Raises ViddaError, one line, when clips are missing or left
    over, a clip has no label, the classes differ or labels that the file holds are others.
    """
    require_same_classes(manifest.classes, name, saved.classes, saved.source)
    require_labels(manifest, name)
    row_of = {clip_id: row for row, clip_id in enumerate(saved.predictions.ids)}
    wanted = [clip.id for clip in manifest.clips]
    require_same_ids(list(row_of), saved.source, wanted, name)
    rows = [row_of[clip_id] for clip_id in wanted]
    labels = np.array([clip.label for clip in manifest.clips], dtype=np.int64)
    known = saved.predictions.labels
    if known is not None and not np.array_equal(known[rows], labels):
        first = int(np.flatnonzero(known[rows] != labels)[0])
        raise ViddaError(
            f"{saved.source} has other labels than {name}, first for {wanted[first]!r}:"
            " give the manifest that the predictions were made with"
        )
    predictions = Predictions(tuple(wanted), saved.predictions.logits[rows], labels)
    return SavedPredictions(saved.source, predictions, saved.classes, columns_of(manifest))


def columns_of(manifest: Manifest) -> dict[str, np.ndarray]:
    """The columns of `STRATA`, (N,) text each, "" where a clip has no such value."""
    return {
        "view": np.array([clip.view for clip in manifest.clips]),
        "altitude_m": np.array(
            ["" if c.altitude_m is None else f"{c.altitude_m:g}" for c in manifest.clips]
        ),
        "subject": np.array([clip.subject or "" for clip in manifest.clips]),
    }


def labels_of(saved: SavedPredictions) -> np.ndarray:
    """The labels, (N,) int64; raises ViddaError when the file has none, or no clips."""
    if saved.predictions.labels is None:
        raise ViddaError(f"{saved.source} holds no labels; give the manifest too: manifest=FILE")
    if len(saved.predictions.ids) == 0:
        raise ViddaError(f"{saved.source} holds no clips; predict again")
    return saved.predictions.labels


def require_labels(manifest: Manifest, name: str) -> None:
    """Raise ViddaError unless there are clips and each has a label."""
    if not manifest.clips:
        raise ViddaError(f"{name}: no clips in it; give a manifest with clips")
    unknown = [clip.id for clip in manifest.clips if clip.label is None]
    if unknown:
        raise ViddaError(
            f"{name}: {len(unknown)} of {len(manifest)} clips have no label, first {unknown[0]!r};"
            " only labelled clips can be measured (vidda predict needs no labels)"
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
        what = f"its classes stand in another order than in {model} ({', '.join(known)})"
    raise ViddaError(f"{name}: {what}; use a manifest and a model with the same list of classes")


def require_same_ids(ids: list[str], source: str, wanted: list[str], name: str) -> None:
    """Raise ViddaError unless both lists hold the same clips, in any order."""
    missing, extra = set(wanted) - set(ids), set(ids) - set(wanted)
    if missing or extra:
        parts = [
            f"{len(clips)} clips {what}, first {min(clips)!r}"
            for what, clips in (("missing", missing), ("too many", extra))
            if clips
        ]
        raise ViddaError(f"{source} is not of the clips of {name}: {'; '.join(parts)}")
