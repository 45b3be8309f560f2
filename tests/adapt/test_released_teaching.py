"""Losses with a teacher's or pseudo-labels are those of the released code: AdaMatch, MIC, UNITE."""

import pytest
import torch

from tests.adapt.released_check import hold, wave
from vidda.adapt.losses.consistency import (
    match_or_conf,
    teacher_cross_entropy,
    weighted_cross_entropy,
)
from vidda.adapt.losses.pseudo_labels import (
    align_distribution,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from vidda.recognize.method import Supervised


def test_adamatch() -> None:
    # google-research/adamatch@7a0b40c, domain_adaptation/adamatch.py: loss_function a fifth into
    # training, without weight decay. The averages are its own, whose decays are others than here.
    together, alone = [wave(4, 3, phase=p) for p in (2, 3)], [wave(4, 3, phase=p) for p in (0, 1)]
    shares = [1 - (wave(4, 3, phase=p).detach() + 2) / 4 for p in (6, 7)]
    weak, strong = map(interpolate_logits, together, alone, shares)
    target = [wave(6, 3, phase=p) for p in (4, 5)]
    on_source, guess = weak.detach().softmax(1), target[0].detach().softmax(1)
    source_mean = 0.999 / 3 + 0.001 * on_source.mean(0)
    target_mean = (127 / 3 + guess.mean(0)) / 128
    guess = align_distribution(guess, source_mean, target_mean)
    threshold = relative_threshold(on_source)
    assert float(threshold) == pytest.approx(0.47034740344944187)
    assert (guess.max(1).values >= threshold).tolist() == [True] * 5 + [False]
    supervised, wanted = Supervised(3, 0, 0, 0), torch.eye(3)[[0, 1, 2, 0]].double()
    halves = [supervised.terms(part, wanted).losses["loss"] / 2 for part in (weak, strong)]
    loss = sum(halves) + warm_up(0.2) * pseudo_label_loss(target[1], guess, threshold)
    norms = [0.14581906432163702, 0.08304852121848812, 0.08554450022061151]
    hold(loss, 1.1919328507942344, [*together, target[1]], norms)


def test_mic() -> None:
    # lhoyer/MIC@2f932a9, cls: EMATeacher with pseudo_label_weight prob, and masking_loss_value.
    logits, teacher = wave(6, 5, phase=2), wave(6, 5, phase=3)
    loss = teacher_cross_entropy(logits, teacher)
    hold(loss, 0.6387890752397866, [logits], [0.16248332762573606])


def test_unite() -> None:
    # reddyav1/unite@b3730bc, run_stage3.py with clip_matchORconf, threshold 0.6 and the defaults of
    # configs/stage3_config.yaml. The clips are its; the label is there always the model's own.
    own, teacher = wave(8, 4, phase=3).detach(), wave(8, 4, phase=3) / 2 + wave(8, 4, phase=6)
    labels, used = match_or_conf(own, teacher.detach(), 0.6)
    assert used.tolist() == [True, True, True, False, False, True, True, False]
    predicted = own.argmax(1)
    # Only the teacher is sure of clip 1.
    assert labels[used].tolist() == [2, 1, 2, 3, 0] and predicted[used].tolist() == [2, 0, 2, 3, 0]
    masked = wave(8, 4, phase=7)
    loss = weighted_cross_entropy(masked, predicted, used * own.softmax(1).max(1).values)
    hold(loss, 1.257398963916308, [masked], [0.23230471583667617])
