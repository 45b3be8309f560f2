"""Correlation alignment (CORAL)."""

import torch

from vidda.adapt.losses.full_precision import full_precision


def covariance(features: torch.Tensor) -> torch.Tensor:
    """Return the unbiased covariance (D, D) of features (B, D), with B at least 2."""
    with full_precision(features):
        centered = features - features.mean(0)
        return centered.T @ centered / (len(features) - 1)


def coral(source: torch.Tensor, target: torch.Tensor, means: bool = False) -> torch.Tensor:
    """Return the distance of the domains' feature covariances, ||C_s - C_t||_F^2 / 4 d^2, at least
    0.

    source: (B, D), target: (B', D) features; the loss is 0 where either has a single clip, and so
    no covariance. means: add the mean squared difference of the means. Sun and Saenko, Deep CORAL,
    ECCV Workshops 2016, equation 1. TLlib's loss always has the means, and divides by d^2, without
    the 4: there covariances weigh four times as much relative to the means.
    """
    if min(len(source), len(target)) < 2:
        return 0 * (source.sum() + target.sum())
    width = source.shape[1]
    apart = covariance(source) - covariance(target)
    loss = apart.square().sum() / (4 * width**2)
    if means:
        loss = loss + (source.mean(0) - target.mean(0)).square().mean()
    return loss
