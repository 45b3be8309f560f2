"""Predictions on disk: one .npz for one model and one list of clips, never unpickled.

    format   "vidda-predictions-1"       ids      (N,) text          logits  (N, K) float32
    classes  (K,) text                   labels   (N,) int64, where they are known
    clip.NAME  (N,) text: a column of the manifest, where it was kept

`numpy.load` alone reads it.
"""

import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.files import atomic
from vidda.types import Predictions

FORMAT = "vidda-predictions-1"
COLUMN = "clip."
ALTITUDE = "altitude_m"
"""The one column that holds numbers, as text."""


@dataclass(frozen=True, slots=True)
class SavedPredictions:
    """The content of a file of predictions.

    source: its name in messages, for instance its path. classes: K names, index by index.
    columns: further columns of the manifest, (N,) text by name, "" where a value is not known.
    """

    source: str
    predictions: Predictions
    classes: tuple[str, ...]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


def save_predictions(
    path: Path,
    predictions: Predictions,
    classes: Sequence[str],
    columns: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write predictions to an .npz, atomically; the same predictions give the same bytes.

    classes: names of the K logits. columns: further columns of the manifest, (N,) text by name, ""
    where a value is not known.
    """
    arrays = {
        "format": np.array(FORMAT),
        "ids": np.array(predictions.ids, dtype=np.str_),
        "logits": predictions.logits.astype(np.float32),
        "classes": np.array(classes, dtype=np.str_),
    }
    if predictions.labels is not None:
        arrays["labels"] = predictions.labels.astype(np.int64)
    for name, values in (columns or {}).items():
        arrays[COLUMN + name] = np.asarray(values, dtype=np.str_)
    with atomic(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def write_probabilities(
    path: Path,
    heads: Sequence[str],
    names: Sequence[Sequence[str]],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Write a CSV for people: names, the most probable class, its probability, and all of them.

    heads: of the columns of names. names: N rows of texts. probabilities: (N, K), of the K classes.
    """
    lines = []
    for cells, row in zip(names, probabilities, strict=True):
        shown = [f"{value:.6f}" for value in row]
        best = int(row.argmax())
        lines.append(csv_line([*cells, classes[best], shown[best], *shown]))
    header = [*heads, "class", "probability", *(f"p_{name}" for name in classes)]
    write_csv(path, csv_line(header), lines)


def load_predictions(path: Path) -> SavedPredictions:
    """Load a file that `save_predictions` wrote.

    Raises ViddaError, one line, where there is no file, or its arrays do not belong together.
    """
    arrays = _read(path)
    lacking = sorted({"ids", "logits", "classes"} - arrays.keys())
    if lacking:
        raise ViddaError(f"{path}: not a file of predictions: it has no array {', '.join(lacking)}")
    ids, logits, classes = arrays["ids"], arrays["logits"], arrays["classes"]
    columns = {n.removeprefix(COLUMN): a for n, a in arrays.items() if n.startswith(COLUMN)}
    texts = {"ids": ids, "classes": classes, **columns}
    problem = next((f"{n} is not text" for n, a in texts.items() if a.dtype.kind != "U"), "")
    if not problem:
        problem = _mismatch(ids, logits, classes, columns, arrays.get("labels"))
    if problem:
        raise ViddaError(f"{path}: damaged or not made by vidda: {problem}; predict again")
    predictions = Predictions(tuple(ids.tolist()), logits, arrays.get("labels"))
    return SavedPredictions(str(path), predictions, tuple(classes.tolist()), columns)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            raise ValueError("it is one array alone")
        with content:
            return dict(content)
    except FileNotFoundError:
        raise ViddaError(f"{path}: no such file of predictions") from None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{path}: cannot be read as an .npz of predictions: {error}") from None


def _mismatch(
    ids: np.ndarray,
    logits: np.ndarray,
    classes: np.ndarray,
    columns: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
) -> str:
    """Return how an array does not fit the others, "" if all fit."""
    for name, values in (("ids", ids), ("classes", classes)):
        if values.ndim != 1:
            return f"{name} has shape {values.shape}"
        found, counts = np.unique(values, return_counts=True)
        if (counts > 1).any():
            return f"{name} holds {str(found[counts.argmax()])!r} {counts.max()} times"
    count = ids.size
    if logits.dtype != np.float32 or logits.shape != (count, classes.size):
        shape = f"{logits.dtype} logits of shape {logits.shape}"
        return f"{shape} for {count} clips and {classes.size} classes"
    if not np.isfinite(logits).all():
        return f"{np.count_nonzero(~np.isfinite(logits).all(1))} clips have logits that are nan/inf"
    for name, values in columns.items():
        if values.shape != (count,):
            return f"column {name} has shape {values.shape} for {count} clips"
    strange = [text for text in columns.get(ALTITUDE, []) if text and not _is_number(text)]
    if strange:
        return f"column {ALTITUDE} holds {str(strange[0])!r}, which is no number"
    if labels is not None and (labels.dtype != np.int64 or labels.shape != (count,)):
        return f"{labels.dtype} labels of shape {labels.shape} for {count} clips"
    if labels is not None and count and not 0 <= labels.min() <= labels.max() < classes.size:
        return f"labels reach from {labels.min()} to {labels.max()}, not in 0..{classes.size - 1}"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
