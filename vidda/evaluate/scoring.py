"""The scores without target labels by name, of what a run has kept of one of its epochs."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from vidda.data.predictions import load_predictions
from vidda.errors import ViddaError
from vidda.evaluate import selection
from vidda.evaluate.predictions import labels_of

EpochScore = Literal[
    "source_validation",
    "entropy",
    "information_maximisation",
    "soft_neighbourhood_density",
    "class_correlation",
    "iwcv",
    "dev",
    "transfer_score",
]
"""Scores of one epoch of one run; see `selection`."""

NEED_FEATURES = frozenset({"iwcv", "dev", "transfer_score"})

VALIDATION: EpochScore = "source_validation"


@dataclass(frozen=True, slots=True)
class Features:
    """What the last layer saw, (V, D) and (N, D), and its weight, (K, D)."""

    val: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, slots=True)
class Shown:
    """What one epoch's model says of the source's validation clips and of the target's.

    val: (V, K) logits. labels: (V,), of the same. target: (N, K) logits. features: None unless the
    run kept them.
    """

    val: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    features: Features | None


def read_shown(run: Path, epoch: int) -> Shown:
    """What a run of vidda adapt has written of an epoch; raises ViddaError where it is gone."""
    name = f"epoch_{epoch:03d}.npz"
    val = load_predictions(run / "predictions" / "val" / name)
    target = load_predictions(run / "predictions" / "target" / name)
    features = None
    if (run / "features").is_dir():
        here, there = (_arrays(run / "features" / part / name) for part in ("val", "target"))
        features = Features(here["features"], there["features"], here["weight"])
    return Shown(val.predictions.logits, labels_of(val), target.predictions.logits, features)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in ("features", "weight")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{file}: not the features that vidda adapt keeps: {error}") from None


def validation(accuracy: float, loss: float) -> float:
    """Source validation as training chooses by it: among equal accuracies the lower loss."""
    return accuracy - 1e-6 * loss


def scores(shown: Shown) -> dict[EpochScore, float]:
    """Every score that can be computed; those of `NEED_FEATURES` only where they were kept.

    The importance weights of iwcv and dev are of the validation clips themselves: features of
    training clips, which both papers take for the source, are not kept.
    """
    losses = selection.cross_entropies(shown.val, shown.labels)
    accuracy = selection.source_validation(shown.val, shown.labels)
    found: dict[EpochScore, float] = {
        VALIDATION: validation(accuracy, float(losses.mean())),
        "entropy": selection.entropy(shown.target),
        "information_maximisation": selection.information_maximisation(shown.target),
        "soft_neighbourhood_density": selection.soft_neighbourhood_density(shown.target),
        "class_correlation": selection.class_correlation(shown.target),
    }
    if (kept := shown.features) is not None:
        weights = selection.density_ratio(kept.val, kept.target, kept.val)
        found["iwcv"] = selection.iwcv(losses, weights)
        found["dev"] = selection.dev(losses, weights)
        found["transfer_score"] = selection.transfer_score(kept.target, shown.target, kept.weight)
    return {name: found[name] for name in get_args(EpochScore) if name in found}
