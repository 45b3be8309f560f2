"""Poses as values: their boxes, PCK, and the union of their sources."""

from pathlib import Path

import numpy as np
import pytest

from tests.sidecars import rendered
from vidda.config import Config, ConfigError, load
from vidda.control.pose import JOINTS, Pose, PoseConfig, pck, people_boxes


class Settings(Config):
    pose: PoseConfig


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """(T, 17, 3) as MiniRoCoG's sidecar has it."""
    return rendered().keypoints


def test_joints_are_cocos() -> None:
    assert len(JOINTS) == 17
    assert (JOINTS[0], JOINTS[5], JOINTS[16]) == ("nose", "left_shoulder", "right_ankle")


def test_pck_counts_what_is_within_its_share_of_the_size(truth: np.ndarray) -> None:
    at, visible = truth[..., :2], truth[..., 2] == 2
    size = np.full(len(at), 50.0)
    found = at.copy()
    found[:, 9] += (8.0, 0.0)  # a wrist, in all frames
    found[0, 10] += (0.0, -11.0)
    found[1, 10] = np.nan  # not found
    visible[:, 9:11] = True
    visible[:, 16] = False
    near, far = (pck(found, at, visible, size, alpha) for alpha in (0.1, 0.2))
    wrists = 1 - 2 / len(at)
    assert near.shape == (17,)
    assert near[9] == 0.0
    assert far[9] == 1.0
    assert near[10] == far[10] == pytest.approx(wrists)
    assert np.isnan(near[16])
    others = [n for n in range(17) if n not in (9, 10, 16) and visible[:, n].any()]
    assert len(others) > 8
    np.testing.assert_array_equal(near[others], 1.0)


def test_pck_measures_each_person_by_their_own_size(truth: np.ndarray) -> None:
    at = truth[0, :, :2]
    both = np.stack([at, at])
    seen = np.ones((2, 17), bool)
    share = pck(both + np.array([6.0, 0.0]), both, seen, np.array([20.0, 100.0]), 0.1)
    np.testing.assert_array_equal(share, 0.5)


def test_the_box_of_a_person_holds_the_known_joints(truth: np.ndarray) -> None:
    scores = np.ones((len(truth), 1, 17), np.float32)
    scores[0, 0, 3:] = 0.2
    scores[1] = 0.0
    pose = Pose(truth[:, None, :, :2], scores)
    boxes = people_boxes(pose, 0.3)
    assert boxes.shape == (len(truth), 1, 4)
    face, body = truth[0, :3, :2], truth[2, :, :2]
    np.testing.assert_array_equal(boxes[0, 0], [*face.min(axis=0), *face.max(axis=0)])
    np.testing.assert_array_equal(boxes[2, 0], [*body.min(axis=0), *body.max(axis=0)])
    assert np.isnan(boxes[1]).all()


@pytest.mark.parametrize(
    "given",
    [
        "name: sidecar",
        "{name: mmpose, model: body_2d_keypoint/x.py, weights: w.pth, boxes: {name: sidecar}}",
        "{name: onnx, model: rtmpose.onnx, boxes: {name: manifest}}",
        "{name: onnx, model: m.onnx, boxes: {name: detector, weights: d.pth, people: 2}}",
    ],
)
def test_a_source_is_chosen_by_its_name(tmp_path: Path, given: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"pose:\n  {given}\n")
    assert load(Settings, file).pose.name in given


def test_an_unknown_source_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mmpose'"):
        load(Settings, None, ["pose.name=mmpos"])
    with pytest.raises(ConfigError, match=r"pose\.model: missing"):
        load(Settings, None, ["pose.name=onnx"])
