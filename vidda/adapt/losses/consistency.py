"""Consistency losses: of the features of two views, and of predictions with a teacher's."""

import torch
from torch.nn import functional as F

from vidda.adapt.losses.full_precision import full_precision


def barlow_twins(
    first: torch.Tensor, second: torch.Tensor, off_diagonal: float = 5e-3
) -> torch.Tensor:
    """Return the distance of two views' cross-correlation from the identity, a scalar of at least
    0.

    It is 0 where each feature agrees between the views and correlates with no other. first, second:
    (B, D) features, B at least 2; standardized over the batch (biased deviation and epsilon 1e-5,
    as batch norm does). off_diagonal: weight of the correlations of different features. Zbontar et
    al., Barlow Twins, ICML 2021, equation 1, whose 5e-3 is the default here. The released code
    has 0.0051; its first version had 3.9e-3 and multiplied the whole by 1/32 (0.0051 and 0.024 in
    its command).
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
    """Return 1 minus the cosine of two sets of features, averaged over clips, in [0, 2].

    first, second: (B, D), of clips and of their translations. Azuma et al., ZoDi: Zero-Shot Domain
    Adaptation with Diffusion-Based Image Transfer, arXiv 2403.13652: the similarity of features of
    an image and of its translation is maximized. As in the released code's default the pooled
    features themselves are compared, and the gradient goes through both; a projector and a
    predictor after SimSiam are an option there.
    """
    return 1 - F.cosine_similarity(first, second, dim=1).mean()


def teacher_cross_entropy(
    logits: torch.Tensor, teacher: torch.Tensor, threshold: float | None = None
) -> torch.Tensor:
    """Return the cross-entropy with a teacher's most likely classes, weighted by its confidence.

    logits: (B, K) of the student. teacher: (B, K) logits of the teacher, through which no gradient
    goes. threshold: None weighs each clip by the teacher's confidence in it; a number in (0, 1)
    weighs all clips alike, by the share of the batch with a confidence above it. Hoyer et al., MIC:
    Masked Image Consistency for Context-Enhanced Domain Adaptation, CVPR 2023, section 3.2: the
    share, with threshold 0.968, for segmentation; the confidence itself for classification, as in
    the released code (`pseudo_label_weight` prob), there in the first of its optimizer's two passes
    alone.
    """
    confidence, labels = teacher.detach().softmax(1).max(1)
    if threshold is not None:
        confidence = (confidence > threshold).to(logits.dtype).mean()
    return (confidence * F.cross_entropy(logits, labels, reduction="none")).mean()


def jensen_shannon(logits: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the mean Jensen-Shannon divergence of two predictions in nats, in [0, log 2].

    logits, other: (B, K); 0 where they agree. The gradient goes through both.
    """
    one, two = logits.log_softmax(1), other.log_softmax(1)
    middle = torch.logaddexp(one, two) - torch.log(torch.tensor(2.0, dtype=one.dtype))
    halves = [(side.exp() * (side - middle)).sum(1) for side in (one, two)]
    return (halves[0] + halves[1]).mean() / 2


def match_or_conf(
    own: torch.Tensor, teacher: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pseudo-labels from a model and its teacher, (B,) int64, and which to use, (B,) bool.

    own, teacher: (B, K) logits of the model and of the teacher. threshold: confidence in [0, 1). A
    label is used where both predict the same class, or where exactly one of the two is confident
    (at least `threshold`); its class is then the label. Reddy et al., Unsupervised Video Domain
    Adaptation with Masked Pre-Training and Collaborative Self-Training (UNITE), CVPR 2024,
    MatchOrConf. In the released training the chosen clips always get the model's own label, as a
    line overwrites the more confident one; its function of that name, which is never called, also
    requires a label on which both agree to be confident.
    """
    mine, theirs = own.softmax(1).max(1), teacher.softmax(1).max(1)
    surely, they_surely = mine.values >= threshold, theirs.values >= threshold
    labels = torch.where(surely, mine.indices, theirs.indices)
    return labels, (mine.indices == theirs.indices) | (surely ^ they_surely)


def weighted_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy of each clip times its weight, averaged over all clips.

    logits: (B, K). labels: (B,) int64. weight: (B,), 0 for a clip without a label.
    """
    return (F.cross_entropy(logits, labels, reduction="none") * weight).mean()
