"""Consistency of predictions across temporal scales, and pseudo-labels by clustering (ATCoN)."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from vidda.adapt.losses.entropy import entropies

SHARPNESS = 10.0
"""Factor of the logits from which the confidence of a scale is computed."""


def scale_consistency(scales: Sequence[torch.Tensor], whole: torch.Tensor) -> torch.Tensor:
    """Return the distance of predictions at several temporal scales from their average, at least 0.

    It is 0 where all agree. scales: (B, K) logits of each scale. whole: (B, K) logits of the whole
    clip. 18 times the divergence of the average from each scale, clips weighing K - H(y) relative
    to the batch's mean, plus twice the squared distance of the whole clip's probabilities from the
    average. Xu et al., Source-Free Video Domain Adaptation by Learning Temporal Consistency for
    Action Recognition (ATCoN), ECCV 2022, with the released code's numbers. Its squared distance
    has exponent 1, under which the differences of two distributions add up to 0; here it is 2.
    """
    average = torch.stack([scale.softmax(1) for scale in scales]).mean(0)
    divergences = []
    for scale in scales:
        sure = scale.shape[1] - entropies(SHARPNESS * scale)
        apart = F.kl_div(scale.log_softmax(1), average, reduction="none").sum(1)
        divergences.append((sure / sure.mean() * apart).mean())
    distance = (whole.softmax(1) - average).square().sum(1).mean()
    return 18 * torch.stack(divergences).mean() + 2 * distance


def cluster_labels(features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return pseudo-labels by the nearest class center, (N,) int64.

    features: (N, D), logits: (N, K), of all clips. Centers are the mean features weighted by
    probability; each clip gets the class of the nearest center by cosine. This is repeated once
    with the centers of these labels, without the classes that have no clip. Liang, Hu and Feng,
    SHOT, ICML 2020, equations 5 to 7; as in its code a constant 1 is appended to the features,
    which are then scaled to length 1. Both SHOT's and ATCoN's code also leave out the classes that
    no clip is predicted as from the first round on; here every class can still win clips there.
    """
    ones = torch.ones(len(features), 1, dtype=features.dtype)
    unit = F.normalize(torch.cat([features, ones], 1), dim=1)
    shares = logits.softmax(1)
    labels = _nearest(unit, shares.T @ unit)
    assigned = F.one_hot(labels, logits.shape[1]).to(unit.dtype)
    nonempty = assigned.sum(0) > 0
    cosine = F.normalize(assigned.T @ unit, dim=1) @ unit.T
    return cosine.masked_fill(~nonempty[:, None], -torch.inf).argmax(0)


def _nearest(unit: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    # The length of a center does not matter to its direction.
    return (F.normalize(centers, dim=1) @ unit.T).argmax(0)
