"""Frozen parameters, and the statistics of their layers."""

import torch
from torch import nn

from vidda.recognize.freezing import freeze, set_training_mode


def test_frozen_batch_normalization_keeps_its_statistics() -> None:
    frozen, trained = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    model = nn.Sequential()
    model.add_module("trunk", nn.Sequential(nn.Linear(3, 3), frozen, nn.Dropout(0.5)))
    model.add_module("head", trained)
    freeze(model, ["trunk.*"])
    set_training_mode(model)
    for _ in range(3):
        model(torch.randn(8, 3) + 5)
    assert torch.equal(frozen.running_mean, torch.zeros(3))
    assert (trained.running_mean != 0).any()
    assert model.training and model.trunk[2].training  # type: ignore[union-attr, index]
