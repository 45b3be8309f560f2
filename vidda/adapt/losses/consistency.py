"""Two views of a clip agree: in their features, or in what a teacher says of the clip."""

import torch
from torch.nn import functional as F

from vidda.adapt.losses.full_precision import full_precision


def barlow(first: torch.Tensor, second: torch.Tensor, off_diagonal: float = 5e-3) -> torch.Tensor:
    """Return the cross-correlation of two views is the identity: each feature agrees, none repeats.

    first, second: (B, D), two clips or more. Standardized over the batch (biased deviation, as
    batch norm without weights does, with the same epsilon 1e-5). Zbontar et al., Barlow Twins, ICML
    2021, equation 1; the released code multiplies the whole by 0.024 or 1/32 besides.
    """
    with full_precision(first):
        one, other = (_standardized(view) for view in (first, second))
        correlation = one.T @ other / len(first)
        diagonal = correlation.diagonal()
        # What lies off the diagonal, without a difference of two large sums.
        others = correlation - torch.diag(diagonal)
        return (diagonal - 1).square().sum() + off_diagonal * others.square().sum()


def _standardized(view: torch.Tensor) -> torch.Tensor:
    centered = view - view.mean(0)
    return centered / (centered.square().mean(0) + 1e-5).sqrt()


def feature_distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return one less the cosine of the features, averaged; 0 for the same direction, at most 2.

    first, second: (B, D), of clips and of their translations. Azuma et al., ZoDi: Zero-Shot Domain
    Adaptation with Diffusion-Based Image Transfer, arXiv 2403.13652: the similarity of features of
    an image and of its translation is maximized. The released code does it as SimSiam does, with a
    projector, a predictor and a stopped gradient; here the features themselves are compared and the
    gradient goes through both.
    """
    return 1 - F.cosine_similarity(first, second, dim=1).mean()


def taught(
    logits: torch.Tensor, teacher: torch.Tensor, threshold: float | None = None
) -> torch.Tensor:
    """Return cross-entropy with the teacher's labels, each weighing as much as the teacher is sure
    of it.

    logits: (B, K) of the student. teacher: (B, K) logits, through which no gradient goes.
    threshold: instead, all clips weigh the share of the batch of which the teacher is surer than
    this. Hoyer et al., MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation, CVPR
    2023, section 3.2: the share, with threshold 0.968, for segmentation; the confidence itself for
    classification, as the released code has it (`pseudo_label_weight` prob).
    """
    confidence, labels = teacher.detach().softmax(1).max(1)
    if threshold is not None:
        confidence = (confidence > threshold).to(logits.dtype).mean()
    return (confidence * F.cross_entropy(logits, labels, reduction="none")).mean()


def soft_agreement(logits: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the mean Jensen-Shannon divergence of two predictions, 0 where they agree, at most log
    2.

    logits, other: (B, K); the gradient goes through both.
    """
    one, two = logits.log_softmax(1), other.log_softmax(1)
    middle = torch.logaddexp(one, two) - torch.log(torch.tensor(2.0, dtype=one.dtype))
    halves = [(side.exp() * (side - middle)).sum(1) for side in (one, two)]
    return (halves[0] + halves[1]).mean() / 2


def agreed_labels(
    own: torch.Tensor, teacher: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels of two judges, (B,) int64, and where there is one, (B,) bool.

    own, teacher: (B, K) logits. Where both say the same, that; else what the one says whose
    confidence is `threshold` or more, if it is one alone. Reddy et al., Unsupervised Video Domain
    Adaptation with Masked Pre-Training and Collaborative Self-Training (UNITE), CVPR 2024,
    MatchOrConf. In the released training the chosen clips get the model's own label always, as a
    line overwrites the surer one's; its function of that name, which nothing calls, wants a label
    that both give to be sure as well.
    """
    mine, theirs = own.softmax(1).max(1), teacher.softmax(1).max(1)
    surely, they_surely = mine.values >= threshold, theirs.values >= threshold
    labels = torch.where(surely, mine.indices, theirs.indices)
    return labels, (mine.indices == theirs.indices) | (surely ^ they_surely)


def labeled_loss(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy of each clip with its label times its weight, averaged over all clips.

    logits: (B, K). labels: (B,). weight: (B,), 0 for a clip without a label.
    """
    return (F.cross_entropy(logits, labels, reduction="none") * weight).mean()
