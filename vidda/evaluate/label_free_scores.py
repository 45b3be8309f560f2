"""The scores without target labels by name, of what a run has kept of one of its epochs."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.evaluate import label_free_metrics
from vidda.evaluate.labeled_predictions import labels_of

EpochScore = Literal[
    "source_validation",
    "entropy",
    "information_maximization",
    "soft_neighborhood_density",
    "class_correlation",
    "iwcv",
    "dev",
    "transfer_score",
]
"""Scores of one epoch of one run; see `label_free_metrics`."""

NEED_FEATURES = frozenset({"iwcv", "dev", "transfer_score"})

VALIDATION: EpochScore = "source_validation"


@dataclass(frozen=True, slots=True)
class Features:
    """What the last layer saw, (V, D) and (N, D), and its weight, (K, D)."""

    val: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, slots=True)
class EpochOutputs:
    """What one epoch's model says of the source's validation clips and of the target's.

    val: (V, K) logits. labels: (V,), of the same. target: (N, K) logits. features: None unless the
    run kept them.
    """

    val: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    features: Features | None


def read_epoch_outputs(run: Path, epoch: int) -> EpochOutputs:
    """What a run of vidda adapt has written of an epoch; raises ViddaError where it is gone."""
    name = f"epoch_{epoch:03d}.npz"
    val = load_predictions(run / "predictions" / "val" / name)
    target = load_predictions(run / "predictions" / "target" / name)
    features = None
    if (run / "features").is_dir():
        here, there = (_arrays(run / "features" / part / name) for part in ("val", "target"))
        features = Features(here["features"], there["features"], here["weight"])
    return EpochOutputs(val.predictions.logits, labels_of(val), target.predictions.logits, features)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in ("features", "weight")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{file}: not the features that vidda adapt keeps: {error}") from None


def validation(accuracy: float, loss: float) -> float:
    """Source validation as training chooses by it: among equal accuracies the lower loss."""
    return accuracy - 1e-6 * loss


def scores(shown: EpochOutputs) -> dict[EpochScore, float]:
    """Return every score that can be computed; those of `NEED_FEATURES` only where they were kept.

    The importance weights of iwcv and dev are of the validation clips themselves: features of
    training clips, which both papers take for the source, are not kept.
    """
    losses = label_free_metrics.cross_entropies(shown.val, shown.labels)
    accuracy = label_free_metrics.source_validation(shown.val, shown.labels)
    found: dict[EpochScore, float] = {
        VALIDATION: validation(accuracy, float(losses.mean())),
        "entropy": label_free_metrics.entropy(shown.target),
        "information_maximization": label_free_metrics.information_maximization(shown.target),
        "soft_neighborhood_density": label_free_metrics.soft_neighborhood_density(shown.target),
        "class_correlation": label_free_metrics.class_correlation(shown.target),
    }
    if (kept := shown.features) is not None:
        weights = label_free_metrics.density_ratio(kept.val, kept.target, kept.val)
        found["iwcv"] = label_free_metrics.iwcv(losses, weights)
        found["dev"] = label_free_metrics.dev(losses, weights)
        found["transfer_score"] = label_free_metrics.transfer_score(
            kept.target, shown.target, kept.weight
        )
    return {name: found[name] for name in get_args(EpochScore) if name in found}
