"""Losses that align domains are those of the released code: DANN, CORAL, DAN, MCC, information."""

import torch

from tests.adapt.released_check import fill, hold, wave
from vidda.adapt.dann import binary_discriminator, domain_logits
from vidda.adapt.losses.class_confusion import class_confusion
from vidda.adapt.losses.correlation import coral
from vidda.adapt.losses.domain import domain_loss, reversal_strength
from vidda.adapt.losses.entropy import information_maximization
from vidda.adapt.losses.mmd import mmd
from vidda.recognize.recognizer import Output


def features() -> tuple[torch.Tensor, torch.Tensor]:
    return wave(5, 4, phase=0), wave(5, 4, phase=1)


def test_dann() -> None:
    # thuml/Transfer-Learning-Library@c4aa59e, DomainAdversarialLoss at its step 500: gamma p = 0.5.
    source, target = features()
    network = binary_discriminator(4, 6)
    fill(network, 10)
    strength = reversal_strength(0.05, gamma=10)
    outputs = Output(source, source), Output(target, target)
    loss = domain_loss(*(x.double() for x in domain_logits(network, *outputs, strength)))
    norms = [0.021221654703828995, 0.02538852116084776, 0.14183459401696336]
    hold(loss, 1.174678587484306, [source, target, next(network.parameters())], norms)


def test_coral() -> None:
    # thuml/Transfer-Learning-Library@c4aa59e, CorrelationAlignmentLoss: there the covariances weigh
    # four times as much as here, and the means are always in it.
    source, target = features()
    covariances = coral(source, target)
    means = coral(source, target, means=True) - covariances
    norms = [1.0408571669676154, 0.7901988840434241]
    hold(4 * covariances + means, 1.5551486445684943, [source, target], norms)


def test_dan() -> None:
    # cmhungsteve/TA3N@2c65b5d, mmd_rbf with ver=2.
    source, target = features()
    norms = [0.2386640330080359, 0.2434032102055896]
    hold(mmd(source, target), 0.7556373413592954, [source, target], norms)


def test_mcc() -> None:
    # thuml/Transfer-Learning-Library@c4aa59e, MinimumClassConfusionLoss(2.5).
    logits = wave(6, 5, phase=2)
    hold(class_confusion(logits), 0.7513225443342021, [logits], [0.017432026440076347])


def test_information_maximization() -> None:
    # tim-learn/SHOT@f7d555a, object/image_target.py: entropy_loss with gent.
    logits = wave(6, 5, phase=2)
    hold(information_maximization(logits), -0.5110298717708686, [logits], [0.15708954870314493])
