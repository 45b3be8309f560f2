"""Where the people are: whole frame, manifest columns, a detector."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from tests.sidecars import rendered, write_clip
from vidda.control.boxes import DetectorConfig, ManifestBox, WholeFrame
from vidda.errors import ViddaError
from vidda.types import ClipRecord

RECORD = ClipRecord("one", "syn/ground/one.mp4", 0, "synthetic", "ground")


def test_the_whole_frame_is_one_persons_box() -> None:
    boxes = WholeFrame().build().find(np.zeros((3, 48, 64, 3), np.uint8), RECORD, Path(), None)
    np.testing.assert_array_equal(boxes, [[[0, 0, 64, 48]]] * 3)


def test_manifest_columns_hold_a_box_in_pixels_of_the_clip(tmp_path: Path) -> None:
    path = write_clip(tmp_path, rendered()).path
    columns = {"box_x0": "8", "box_y0": "4.5", "box_x1": "40", "box_y1": "60"}
    clip = ClipRecord("one", path, 0, "real", "air", meta=columns)
    found = ManifestBox().build().find(np.zeros((2, 128, 32, 3), np.uint8), clip, tmp_path, None)
    np.testing.assert_array_equal(found, [[[4, 9, 20, 120]]] * 2)
    for bad in ({"box_x0": "left"}, {"box_x1": "8"}, {"box_y1": ""}):
        clip = ClipRecord("one", path, 0, "real", "air", meta={**columns, **bad})
        with pytest.raises(ViddaError, match="clip 'one': no box in its manifest columns"):
            ManifestBox().find(np.zeros((2, 64, 64, 3), np.uint8), clip, tmp_path, None)


def test_a_detectors_people_are_its_surest_ones_in_every_frame(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None).eval()
    for layers in theirs.head.classification_head.module_list:
        layers[-1].bias.data[1::91] += 3.0  # untrained, it would hardly see a person
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8)
    config = DetectorConfig(
        model="ssdlite320_mobilenet_v3_large",
        weights=tmp_path / "w.safetensors",
        threshold=0.0,
        people=2,
        batch=2,
        device="cpu",
    )
    found = config.build().find(frames, RECORD, tmp_path, None)
    assert found.shape == (3, 2, 4)
    for frame, boxes in zip(frames, found, strict=True):
        with torch.inference_mode():
            image = torch.from_numpy(frame).permute(2, 0, 1) / 255.0
            alone = theirs([image])[0]
        people = alone["boxes"][alone["labels"] == 1][: len(boxes)].numpy()
        np.testing.assert_allclose(boxes[: len(people)], people, atol=1e-2)
        assert np.isnan(boxes[len(people) :]).all()
    assert np.isfinite(found[:, 0]).any()
    sure = config.model_copy(update={"threshold": 0.9}).build()
    with pytest.raises(ViddaError, match=r"finds no person with a score of 0\.9 in 3 frames"):
        sure.find(frames, RECORD, tmp_path, None)


def test_a_detector_refuses_other_weights(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    config = DetectorConfig(
        model="ssdlite320_mobilenet_v3_large", weights=tmp_path / "w.safetensors", device="cpu"
    )
    with pytest.raises(ViddaError, match=r"missing .* unexpected .* pose.boxes.weights"):
        config.build()
    with pytest.raises(ViddaError, match=r"no such file; correct pose.boxes.weights"):
        config.model_copy(update={"weights": tmp_path / "none.pth"}).build()
    with pytest.raises(ViddaError, match=r"device 'mps:9' is not on this machine"):
        config.model_copy(update={"device": "mps:9"}).build()
