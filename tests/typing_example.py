"""A program as a user writes it, for a type checker: every public part, and the types it gives."""

from typing import assert_type

import numpy as np
import torch
from torch.utils.data import DataLoader

import vidda
from vidda.data import Clip, ClipDataset, TransformConfig, UniformSampling
from vidda.evaluate import Interval, McNemar
from vidda.recognize import ClipPredictions, Predictor
from vidda.translate import ClipTranslator


def recognize(run: str) -> None:
    predictor = vidda.recognize.load(run, device="cpu", crops=3)
    assert_type(predictor, Predictor)
    found = predictor.predict([vidda.video.read("clip.mp4"), "other.mp4"])
    assert_type(found, ClipPredictions)
    assert_type(found.names, tuple[str, ...])


def translate(config: str) -> None:
    translator = vidda.translate.load(config, overrides=["backbone.sampling.steps=4"])
    assert_type(translator, ClipTranslator)
    controls = translator.controls_of("clip.mp4")
    result = translator.translate("clip.mp4", prompt="a person", controls=controls, seed=1)
    vidda.video.write("out.mp4", result, fps=vidda.video.probe("clip.mp4").fps)


def train() -> None:
    assert_type(vidda.load_manifest("manifest.csv"), vidda.Manifest)
    shift = vidda.load_shift("prepared", "gs2gr", "adapted")
    assert_type(shift, vidda.Shift)
    clips = ClipDataset(shift.source, UniformSampling(frames=8), TransformConfig(size=32))
    loader: DataLoader[Clip] = DataLoader(clips, batch_size=4)
    for batch in loader:
        assert_type(vidda.adapt.losses.mmd(batch.video, batch.video), torch.Tensor)


def evaluate(logits: np.ndarray, labels: np.ndarray) -> None:
    assert_type(vidda.evaluate.accuracy(logits, labels), float)
    right = vidda.evaluate.is_correct(logits, labels)
    assert_type(vidda.evaluate.mcnemar(right, right), McNemar)
    assert_type(vidda.evaluate.intervals.wilson(0.5, 10), Interval)
    assert_type(vidda.evaluate.scores.entropy(logits), float)
