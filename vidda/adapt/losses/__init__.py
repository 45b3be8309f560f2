"""Losses of adaptation methods and their building blocks: pure functions of tensors."""

from vidda.adapt.losses.class_confusion import class_confusion
from vidda.adapt.losses.consistency import (
    barlow_twins,
    feature_distance,
    jensen_shannon,
    match_or_conf,
    teacher_cross_entropy,
    weighted_cross_entropy,
)
from vidda.adapt.losses.contrastive import (
    head_consistency,
    info_nce,
    inter_domain_contrast,
    supervised_contrast,
)
from vidda.adapt.losses.correlation import coral, covariance
from vidda.adapt.losses.domain import (
    domain_accuracy,
    domain_loss,
    reversal_strength,
    reverse_gradient,
)
from vidda.adapt.losses.entropy import (
    conditional_entropy,
    diversity,
    entropies,
    information_maximization,
)
from vidda.adapt.losses.feature_statistics import (
    clip_statistics,
    moving_average,
    statistics_distance,
    view_distance,
)
from vidda.adapt.losses.mmd import mmd
from vidda.adapt.losses.pseudo_labels import (
    align_distribution,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from vidda.adapt.losses.temporal_attention import (
    attentive_entropy,
    domain_attention,
    select_relations,
    two_way_domain_accuracy,
    two_way_domain_loss,
)
from vidda.adapt.losses.temporal_consistency import cluster_labels, scale_consistency
from vidda.adapt.losses.variational import (
    confident_cross_entropy,
    gaussian_divergence,
    log_densities,
    mutual_information,
    reconstruction_error,
    static_triplet,
)

__all__ = [
    "align_distribution",
    "attentive_entropy",
    "barlow_twins",
    "class_confusion",
    "clip_statistics",
    "cluster_labels",
    "conditional_entropy",
    "confident_cross_entropy",
    "coral",
    "covariance",
    "diversity",
    "domain_accuracy",
    "domain_attention",
    "domain_loss",
    "entropies",
    "feature_distance",
    "gaussian_divergence",
    "head_consistency",
    "info_nce",
    "information_maximization",
    "inter_domain_contrast",
    "interpolate_logits",
    "jensen_shannon",
    "log_densities",
    "match_or_conf",
    "mmd",
    "moving_average",
    "mutual_information",
    "pseudo_label_loss",
    "reconstruction_error",
    "relative_threshold",
    "reversal_strength",
    "reverse_gradient",
    "scale_consistency",
    "select_relations",
    "static_triplet",
    "statistics_distance",
    "supervised_contrast",
    "teacher_cross_entropy",
    "two_way_domain_accuracy",
    "two_way_domain_loss",
    "view_distance",
    "warm_up",
    "weighted_cross_entropy",
]
