"""Skeletons as control_v11p_sd15_openpose knows them: joints, colors, order, widths."""

import numpy as np
import pytest

from vidda.control.draw_pose import COLORS, LIMBS, OPENPOSE_JOINTS, draw_openpose, to_openpose
from vidda.control.keypoints import JOINTS, Pose

STANDING = {
    "nose": (256, 80), "left_eye": (270, 68), "right_eye": (242, 68), "left_ear": (290, 76),
    "right_ear": (222, 76), "left_shoulder": (316, 140), "right_shoulder": (196, 140),
    "left_elbow": (356, 220), "right_elbow": (156, 220), "left_wrist": (366, 300),
    "right_wrist": (146, 300), "left_hip": (296, 300), "right_hip": (216, 300),
    "left_knee": (306, 390), "right_knee": (206, 390), "left_ankle": (306, 480),
    "right_ankle": (206, 480),
}  # fmt: skip


def standing(scale: float = 1.0, score: float = 1.0) -> Pose:
    """One person in one frame of 512 x 512 pixels."""
    keypoints = np.array([STANDING[name] for name in JOINTS], np.float32) * scale
    return Pose(keypoints[None, None], np.full((1, 1, 17), score, np.float32))


def without(pose: Pose, *names: str) -> Pose:
    scores = pose.scores.copy()
    scores[:, :, [JOINTS.index(name) for name in names]] = 0.1
    return Pose(pose.keypoints, scores)


def place(name: str) -> np.ndarray:
    """Where a joint of OPENPOSE_JOINTS is in 512 x 512 pixels."""
    if name == "neck":
        return np.add(STANDING["left_shoulder"], STANDING["right_shoulder"]) / 2
    return np.array(STANDING[name], float)


def at(image: np.ndarray, point: np.ndarray) -> tuple[int, ...]:
    x, y = np.rint(point).astype(int)
    return tuple(int(value) for value in image[y, x])


def dimmed(color: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(int(0.6 * value) for value in color)


def test_every_joint_has_its_color() -> None:
    image = draw_openpose(standing(), 512, 512)[0]
    assert image.shape == (512, 512, 3) and image.dtype == np.uint8
    assert len(OPENPOSE_JOINTS) == len(COLORS) == 18 and len(LIMBS) == 17
    for name, color in zip(OPENPOSE_JOINTS, COLORS, strict=True):
        assert at(image, place(name)) == color, name
    # A few that everybody knows, not read from the table.
    assert at(image, place("nose")) == (255, 0, 0)
    assert at(image, place("right_elbow")) == (255, 255, 0)
    assert at(image, place("left_ankle")) == (85, 0, 255)


def test_every_limb_is_in_the_darkened_color_of_its_number() -> None:
    image = draw_openpose(standing(), 512, 512)[0]
    for (start, end), color in zip(LIMBS, COLORS, strict=False):
        assert at(image, (place(start) + place(end)) / 2) == dimmed(color), (start, end)
    assert at(image, (place("neck") + place("right_shoulder")) / 2) == (153, 0, 0)
    assert at(image, (place("left_knee") + place("left_ankle")) / 2) == (0, 51, 153)


def test_limbs_are_ellipses_and_joints_circles_of_the_trained_size() -> None:
    image = draw_openpose(standing(), 512, 512)[0]
    x, y = place("left_knee")
    shin = np.flatnonzero(image[435].any(axis=1))
    left_shin = shin[shin > 256]
    assert 8 <= len(left_shin) <= 10 and abs(left_shin.mean() - x) < 1  # thickest in the middle
    near_end = np.flatnonzero(image[475 - 10].any(axis=1))
    assert (near_end > 256).sum() < len(left_shin)
    disc = (image == COLORS[OPENPOSE_JOINTS.index("left_knee")]).all(axis=2)
    rows, columns = np.nonzero(disc)
    assert (rows.mean(), columns.mean()) == pytest.approx((y, x), abs=0.6)
    assert disc.sum() == pytest.approx(np.pi * 4**2, rel=0.35)


def test_the_line_width_follows_the_shorter_side_and_the_choice() -> None:
    def shin(size: int, line_width: float) -> int:
        pose = standing(size / 512)
        image = draw_openpose(pose, size, size, line_width=line_width)[0]
        row = image[round(435 * size / 512), size // 2 :]
        return int(row.any(axis=1).sum())

    assert shin(1024, 1.0) == pytest.approx(2 * shin(512, 1.0), abs=2)
    assert shin(512, 2.0) == pytest.approx(2 * shin(512, 1.0), abs=2)
    assert 1 <= shin(64, 1.0) <= 3


def test_unsure_joints_and_their_limbs_are_left_out() -> None:
    pose = without(standing(), "right_elbow")
    image = draw_openpose(pose, 512, 512)[0]
    assert not image[150:320, 130:190].any(axis=2)[:100].any()  # the upper arm and the elbow
    assert at(image, place("right_wrist")) == COLORS[OPENPOSE_JOINTS.index("right_wrist")]
    neckless = draw_openpose(without(standing(), "left_shoulder"), 512, 512)[0]
    assert at(neckless, place("neck")) == (0, 0, 0)
    assert not draw_openpose(standing(score=0.2), 512, 512).any()
    assert draw_openpose(standing(score=0.2), 512, 512, threshold=0.1).any()


def test_the_neck_is_between_the_shoulders_and_as_sure_as_the_less_sure() -> None:
    pose = standing()
    pose.scores[0, 0, JOINTS.index("left_shoulder")] = 0.4
    body = to_openpose(pose)
    assert body.keypoints.shape == (1, 1, 18, 2)
    np.testing.assert_array_equal(body.keypoints[0, 0, 1], [256, 140])
    assert body.scores[0, 0, 1] == np.float32(0.4)
    for n, name in enumerate(OPENPOSE_JOINTS):
        if name != "neck":
            np.testing.assert_array_equal(body.keypoints[0, 0, n], STANDING[name])


def test_several_people_and_nobody() -> None:
    one = standing(0.5)
    other = Pose(one.keypoints + np.array([256, 0], np.float32), one.scores)
    both = Pose(*(np.concatenate(pair, axis=1) for pair in (
        (one.keypoints, other.keypoints), (one.scores, other.scores))))  # fmt: skip
    image = draw_openpose(both, 512, 512)[0]
    np.testing.assert_array_equal(image[:, :256], draw_openpose(one, 512, 512)[0][:, :256])
    np.testing.assert_array_equal(image[:, 256:], draw_openpose(other, 512, 512)[0][:, 256:])
    nobody = Pose(np.zeros((2, 0, 17, 2), np.float32), np.zeros((2, 0, 17), np.float32))
    assert not draw_openpose(nobody, 48, 64).any()
    assert draw_openpose(nobody, 48, 64).shape == (2, 48, 64, 3)


def test_positions_between_pixels_move_the_drawing_smoothly() -> None:
    """A slow motion changes the drawing in each frame: nothing waits for a whole pixel."""
    pose = standing(64 / 512)
    shifts = np.arange(8, dtype=np.float32) / 8
    keypoints = np.repeat(pose.keypoints, 8, axis=0)
    keypoints[..., 0] += shifts[:, None, None]
    frames = draw_openpose(Pose(keypoints, np.repeat(pose.scores, 8, axis=0)), 64, 64)
    weight = frames.sum(axis=3).astype(float)
    centers = (weight.sum(axis=1) * np.arange(64)).sum(axis=1) / weight.sum(axis=(1, 2))
    steps = np.diff(centers)
    assert centers[-1] - centers[0] == pytest.approx(7 / 8, abs=0.2)
    assert steps.max() < 0.4  # drawn at whole pixels, one step would be 1 and the others 0


def test_people_beyond_the_frame_are_cut_off() -> None:
    pose = standing()
    outside = Pose(pose.keypoints + np.array([500, -5000], np.float32), pose.scores)
    assert not draw_openpose(outside, 512, 512).any()
    half = Pose(pose.keypoints - np.array([256, 0], np.float32), pose.scores)
    whole = draw_openpose(pose, 512, 512)[0]
    np.testing.assert_array_equal(draw_openpose(half, 512, 512)[0][:, :250], whole[:, 256:506])


def test_a_joint_of_score_0_is_not_drawn_at_any_threshold() -> None:
    nowhere = Pose(np.full((1, 1, 17, 2), 20.0, np.float32), np.zeros((1, 1, 17), np.float32))
    assert not draw_openpose(nowhere, 40, 40, threshold=0.0).any()
