"""Entropy of predictions, their diversity, and information maximization."""

import torch


def entropies(logits: torch.Tensor) -> torch.Tensor:
    """Return the entropy of each prediction in nats, (B,), in [0, log K]. logits: (B, K)."""
    spread = logits.log_softmax(1)
    return -(spread.exp() * spread).sum(1)


def conditional_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return the mean entropy of the predictions in nats, in [0, log K]; 0 where all are certain.

    logits: (B, K). Grandvalet and Bengio, Semi-supervised Learning by Entropy Minimization, NIPS
    2004, equation 6.
    """
    return entropies(logits).mean()


def diversity(logits: torch.Tensor) -> torch.Tensor:
    """Return the entropy of the mean prediction in nats, in [0, log K].

    It is log K where all classes are equally frequent. logits: (B, K). A class that is never
    predicted counts exactly 0, without an epsilon in the logarithm as in SHOT's code.
    """
    mean = logits.softmax(1).mean(0)
    return torch.special.entr(mean).sum()


def information_maximization(logits: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
    """Return the conditional entropy minus `weight` times the diversity of predictions.

    It is low for confident and varied predictions. logits: (B, K). At weight 1 it is the negative
    mutual information of clip and class, in [-log K, 0]. Liang, Hu and Feng, Do We Really Need to
    Access the Source Data? (SHOT), ICML 2020, equations 3 and 4; its code adds 1e-5 inside both
    logarithms.
    """
    return conditional_entropy(logits) - weight * diversity(logits)
