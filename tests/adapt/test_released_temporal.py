"""Losses over time are those of the released code: TA3N, ATCoN, TranSVAE, ViTTA."""

import math

import pytest
import torch
from torch import nn

from tests.adapt.released_check import fill, hold, wave
from vidda.adapt.losses.consistency import barlow_twins
from vidda.adapt.losses.entropy import information_maximization
from vidda.adapt.losses.feature_statistics import (
    clip_statistics,
    moving_average,
    statistics_distance,
    view_distance,
)
from vidda.adapt.losses.temporal_attention import attentive_entropy
from vidda.adapt.losses.temporal_consistency import cluster_labels, scale_consistency
from vidda.adapt.losses.variational import (
    confident_cross_entropy,
    gaussian_divergence,
    log_densities,
    mutual_information,
    reconstruction_error,
    static_triplet,
)
from vidda.adapt.temporal_relations import TemporalRelations, branch_domain_loss


def test_ta3n() -> None:
    # cmhungsteve/TA3N@2c65b5d: loss.py, TRNmodule.py, models.py with TransAttn and beta 0.75, and
    # the adversarial loss of main.py, on four source and two target clips.
    logits, domains = wave(6, 5, phase=2), wave(6, 2, phase=3)
    norms = [0.18719118026985687, 0.07600127664543214]
    hold(attentive_entropy(logits, domains), 1.5575569100241033, [logits, domains], norms)
    relations = TemporalRelations(4, 3, 5)
    fill(relations, 30)
    frames = wave(6, 4, 3, phase=4)
    found = relations(frames, 0.75)
    hold(found.video.square().sum(), 4368.634610900596, [frames], [1677.4353075435881])
    loss = branch_domain_loss(found.domains, 4)
    hold(loss, 1.3680224245245052, [frames], [0.32783091715156937])


def test_atcon() -> None:
    # xuyu0010/ATCoN@660e208, train/metric.py and train/target_model.py.
    scales, whole = [wave(5, 4, phase=p) for p in (0, 1, 2)], wave(5, 4, phase=3)
    # weighted_consistency_loss of type mse-kl, with k_mom=2; its default of 1 has no gradient to
    # the whole clip, and is the loss without the squared distance.
    norms = [1.5307867759636993, 0.4387926415199607, 1.149886683706845, 0.21799839998873405]
    loss = scale_consistency(scales, whole)
    hold(loss, 6.488867401311694, [*scales, whole], norms)
    average = torch.stack([scale.softmax(1) for scale in scales]).mean(0)
    squares = (whole.softmax(1) - average).square().sum(1).mean()
    assert float((loss - 2 * squares).detach()) == pytest.approx(5.758529913503087)
    # compute_ssrl_loss, which does not standardize, on standardized features.
    features = [wave(6, 4, phase=p) for p in (0, 1, 2)]
    pairs = [
        barlow_twins(features[i], features[j], 3.9e-3) / 2 for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    norms = [0.5819105467976652, 0.13601853641172748, 0.6490428996796687]
    hold(torch.stack(pairs).mean(), 1.79876096016521, features, norms)
    logits = wave(6, 5, phase=2)
    hold(
        0.5 * information_maximization(logits),
        -0.2555149358854343,
        [logits],
        [0.07854477435157246],
    )
    # store_label_mem, where each class is predicted for a clip.
    labels = cluster_labels(wave(12, 4, phase=2).detach(), wave(12, 3, phase=5).detach())
    assert labels.tolist() == [1, 1, 1, 2, 1, 2, 0, 0, 1, 0, 1, 0]


def test_transvae() -> None:
    # ldkong1205/TranSVAE@5879721, exp/utils.py and exp/train_hmdb_ucf.py.
    frames, again = wave(6, 4, 5, phase=0), wave(6, 4, 5, phase=1)
    norms = [4.741845916877009, 4.741845916877009]
    hold(reconstruction_error(frames, again), 33.727654049104736, [frames, again], norms)
    static = wave(6, 3, phase=2), wave(6, 3, phase=3)
    zero = torch.zeros(6, 3, dtype=torch.float64)
    norms = [0.9307441805378782, 0.9283274061860485]
    hold(gaussian_divergence(*static, zero, zero), 4.5342262098184944, static, norms)
    dynamic = wave(6, 4, 3, phase=4), wave(6, 4, 3, phase=5)
    four = [*dynamic, wave(6, 4, 3, phase=6), wave(6, 4, 3, phase=7)]
    norms = [11.591419099052109, 7.004040422660614, 11.591419099052109, 21.909497741455123]
    hold(gaussian_divergence(*four), 103.0916304714601, four, norms)
    # Given log-deviations, where its training gives log-variances, and a set of 10^6 clips, whose
    # logarithm it adds; with that it clips no ratio at 0.
    sampled = wave(6, 3, phase=8), wave(6, 4, 3, phase=9)
    of_dynamic = log_densities(*(x.transpose(0, 1) for x in (sampled[1], *dynamic)))
    information = mutual_information(log_densities(sampled[0], *static), of_dynamic)
    norms = [0.7502533600408564, 0.7833347852499343, 0.5467500716401325]
    norms += [0.8873203962125671, 0.7453377434330656, 0.7807495233864638]
    inputs = [sampled[0], *static, sampled[1], *dynamic]
    hold(information + math.log(10**6), 11.550889370750312, inputs, norms)
    mean, near, far = static[0], wave(6, 3, phase=10), wave(6, 3, phase=11)
    triplets = static_triplet(mean[:3], near[:3], far[3:]) + static_triplet(
        mean[3:], near[3:], far[:3]
    )
    norms = [0.6977155541615957, 0.7453559924999298, 0.7453559924999298]
    hold(triplets, 3.1444944404167936, [mean, near, far], norms)
    logits = wave(12, 3, phase=4)
    confidence, labels = logits[4:].detach().softmax(1).max(1)
    pseudo = confident_cross_entropy(logits[4:], labels, confidence > 0.8)
    hold(pseudo, 0.1884311392656216, [logits], [0.1597641219107693])


def test_vitta() -> None:
    # wlin-at/ViTTA@c8e01fa: compute_pred_consis, and CombineNormStatsRegHook_onereg (l1_loss,
    # spatiotemp, momentum 0.1) on two clips' outputs one after the other; its averages begin at 0.
    views = wave(1, 2, 5, phase=2)
    hold(
        view_distance(views[:, 0], views[:, 1]), 0.6007873984795817, [views], [0.28055014449301835]
    )
    norm = nn.BatchNorm3d(3)
    fill(norm, 40)
    norm.eval()
    source = wave(3, phase=12).detach(), wave(3, phase=13).detach().square()
    first, second = wave(2, 3, 2, 4, 5, phase=14), wave(2, 3, 2, 4, 5, phase=15)
    averages = [torch.zeros(3, dtype=torch.float64)] * 2
    distances = []
    for maps in (first, second):
        current = clip_statistics(norm(maps), 1, 1)
        averages = [moving_average(old, new[0]) for old, new in zip(averages, current, strict=True)]
        distances.append(statistics_distance(averages[:1], averages[1:], source[:1], source[1:]))
    assert float(distances[0].detach()) == pytest.approx(3.295635309022278)
    hold(distances[1], 3.3395861545915584, [second], [0.0137389380605529])
