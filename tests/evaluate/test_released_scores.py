"""Label-free scores are those of the released code on fixed tensors, see `released_check`."""

import pytest

from tests.adapt.released_check import wave
from vidda.evaluate.label_free_metrics import dev, soft_neighborhood_density, uniformity


def test_soft_neighborhood_density() -> None:
    # VisionLearningGroup/SND@6aae970, nc_ps/eval.py: neighbor_density of probabilities. Its 1e-5
    # inside the logarithm takes up to that for each of the 9 clips.
    logits = wave(9, 4, phase=2).detach().numpy()
    released = 0.5671745946101518
    assert released < soft_neighborhood_density(logits) < released + 9e-5


def test_dev() -> None:
    # thuml/Deep-Embedded-Validation@abf9c96, get_dev_risk, of which the score is the negative.
    weights = wave(9, phase=3).detach().square().numpy()
    errors = (wave(9, phase=4) > 0).double().numpy()
    assert dev(errors, weights) == pytest.approx(-0.45469959010659144)


def test_uniformity() -> None:
    # sleepyseal/TransferScore@8b5c521, utils.py.
    weight = wave(4, 6, phase=5).detach().numpy()
    assert uniformity(weight) == pytest.approx(0.12223937668250108, abs=1e-7)
