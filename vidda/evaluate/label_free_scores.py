"""Label-free scores by name, computed from the outputs that a run has saved of one epoch."""

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
"""Names of the scores of one epoch of one run; computed by `label_free_metrics`."""

NEED_FEATURES = frozenset({"iwcv", "dev", "transfer_score"})

SOURCE_VALIDATION: EpochScore = "source_validation"


@dataclass(frozen=True, slots=True)
class Features:
    """Inputs of the last layer, val (V, D) and target (N, D), and its weight, (K, D)."""

    val: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, slots=True)
class EpochOutputs:
    """Outputs of one epoch's model for the source's validation clips and the target's clips.

    val: (V, K) logits. labels: (V,) of the validation clips. target: (N, K) logits. features: None
    unless the run saved them.
    """

    val: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    features: Features | None


def read_epoch_outputs(run: Path, epoch: int) -> EpochOutputs:
    """Load what a run of vidda adapt has saved of an epoch, from 0; ViddaError if it is missing."""
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
        raise ViddaError(f"{file}: not features that vidda adapt has saved: {error}") from None


def validation_score(accuracy: float, loss: float) -> float:
    """Return the score by which training selects an epoch: accuracy, ties broken by lower loss.

    accuracy: on the validation clips, 0 to 1. loss: their mean cross-entropy.
    """
    return accuracy - 1e-6 * loss


def epoch_scores(outputs: EpochOutputs) -> dict[EpochScore, float]:
    """Return every score that can be computed; those of `NEED_FEATURES` need saved features.

    The importance weights of iwcv and dev are fitted to the validation clips themselves: features
    of training clips, which both papers use for the source, are not saved.
    """
    losses = label_free_metrics.cross_entropies(outputs.val, outputs.labels)
    accuracy = label_free_metrics.source_validation(outputs.val, outputs.labels)
    found: dict[EpochScore, float] = {
        SOURCE_VALIDATION: validation_score(accuracy, float(losses.mean())),
        "entropy": label_free_metrics.entropy(outputs.target),
        "information_maximization": label_free_metrics.information_maximization(outputs.target),
        "soft_neighborhood_density": label_free_metrics.soft_neighborhood_density(outputs.target),
        "class_correlation": label_free_metrics.class_correlation(outputs.target),
    }
    if (kept := outputs.features) is not None:
        weights = label_free_metrics.density_ratio(kept.val, kept.target, kept.val)
        found["iwcv"] = label_free_metrics.iwcv(losses, weights)
        found["dev"] = label_free_metrics.dev(losses, weights)
        found["transfer_score"] = label_free_metrics.transfer_score(
            kept.target, outputs.target, kept.weight
        )
    return {name: found[name] for name in get_args(EpochScore) if name in found}
