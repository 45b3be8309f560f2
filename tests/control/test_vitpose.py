"""ViTPose: against transformers as its documentation uses it, and against where a dot is."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, VitPoseForPoseEstimation

from tests.clips import moving
from tests.tiny_transformers import write_detector, write_vitpose
from vidda import video
from vidda.cli import main
from vidda.control.keypoints import JOINTS, Pose
from vidda.control.vitpose import VitPoseConfig, mirrored_joints
from vidda.errors import ViddaError
from vidda.types import ClipRecord
from vidda.weights import Folder

CLIP = ClipRecord("one", "one.mp4", 0, "real", "ground")
FRAMES = moving(4, 45, 61)
BOXES = np.array(
    [[[3, 5, 21.5, 40], [20, 2, 50, 30]]] * 2
    + [[[-8, -4, 20, 43], [np.nan] * 4]]
    + [[[40, 1, 70, 20.25], [10, 10, 30, 30]]],
    np.float32,
)
"""Of two people: inside the frame, beyond its edges, wide, tall, and absent."""


def estimate(folder: Path, frames: np.ndarray = FRAMES, boxes: Any = BOXES, **keys: Any) -> Pose:
    config = VitPoseConfig(weights=Folder(path=folder), device="cpu", **keys)
    return config.build().estimate(frames, boxes, CLIP, Path())


@cache
def published(folder: Path) -> tuple[Any, Any]:
    model = VitPoseForPoseEstimation.from_pretrained(folder)
    return AutoImageProcessor.from_pretrained(folder), model.eval()


def theirs(folder: Path, image: np.ndarray, box: np.ndarray, **inputs: Any) -> tuple[Any, Any, Any]:
    """The input, keypoints and scores of a person, as transformers documents its use."""
    processor, model = published(folder)
    people = [[[*box[:2], *(box[2:] - box[:2])]]]
    prepared = processor(Image.fromarray(image), boxes=people, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**prepared, **inputs)
    ((found,),) = processor.post_process_pose_estimation(outputs, boxes=people)
    return prepared["pixel_values"][0], found["keypoints"][:17], found["scores"][:17]


def compare(pose: Pose, folder: Path, **inputs: Any) -> None:
    there = np.argwhere(np.isfinite(BOXES).all(axis=2))
    for t, p in there:
        _, keypoints, scores = theirs(folder, FRAMES[t], BOXES[t, p].astype(float), **inputs)
        np.testing.assert_allclose(pose.scores[t, p], scores.clip(0, 1), atol=1e-5)
        known = pose.scores[t, p] > 0
        assert known.sum() > 5
        np.testing.assert_allclose(pose.keypoints[t, p][known], keypoints[known], 1e-3, 1e-2)
    assert not pose.scores[2, 1].any() and np.isfinite(pose.keypoints).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vitpose(tmp_path_factory.mktemp("vitpose"))


def test_the_inputs_are_those_of_the_librarys_processor(folder: Path) -> None:
    source = VitPoseConfig(weights=Folder(path=folder), device="cpu").build()
    seen: list[torch.Tensor] = []
    source._loaded.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    source.estimate(FRAMES, BOXES, CLIP, Path())
    there = np.argwhere(np.isfinite(BOXES).all(axis=2))
    wanted = [theirs(folder, FRAMES[t], BOXES[t, p].astype(float))[0] for t, p in there]
    assert torch.equal(torch.cat(seen), torch.stack(wanted))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_poses_are_those_of_the_library(folder: Path, batch: int) -> None:
    compare(estimate(folder, batch=batch), folder)


@pytest.mark.parametrize(("keypoints", "simple"), [(133, True), (17, False)])
def test_other_heads(tmp_path: Path, keypoints: int, simple: bool) -> None:
    compare(estimate(write_vitpose(tmp_path, keypoints, simple_decoder=simple)), tmp_path)


def test_of_several_experts_cocos_is_taken(tmp_path: Path) -> None:
    pose = estimate(write_vitpose(tmp_path, experts=3))
    compare(pose, tmp_path, dataset_index=torch.tensor([0]))
    *_, others = theirs(
        tmp_path, FRAMES[0], BOXES[0, 0].astype(float), dataset_index=torch.tensor([1])
    )
    assert np.abs(pose.scores[0, 0] - others.clip(0, 1).numpy()).max() > 1e-3


def test_by_flip_test_a_mirrored_frame_has_the_mirrored_pose(folder: Path) -> None:
    last = FRAMES.shape[2] - 1  # the center of the last pixel
    boxes = BOXES[..., [2, 1, 0, 3]]
    boxes[..., [0, 2]] = last - boxes[..., [0, 2]]
    swapped = np.arange(len(JOINTS))
    for left, right in mirrored_joints():
        swapped[[left, right]] = right, left
    assert [JOINTS[number] for number in swapped[:3]] == ["nose", "right_eye", "left_eye"]
    for flip in (True, False):
        pose = estimate(folder, flip_test=flip)
        other = estimate(folder, FRAMES[:, :, ::-1].copy(), boxes, flip_test=flip)
        away = np.abs(pose.scores - other.scores[..., swapped]).max()
        back = [last, 0] + [-1, 1] * other.keypoints[..., swapped, :]
        apart = np.abs(back - pose.keypoints)[pose.scores > 0.1]
        assert (away < 0.01 and np.median(apart) < 0.25) == flip


def test_a_joint_is_found_where_it_is(tmp_path: Path) -> None:
    write_dot_finder(tmp_path)
    places = np.array([[[30, 60], [100, 41]], [[64, 20], [12, 77]]])
    frames = np.zeros((2, 90, 120, 3), np.uint8)
    for t, dots in enumerate(places):
        for x, y in dots:
            frames[t, y - 5 : y + 6, x - 5 : x + 6] = 255
    corners = [places - np.array([15, 12]), places + np.array([15, 30])]
    boxes = np.concatenate(corners, axis=2).astype(np.float32)
    pose = estimate(tmp_path, frames, boxes)
    # The crop is cut into 3 x 4 patches of 13 pixels, each as bright as its mean.
    assert np.abs(pose.keypoints - places[:, :, None]).max() < 13 / 2
    assert (pose.scores > 0).all()


def write_dot_finder(folder: Path) -> None:
    """A ViTPose whose heatmaps are the brightness of the patches."""
    model = VitPoseForPoseEstimation.from_pretrained(write_vitpose(folder))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not ("layernorm" in name and name.endswith("weight")):
                weight.zero_()
        projection = model.backbone.embeddings.patch_embeddings.projection
        projection.weight[0] = 1 / projection.weight[0].numel()
        projection.bias[0] = 1.5  # black is about -2 to the model, and is cut off
        model.head.conv.weight[:, 0, 1, 1] = 1000.0
    model.config.backbone_config.layer_norm_eps = 1e6  # so that brightness stays
    model.save_pretrained(folder)


def test_vidda_control_draws_the_poses_of_detected_people(tmp_path: Path, folder: Path) -> None:
    video.write(tmp_path / "clip.mp4", moving(3, 64, 96), 8.0)
    write_detector(tmp_path / "detector", "d_fine")
    places = [f"pose.weights.path={folder}", f"pose.boxes.weights.path={tmp_path}/detector"]
    status = main(
        [
            *("control", str(tmp_path / "clip.mp4"), str(tmp_path / "out"), "size=null"),
            *("pose.name=vitpose", "pose.weights.name=folder", "pose.boxes.name=detr"),
            *("pose.boxes.weights.name=folder", "pose.boxes.people=2", *places),
        ]
    )
    assert status == 0
    drawn = video.read(tmp_path / "out" / "clips" / "clip.mp4" / "pose.mp4")
    assert drawn.shape == (3, 64, 96, 3) and drawn.max() > 100


def test_other_models_are_refused_in_a_line(tmp_path: Path) -> None:
    write_vitpose(tmp_path, keypoints=21)
    with pytest.raises(ViddaError, match=r"gives 21 keypoints; name a ViTPose of COCO \(17\)"):
        estimate(tmp_path)
