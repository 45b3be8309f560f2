"""Losses of a sequential variational autoencoder with static and dynamic latents (TranSVAE)."""

import math

import torch
from torch.nn import functional as F

MARGIN = 1.0
"""Of the triplet loss, as a Euclidean distance."""


def reconstruction_error(frames: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
    """Return the squared error of reconstructed features, summed over a clip, averaged over clips.

    frames, again: (B, T, D), the features and their reconstruction. Wei et al., Unsupervised Video
    Domain Adaptation for Action Recognition: A Disentanglement Perspective (TranSVAE), NeurIPS
    2023, the likelihood in the evidence lower bound up to its constants.
    """
    return (frames - again).square().sum() / len(frames)


def gaussian_divergence(
    mean: torch.Tensor,
    log_variance: torch.Tensor,
    prior_mean: torch.Tensor,
    prior_log_variance: torch.Tensor,
) -> torch.Tensor:
    """Return KL(q || p) of diagonal Gaussians in nats, summed over a clip, averaged over clips.

    It is at least 0, and 0 where q = p. mean, log_variance: of q, (B, ...). prior_mean,
    prior_log_variance: of p, of the same shape or such that they broadcast to it. TranSVAE, the
    evidence lower bound; in closed form, Kingma and Welling, Auto-Encoding Variational Bayes, ICLR
    2014, appendix B.
    """
    apart = (mean - prior_mean).square() / prior_log_variance.exp()
    ratio = log_variance - prior_log_variance
    return 0.5 * (ratio.exp() + apart - 1 - ratio).sum() / len(mean)


def log_densities(
    sample: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor
) -> torch.Tensor:
    """Return the log-density of each clip's sample under each clip's Gaussian, (..., B, B).

    sample, mean, log_variance: (..., B, D). Row i, column j is sample i under Gaussian j, summed
    over D.
    """
    apart = (sample.unsqueeze(-2) - mean.unsqueeze(-3)).square()
    spread = log_variance.unsqueeze(-3)
    return -0.5 * (apart / spread.exp() + spread + math.log(2 * math.pi)).sum(-1)


def mutual_information(static: torch.Tensor, dynamic: torch.Tensor) -> torch.Tensor:
    """Return an estimate in nats of the mutual information of static and dynamic latents.

    static: (B, B), dynamic: (T, B, B), log-densities of each clip's latent (row) under each clip's
    posterior (column), from `log_densities`. It is 0 where they are independent. The mean over
    clips and time steps of log q(d, z) - log q(d) - log q(z), each density that of the batch's
    mixture. TranSVAE, the mutual information term. The released code divides the mixtures by the
    number of all clips besides (minibatch weighting), takes log-variances for log-deviations,
    evaluates at the means, and clips each log-ratio below 0, which at the means has no bound; the
    first of these adds only a constant.
    """
    count = math.log(len(static))
    joint, own, other = (part.logsumexp(-1) - count for part in (static + dynamic, static, dynamic))
    return (joint - own - other).mean()


def static_triplet(
    static: torch.Tensor, shuffled: torch.Tensor, other: torch.Tensor
) -> torch.Tensor:
    """Return the triplet margin loss of static latents, at least 0.

    A latent should be near to that of the same clip with shuffled frames, and far from one of the
    other domain. static: (B, D). shuffled: (B, D) of the same clips with their frames in another
    order. other: (B', D) of clips of the other domain; clip n is compared with n modulo B'.
    Euclidean distances with margin 1. TranSVAE, the contrastive triplet term, for one of the two
    domains.
    """
    far = other[torch.arange(len(static), device=other.device) % len(other)]
    return F.triplet_margin_loss(static, shuffled, far, margin=MARGIN)


def confident_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, sure: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy averaged over the clips with a confident label; 0 where there is
    none.

    logits: (B, K). labels: (B,) int64. sure: (B,) bool, which labels are confident.
    """
    each = F.cross_entropy(logits, labels, reduction="none") * sure
    return each.sum() / sure.sum().clamp_min(1)
