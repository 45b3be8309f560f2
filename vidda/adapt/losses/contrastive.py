"""Contrastive losses: supervised contrast and noise-contrastive pairs."""

import torch
from torch.nn import functional as F

from vidda.adapt.losses.full_precision import full_precision


def supervised_contrast(
    features: torch.Tensor,
    labels: torch.Tensor,
    temperature: float = 0.1,
    normalize: bool = True,
) -> torch.Tensor:
    """Return clips of one class are near, others far: the mean over clips that have a partner.

    features: (B, D). labels: (B,); one label for each clip of two views gives NT-Xent. normalize:
    compare directions, as the paper does, not products. Khosla et al., Supervised Contrastive
    Learning, NeurIPS 2020, equation 2 (L_out). The released code multiplies by temperature /
    0.07 and takes a clip without a partner as nan; here such a clip is left out, and with none at
    all the loss is 0.
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


def pair_contrast(
    first: torch.Tensor, second: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """Row i of one set belongs to row i of the other: InfoNCE, both ways averaged.

    first, second: (B, D), normalized here. log B where all rows are the same, near 0 where pairs
    alone agree. Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding,
    2018, equation 4, with the other rows as the noise. Unlike SimCLR's NT-Xent, rows of the same
    set are no negatives.
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
    """Return clips of one class are near across the domains: the mean over clips that have a
    partner.

    source: (B, D), target: (B', D), normalized here; B' may be 0. *_labels: (B,) and (B',). Each
    clip is compared with those of the other domain alone. Turrisi da Costa et al., Dual-Head
    Contrastive Domain Adaptation for Video Action Recognition (CO2A), WACV 2022, the inter-domain
    loss, as in its released code.
    """
    with full_precision(source):
        near = F.normalize(source, dim=1) @ F.normalize(target, dim=1).T / temperature
        partner = source_labels[:, None] == target_labels[None]
        rows = ((near, partner), (near.T, partner.T))
        each = [-(n.log_softmax(1) * p).sum(1) / p.sum(1).clamp_min(1) for n, p in rows]
        count = (partner.sum(1) > 0).sum() + (partner.sum(0) > 0).sum()
        return torch.cat(each).sum() / count.clamp_min(1)


def pairing_agreement(
    source: torch.Tensor,
    target: torch.Tensor,
    source_features: torch.Tensor,
    target_features: torch.Tensor,
    threshold: float = 0.5,
) -> torch.Tensor:
    """Return two clips' logits agree where their features do: binary cross-entropy over all pairs.

    source, target: (B, K), (B', K) logits, whose product is the logit of a pair being alike.
    *_features: (B, D), (B', D); a pair is alike where their cosine is above `threshold`, and no
    gradient goes that way. CO2A, the consistency of its two heads, as in its released code.
    """
    with full_precision(source):
        cosine = F.normalize(target_features, dim=1) @ F.normalize(source_features, dim=1).T
        alike = (cosine > threshold).to(source.dtype)
        return F.binary_cross_entropy_with_logits(target @ source.T, alike)
