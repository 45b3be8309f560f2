"""Heads that predict attributes: the best extractor, honest tests, none from too few clips."""

import numpy as np
import pytest

from vidda.gap import attribute_heads
from vidda.gap.attribute_heads import class_head, head_classes, number_head

RNG = np.random.default_rng(0)
SOURCE, TARGET = RNG.normal(size=(120, 6)), RNG.normal(0.5, 1, (40, 6))
NOISE = RNG.normal(size=(120, 6)), RNG.normal(size=(40, 6))
EXTRACTORS = {"noise": NOISE, "own": (SOURCE, TARGET)}
WEIGHTS = np.arange(6.0)


def test_the_extractor_that_knows_an_attribute_predicts_it() -> None:
    truth, unknown = SOURCE @ WEIGHTS + 3, np.full(40, np.nan)
    head = number_head("box_area", EXTRACTORS, truth, unknown, 5, 0)
    assert head is not None and head.features == "own" and head.score > 0.99
    assert head.on_target is None and head.target == pytest.approx(TARGET @ WEIGHTS + 3, abs=0.1)
    truth[::3] = np.nan
    known = np.where(np.arange(40) < 20, TARGET @ WEIGHTS + 3, np.nan)
    head = number_head("box_area", EXTRACTORS, truth, known, 5, 0)
    assert head is not None and head.on_target is not None and head.on_target > 0.99
    assert len(head.source) == 80


def test_what_no_feature_knows_scores_near_nothing() -> None:
    head = number_head("box_area", EXTRACTORS, RNG.normal(size=120), np.full(40, np.nan), 5, 0)
    assert head is not None and head.score < 0.1
    names = RNG.choice([*"ab"], 120).tolist()
    kind = class_head("scene", EXTRACTORS, names, [""] * 40, 5, 0)
    assert kind.score < 0.7 and kind.on_target is None


def test_classes_are_predicted_by_name() -> None:
    names = np.array([*"zab"])[(SOURCE[:, :1] > [[-0.5, 0.5]]).sum(1)].tolist()
    target = np.array([*"zab"])[(TARGET[:, :1] > [[-0.5, 0.5]]).sum(1)]
    head = class_head(
        "scene", EXTRACTORS, names, np.where(target == "a", "", target).tolist(), 5, 0
    )
    assert head.classes == ("a", "b", "z") and head.features == "own"
    assert head.chance < 0.6 < 0.8 < head.score
    said = np.array(head.classes)[head.target]
    assert head.on_target == pytest.approx((said == target)[target != "a"].mean())


def test_too_few_clips_and_constants_have_no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = np.full(40, np.nan)
    few = np.where(np.arange(120) < 19, SOURCE[:, 0], np.nan)
    assert number_head("x", EXTRACTORS, few, unknown, 5, 0) is None
    assert number_head("x", EXTRACTORS, np.ones(120), unknown, 5, 0) is None
    assert number_head("x", {}, SOURCE[:, 0], unknown, 5, 0) is None
    assert not len(head_classes(["a"] * 116 + ["b"] * 4, 5))
    assert not len(head_classes(["a"] * 9 + ["b"] * 9, 5)) and not len(head_classes([""] * 50, 5))
    assert head_classes(["b"] * 9 + ["a"] * 11 + ["c", ""], 5).tolist() == ["a", "b"]
    monkeypatch.setattr(attribute_heads, "MOST", 50)
    head = number_head("x", EXTRACTORS, SOURCE[:, 0], unknown, 5, 0)
    assert head is not None and len(head.source) == 50
