"""Contrastive losses: by class, between paired views, and across domains."""

import torch
from torch.nn import functional as F

from vidda.adapt.losses.full_precision import full_precision


def supervised_contrast(
    features: torch.Tensor,
    labels: torch.Tensor,
    temperature: float = 0.1,
    normalize: bool = True,
) -> torch.Tensor:
    """Return the supervised contrastive loss: clips of one label attract, others repel.

    A scalar of at least 0, the mean over the clips that share their label with
    another clip. features: (B, D). labels: (B,) int64; a label for each clip of two views gives
    NT-Xent. temperature: divides the similarities. normalize: compare directions, as the paper
    does, not products. Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, equation 2
    (L_out). The released code multiplies by temperature / 0.07 (1 at its default temperature);
    a clip that is alone with its label counts 0 in its mean (until 2023 nan). Here such a clip is
    left out, and if all are, the loss is 0.
    """
    if len(features) < 2:
        return 0 * features.sum()
    with full_precision(features):
        unit = F.normalize(features, dim=1) if normalize else features
        near = unit @ unit.T / temperature
        itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
        spread = near - near.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
        partner = (labels[:, None] == labels[None]) & ~itself
        partners = partner.sum(1)
        each = -(spread * partner).sum(1) / partners.clamp_min(1)
        return each.sum() / (partners > 0).sum().clamp_min(1)


def info_nce(first: torch.Tensor, second: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of two sets with paired rows, a scalar of at least 0.

    first, second: (B, D) features, normalized here; row i of one belongs to row i of the other, and
    the other rows are the negatives. Both directions are averaged: log B where all rows are the
    same, near 0 where only pairs agree. temperature: divides the cosines. Oord, Li and Vinyals,
    Representation Learning with Contrastive Predictive Coding, 2018, equation 4. Unlike in SimCLR's
    NT-Xent, rows of the same set are not negatives.
    """
    with full_precision(first):
        near = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
        right = torch.arange(len(first), device=first.device)
        return (F.cross_entropy(near, right) + F.cross_entropy(near.T, right)) / 2


def inter_domain_contrast(
    source: torch.Tensor,
    target: torch.Tensor,
    source_labels: torch.Tensor,
    target_labels: torch.Tensor,
    temperature: float = 0.2,
) -> torch.Tensor:
    """Return the contrastive loss across domains: clips of one class attract, others repel.

    A scalar of at least 0, the mean over the clips whose class is in the other domain too, 0 if
    there are none. source: (B, D), target: (B', D) features, normalized here; B' may be 0.
    source_labels: (B,), target_labels: (B',). temperature: divides the cosines. Each clip is
    compared with those of the other domain only. Turrisi da Costa et al., Dual-Head Contrastive
    Domain Adaptation for Video Action Recognition (CO2A), WACV 2022, the inter-domain loss, as in
    its released code.
    """
    with full_precision(source):
        near = F.normalize(source, dim=1) @ F.normalize(target, dim=1).T / temperature
        partner = source_labels[:, None] == target_labels[None]
        rows = ((near, partner), (near.T, partner.T))
        each = [-(n.log_softmax(1) * p).sum(1) / p.sum(1).clamp_min(1) for n, p in rows]
        count = (partner.sum(1) > 0).sum() + (partner.sum(0) > 0).sum()
        return torch.cat(each).sum() / count.clamp_min(1)


def head_consistency(
    source: torch.Tensor,
    target: torch.Tensor,
    source_features: torch.Tensor,
    target_features: torch.Tensor,
    threshold: float = 0.5,
) -> torch.Tensor:
    """Return the cross-entropy between similarity in logits and similarity in features, at least 0.

    It is binary and averaged over all pairs of a source and a target clip. source, target: (B, K),
    (B', K) logits, whose product is the logit of a pair being similar. source_features,
    target_features: (B, D), (B', D); a pair is similar where their cosine is above `threshold`, and
    no gradient goes through them. Turrisi da Costa et al., CO2A, WACV 2022, the consistency of its
    two heads, as in its released code.
    """
    with full_precision(source):
        cosine = F.normalize(target_features, dim=1) @ F.normalize(source_features, dim=1).T
        alike = (cosine > threshold).to(source.dtype)
        return F.binary_cross_entropy_with_logits(target @ source.T, alike)
