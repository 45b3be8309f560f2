"""People kept apart over time, gaps filled, paths smoothed: against MiniRoCoG's true joints."""

import numpy as np
import pytest

from tests.sidecars import rendered
from vidda.control.keypoints import Pose
from vidda.control.track import main_person, smooth_pose, track_people

FRAMES = 24


@pytest.fixture(scope="module")
def joints() -> np.ndarray:
    """The true joints of one person over time, (T, 17, 2), in frames of 64 x 64 pixels."""
    return rendered(FRAMES).keypoints[..., :2]


def pose_of(*people: np.ndarray) -> Pose:
    """A pose in which everybody is known everywhere."""
    keypoints = np.stack(people, axis=1).astype(np.float32)
    return Pose(keypoints, np.full(keypoints.shape[:3], 0.9, np.float32))


def moved(joints: np.ndarray, start: float, stop: float) -> np.ndarray:
    """The person walks from one x to another."""
    return (
        joints
        + np.stack([np.linspace(start, stop, len(joints)), np.zeros(len(joints))], 1)[:, None]
    )


def shuffled(pose: Pose, seed: int = 0) -> Pose:
    """The people in another order in each frame."""
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(pose.scores.shape[1]) for _ in pose.scores])
    rows = np.arange(len(order))[:, None]
    return Pose(pose.keypoints[rows, order], pose.scores[rows, order])


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.square(difference).mean()))


@pytest.mark.parametrize(
    "paths",
    [
        [(0, 0), (60, 60), (130, 130)],
        [(0, 60), (60, 0)],  # they pass through each other
    ],
)
def test_swapped_people_are_put_back(joints: np.ndarray, paths: list[tuple[int, int]]) -> None:
    true = [moved(joints[:: 1 if n % 2 else -1], *path) for n, path in enumerate(paths)]
    mixed = shuffled(pose_of(*true))
    assert np.abs(np.diff(mixed.keypoints, axis=0)).max() > 30
    found = track_people(mixed)
    assert found.scores.shape == mixed.scores.shape
    first = [int(np.abs(mixed.keypoints[0] - t[0]).sum((1, 2)).argmin()) for t in true]
    for place, wanted in zip(first, true, strict=True):
        np.testing.assert_allclose(found.keypoints[:, place], wanted, atol=1e-4)


def test_who_comes_later_is_another_person_and_a_flash_is_nobody(joints: np.ndarray) -> None:
    stays, comes = moved(joints, 0, 0), moved(joints, 150, 150)
    pose = pose_of(stays, comes, moved(joints, 300, 300))
    pose.scores[:10, 1] = 0  # comes in frame 10
    pose.scores[:, 2] = 0
    pose.scores[5, 2] = 0.9  # one frame of a third
    pose.scores[12:15, 0] = 0  # unseen for a while
    found = track_people(shuffled(pose))
    assert found.scores.shape == (FRAMES, 2, 17)
    assert found.scores[:, 0].any(axis=1).tolist() == [not 12 <= t < 15 for t in range(FRAMES)]
    assert found.scores[:, 1].any(axis=1).tolist() == [t >= 10 for t in range(FRAMES)]
    seen = found.scores[:, 0].any(axis=1)
    np.testing.assert_allclose(found.keypoints[seen, 0], stays[seen], atol=1e-4)
    np.testing.assert_allclose(found.keypoints[10:, 1], comes[10:], atol=1e-4)
    assert track_people(shuffled(pose), shortest=1).scores.shape[1] == 3


def test_people_are_followed_by_their_visible_joints(joints: np.ndarray) -> None:
    true = [moved(joints, 0, 0), moved(joints, 40, 40)]
    pose = pose_of(*true)
    rng = np.random.default_rng(1)
    pose.scores[rng.random(pose.scores.shape) < 0.6] = 0
    found = track_people(shuffled(pose))
    for number in range(2):
        known = found.scores[:, number] > 0
        other = [np.abs(found.keypoints[:, number] - t)[known].max() for t in true]
        assert sorted(value < 1e-3 for value in other) == [False, True]


def test_nobody_and_one_person_are_left_as_they_are(joints: np.ndarray) -> None:
    one = pose_of(joints)
    assert track_people(one) is one
    nobody = Pose(np.zeros((4, 2, 17, 2), np.float32), np.zeros((4, 2, 17), np.float32))
    assert track_people(nobody).scores.shape == (4, 0, 17)
    assert smooth_pose(track_people(nobody)).scores.shape == (4, 0, 17)


def test_smoothing_removes_noise_and_keeps_the_gesture(joints: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0.0, 1.5, joints.shape)
    found = smooth_pose(pose_of(joints + noise)).keypoints[:, 0]
    assert rms(found - joints) < 0.8 * rms(noise)
    # Without noise the true path, fast arms and all, changes by far less than was won.
    assert rms(smooth_pose(pose_of(joints)).keypoints[:, 0] - joints) < 0.3
    jitter = [rms(np.diff(path, 2, axis=0)) for path in (found, joints + noise)]
    assert jitter[0] < 0.5 * jitter[1]


def test_smoothing_does_not_lag(joints: np.ndarray) -> None:
    """A joint in free fall stays on its parabola; a filter with lag would trail behind it."""
    time = np.arange(FRAMES)
    falling = np.broadcast_to(
        np.stack([2.0 * time, 0.3 * time**2], axis=1)[:, None], (FRAMES, 17, 2)
    )
    np.testing.assert_allclose(smooth_pose(pose_of(falling)).keypoints[:, 0], falling, atol=1e-3)
    backwards = smooth_pose(pose_of(joints[::-1])).keypoints[::-1]
    np.testing.assert_allclose(smooth_pose(pose_of(joints)).keypoints, backwards, atol=1e-3)


def test_missing_joints_are_filled_near_the_truth(joints: np.ndarray) -> None:
    pose = pose_of(joints)
    rng = np.random.default_rng(2)
    missing = rng.random(pose.scores.shape) < 0.25
    pose.scores[missing] = 0.1  # below the threshold
    pose.keypoints[missing] = -1000.0
    found = smooth_pose(pose)
    assert (found.scores >= 0.89).all()
    gone = missing[:, 0]
    assert rms(found.keypoints[:, 0][gone] - joints[gone]) < 2.5
    assert np.abs(found.keypoints[:, 0] - joints).max() < 20


def test_edges_are_held_and_long_gaps_stay_open(joints: np.ndarray) -> None:
    pose = pose_of(joints)
    pose.scores[:3, 0, 0] = 0
    pose.scores[-2:, 0, 1] = 0
    pose.scores[4:14, 0, 2] = 0
    pose.scores[:, 0, 3] = 0
    found = smooth_pose(pose, longest_gap=9, window=1)
    np.testing.assert_allclose(found.keypoints[:3, 0, 0], joints[[3, 3, 3], 0], atol=1e-4)
    np.testing.assert_allclose(found.keypoints[-2:, 0, 1], joints[[-3, -3], 1], atol=1e-4)
    assert (found.scores[:, 0, 2] > 0).tolist() == [not 4 <= t < 14 for t in range(FRAMES)]
    assert not found.scores[:, 0, 3].any()
    assert (smooth_pose(pose, longest_gap=None).scores[:, 0, 2] > 0).all()


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_short_clips_are_no_special_case(joints: np.ndarray, frames: int) -> None:
    pose = pose_of(joints[:frames], joints[:frames] + 100)
    found = smooth_pose(track_people(pose), window=5)
    assert found.scores.shape == (frames, 2, 17)
    assert np.abs(found.keypoints - pose.keypoints).max() < 6


def test_the_main_person_can_be_chosen_in_three_ways(joints: np.ndarray) -> None:
    middle = joints - joints.mean(axis=(0, 1)) + 100
    people = pose_of(middle, 2 * middle - 200, middle / 2 + 110)
    people.scores[:, 2] = 0.99
    chosen = {
        choice: main_person(people, 200, 200, choice)  # type: ignore[arg-type]
        for choice in ("largest", "surest", "central")
    }
    for choice, number in {"central": 0, "largest": 1, "surest": 2}.items():
        assert chosen[choice].scores.shape == (FRAMES, 1, 17)
        np.testing.assert_array_equal(chosen[choice].keypoints[:, 0], people.keypoints[:, number])
    people.scores[4:, 1] = 0  # the largest one leaves
    np.testing.assert_array_equal(
        main_person(people, 200, 200).keypoints[:, 0], people.keypoints[:, 0]
    )
