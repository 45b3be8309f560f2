"""Maximum mean discrepancy with several kernels (DAN)."""

from collections.abc import Sequence

import torch

from vidda.adapt.losses.full_precision import full_precision

OCTAVES = (-2, -1, 0, 1, 2)
"""Exponents i of the kernels' bandwidths 2^i m."""


def mmd(
    source: torch.Tensor, target: torch.Tensor, octaves: Sequence[int] = OCTAVES
) -> torch.Tensor:
    """Return the squared maximum mean discrepancy under a sum of RBF kernels, at least 0.

    It is 0 for equal sets. source: (B, D), target: (B', D) features. octaves: exponents i of the
    kernels. Kernel i is exp(-|x - y|^2 / (2^i m)), with m the mean squared distance of different
    clips of both sets, through which no gradient goes. Long et al., Learning Transferable Features
    with Deep Adaptation Networks, ICML 2015, equation 2; the kernels weigh the same, as in all
    released code, where the paper learns their weights.

    This is the biased estimate, in which a clip is compared with itself too, as in TA3N's code.
    TLlib's default is an estimate in linear time. Its `--non-linear` leaves those pairs out and
    adds 2 / (B - 1) to stay positive; its kernels are the same except for m, in whose mean the
    zeros of the diagonal count.
    """
    with full_precision(source):
        both = torch.cat([source, target])
        # Not cdist, whose gradient at distance 0 needs care.
        squares = (both[:, None] - both[None]).square().sum(2)
        count = len(both)
        mean = squares.detach().sum() / (count * (count - 1))
        scales = [mean * 2.0**octave for octave in octaves]
        # Clips that are all the same have mean 0: any kernel is 1 between them.
        tiny = torch.finfo(squares.dtype).tiny
        kernel = torch.stack([(-squares / scale.clamp_min(tiny)).exp() for scale in scales]).sum(0)
    split = len(source)
    within = kernel[:split, :split].mean() + kernel[split:, split:].mean()
    return within - 2 * kernel[:split, split:].mean()
