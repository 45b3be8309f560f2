"""Detectors of transformers: against the library as its documentation uses it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from tests.clips import moving
from tests.tiny_transformers import write_detector
from vidda.control.detr import DetrConfig
from vidda.control.keypoints import NobodyError
from vidda.errors import ViddaError
from vidda.types import ClipRecord
from vidda.weights import Folder

CLIP = ClipRecord("one", "one.mp4", 0, "real", "ground")
FRAMES = np.concatenate([moving(2, 45, 61), moving(3, 45, 61, seed=1)])
KINDS = ("rt_detr_v2", "d_fine", "yolos")


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp(request.param), request.param)


def config_of(folder: Path, **keys: Any) -> DetrConfig:
    return DetrConfig(weights=Folder(path=folder), device="cpu", **keys)


def theirs(folder: Path, threshold: float) -> list[tuple[torch.Tensor, list[Any]]]:
    """The input of each frame, and the people found in it, the surest first."""
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    results = []
    for frame in FRAMES:
        inputs = processor(images=Image.fromarray(frame), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        (found,) = processor.post_process_object_detection(
            outputs, threshold=threshold, target_sizes=[FRAMES.shape[1:3]]
        )
        people = [
            (score.item(), box.numpy())
            for score, label, box in zip(
                *(found[k] for k in ("scores", "labels", "boxes")), strict=True
            )
            if label == 1 and (box[2:] > box[:2]).all()
        ]
        people.sort(key=lambda one: -one[0])
        results.append((inputs["pixel_values"][0], people))
    return results


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_boxes_and_inputs_are_those_of_the_library(folder: Path, batch: int) -> None:
    wanted = theirs(folder, 0.6)
    source = config_of(folder, threshold=0.6, people=3, batch=batch).build()
    seen: list[torch.Tensor] = []
    source._loaded.model.register_forward_pre_hook(
        lambda _, args, inputs: seen.append(inputs["pixel_values"]), with_kwargs=True
    )
    boxes = source.find(FRAMES, CLIP, Path(), None)
    assert torch.equal(torch.cat(seen), torch.stack([inputs for inputs, _ in wanted]))
    assert boxes.shape == (5, min(3, max(len(people) for _, people in wanted)), 4)
    assert boxes.dtype == np.float32
    for found, (_, people) in zip(boxes, wanted, strict=True):
        best = [box for _, box in people[: len(found)]]
        np.testing.assert_allclose(
            found[: len(best)].reshape(-1, 4), np.reshape(best, (-1, 4)), atol=1e-3
        )
        assert np.isnan(found[len(best) :]).all()
    assert np.isfinite(boxes).all(axis=2).sum() > 3


def test_nobody_is_found(folder: Path) -> None:
    with pytest.raises(NobodyError) as error:
        config_of(folder, threshold=0.999).build().find(FRAMES, CLIP, Path(), None)
    assert str(error.value) == (
        f"clip 'one': {folder} finds no person with a score of 0.999 in 5 frames; lower"
        " pose.boxes.threshold, or choose another pose.boxes.name"
    )


def test_a_detector_without_people_is_refused(tmp_path: Path) -> None:
    labels = {"id2label": {0: "page", 1: "table"}, "label2id": {"page": 0, "table": 1}}
    with pytest.raises(ViddaError) as error:
        config_of(write_detector(tmp_path, names=labels)).build()
    assert str(error.value) == (
        f"{tmp_path}: no class 'person' among its 2 (page, table); name a model that knows a person"
    )
