"""The pieces of a sequential variational autoencoder with static and dynamic latents (TranSVAE)."""

import math

import torch
from torch.nn import functional as F

MARGIN = 1.0


def rebuilt(frames: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
    """Return the squared error of a clip's rebuilt frames, summed over them; 0 where they are the
    same.

    frames, again: (B, T, D). Wei et al., Unsupervised Video Domain Adaptation for Action
    Recognition: A Disentanglement Perspective (TranSVAE), NeurIPS 2023, the likelihood in the
    evidence bound up to its constants, averaged over the clips.
    """
    return (frames - again).square().sum() / len(frames)


def gaussian_divergence(
    mean: torch.Tensor,
    log_variance: torch.Tensor,
    prior_mean: torch.Tensor,
    prior_log_variance: torch.Tensor,
) -> torch.Tensor:
    """KL(q || p) of diagonal Gaussians, summed over a clip, averaged over clips; 0 where q = p.

    All of one shape (B, ...), or such that they broadcast to that of mean. TranSVAE, the evidence
    bound; in closed form, Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014, appendix
    B.
    """
    apart = (mean - prior_mean).square() / prior_log_variance.exp()
    ratio = log_variance - prior_log_variance
    return 0.5 * (ratio.exp() + apart - 1 - ratio).sum() / len(mean)


def log_densities(
    sample: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor
) -> torch.Tensor:
    """How likely each clip's sample is under each clip's Gaussian, (..., B, B) logarithms.

    All (..., B, D); row i, column j is sample i under Gaussian j, summed over D.
    """
    apart = (sample.unsqueeze(-2) - mean.unsqueeze(-3)).square()
    spread = log_variance.unsqueeze(-3)
    return -0.5 * (apart / spread.exp() + spread + math.log(2 * math.pi)).sum(-1)


def mutual_information(static: torch.Tensor, dynamic: torch.Tensor) -> torch.Tensor:
    """Return how much static and dynamic latents tell of each other, in nats; 0 where nothing.

    static: (B, B), dynamic: (T, B, B), see `log_densities`. The mean over clips and moments of log
    q(d, z) - log q(d) - log q(z), each density that of the batch's mixture. TranSVAE, the mutual
    information term. The released code divides the mixtures by the number of all clips besides
    (minibatch weighting), takes log-variances for log-deviations, looks at the means, and
    cuts each log-ratio off below 0, which at the means has no bound; of the first remains a
    constant.
    """
    count = math.log(len(static))
    joint, own, other = (part.logsumexp(-1) - count for part in (static + dynamic, static, dynamic))
    return (joint - own - other).mean()


def static_triplet(
    static: torch.Tensor, shuffled: torch.Tensor, other: torch.Tensor
) -> torch.Tensor:
    """Return the static latent is the same whatever the order of frames, and another in another
    domain.

    static: (B, D). shuffled: (B, D) of the same clips with their frames in another order. other:
    (B', D) of clips of the other domain; clip n is compared with n modulo B'. Euclidean distances
    with margin 1. TranSVAE, the contrastive triplet term, for one of the two domains.
    """
    far = other[torch.arange(len(static), device=other.device) % len(other)]
    return F.triplet_margin_loss(static, shuffled, far, margin=MARGIN)


def sure_label_loss(logits: torch.Tensor, labels: torch.Tensor, sure: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy over the clips that have a label; 0 where none has.

    logits: (B, K). labels: (B,). sure: (B,) bool.
    """
    each = F.cross_entropy(logits, labels, reduction="none") * sure
    return each.sum() / sure.sum().clamp_min(1)
