"""Joints relative to the body, random cameras, and the errors of estimators."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.recognize.stick_figures import figure
from vidda.control.keypoints import JOINTS
from vidda.mini.clip import FACTORS
from vidda.mini.layout import Sizes, plans
from vidda.mini.staging import find_joints
from vidda.recognize.pose_augmentation import PoseAugmentation, RandomCameras, view_joints
from vidda.recognize.pose_input import PoseView
from vidda.recognize.pose_normalization import HIPS, SHOULDERS, body_size, normalize_pose
from vidda.recognize.pose_transformer import PoseTransformerConfig

FIGURE = np.stack([figure(name) for name in ("Up", "Sideways", "Down")])
ALL = np.ones(FIGURE.shape[:2], bool)
EXACT = PoseAugmentation(rotation=0, noise=0, offset=0, dropout=0, misplaced=0, limbs=0, swap=0)


def test_a_pose_is_centered_on_the_hips_and_scaled_by_the_torso() -> None:
    found = normalize_pose(50 * FIGURE + [300, 200], ALL)
    np.testing.assert_allclose(found, FIGURE, atol=1e-5)
    assert found.dtype == np.float32


def test_each_frame_has_its_own_center_and_a_clip_one_size() -> None:
    moving = FIGURE * [[[1.0]], [[1.0]], [[3.0]]] + np.array([0, 5, 9])[:, None, None]
    found = normalize_pose(moving, ALL)
    np.testing.assert_allclose(found, FIGURE * [[[1.0]], [[1.0]], [[3.0]]], atol=1e-5)


@pytest.mark.parametrize("hidden", [HIPS, [HIPS[0]], SHOULDERS, [*HIPS, *SHOULDERS]])
def test_hidden_hips_and_shoulders_do_not_move_the_others_far(hidden: list[int]) -> None:
    known = ALL.copy()
    known[:, hidden] = False
    found = normalize_pose(70 * FIGURE - 40, known)
    # With one hip the center is there, a fifth of a torso beside the middle; without both the size
    # comes from the shoulders, without all four from the box.
    limit = 0.3 if len(hidden) < 4 else 1.5
    assert np.abs(found - FIGURE)[known].max() < limit
    assert (found[~known] == 0).all()


def test_hips_hidden_for_a_time_do_not_make_a_jump() -> None:
    known = ALL.copy()
    known[1, HIPS] = False
    found = normalize_pose(FIGURE, known)
    np.testing.assert_allclose(found[known], FIGURE[known], atol=1e-5)


def test_from_above_and_from_the_side_the_size_is_about_the_same() -> None:
    sizes = [body_size(FIGURE * squeeze, ALL) for squeeze in ([1, 1], [1, 0.3], [0.1, 1])]
    np.testing.assert_allclose(sizes, 1, atol=0.1)


def test_nobody_and_a_single_joint_give_zeros() -> None:
    assert not normalize_pose(FIGURE, np.zeros_like(ALL)).any()
    one = np.zeros_like(ALL)
    one[:, 3] = True
    assert not normalize_pose(FIGURE, one).any()


@pytest.mark.parametrize("scores", [False, True])
def test_positions_of_unknown_joints_have_no_effect(scores: bool) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([40 * FIGURE, rng.choice([0.1, 0.9], (3, 17, 1))], axis=2)
    other = points.copy()
    other[points[..., 2] < 0.3, :2] = rng.uniform(-1e6, 1e6, ((points[..., 2] < 0.3).sum(), 2))
    view = PoseView(0.3, scores)
    assert torch.equal(view(points), view(other))
    torch.manual_seed(0)
    model = PoseTransformerConfig().build(5).eval()
    one, two = (view(rows)[None] for rows in (points, other))
    two[two[..., 2] == 0] = torch.tensor([7.0, -7.0, 0.0])  # as from another program
    torch.testing.assert_close(model(one).logits, model(two).logits)
    # ... but being unknown has one.
    assert not torch.allclose(model(one).logits, model(PoseView(0.0, scores)(points)[None]).logits)


@pytest.mark.parametrize("number", [0, 7])
def test_a_camera_sees_what_the_renderers_does(number: int) -> None:
    """Synthetic clips, whose cameras do not shake: the sidecar's joints from those in 3-D."""
    scene = plans(0, Sizes(1, 1, 1, 1), FACTORS)[number].scene
    assert not scene.factors and not scene.viewpoint.orbit
    keypoints, world = find_joints(scene, 3, 8.0, 48)
    ours = normalize_pose(view_joints(world, scene.viewpoint), ALL)
    theirs = normalize_pose(keypoints[..., :2], ALL)
    # Ours is aimed at the hips, which turns it by less than a degree.
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_random_cameras_see_from_all_heights_and_sides() -> None:
    world = np.stack([-FIGURE[..., 0], 0 * FIGURE[..., 0], 1.8 - FIGURE[..., 1]], axis=2) / 2
    rng = np.random.default_rng(0)
    cameras = RandomCameras(azimuth=90)
    sizes = []
    for _ in range(200):
        seen = normalize_pose(cameras.project(world, rng), ALL)
        sizes.append([np.ptp(seen[0, :, 0]), np.ptp(seen[0, :, 1])])
    across, down = np.transpose(sizes)
    assert across.min() < 0.3 < 0.7 < across.max(), "from the side to the front"
    assert down.max() > 1.5 * down.min(), "from the ground to the air"


@pytest.mark.parametrize(
    "keys", [{"elevation": (50, 10)}, {"elevation": (0, 95)}, {"distance": (0, 9)}]
)
def test_impossible_cameras_are_refused(keys: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValidationError, match="give two"):
        RandomCameras(**keys)


def test_a_mirrored_pose_has_its_sides_swapped() -> None:
    flip = EXACT.model_copy(update={"flip": True})
    lone = FIGURE.copy()
    lone[:, JOINTS.index("left_wrist")] = [2.0, -1.0]
    scores = np.ones(ALL.shape)
    scores[:, JOINTS.index("left_knee")] = 0
    seen = [flip.apply(lone, scores, np.random.default_rng(n)) for n in range(20)]
    mirrored = [(points, known) for points, known in seen if not np.allclose(points, lone)]
    assert 4 < len(mirrored) < 16
    points, known = mirrored[0]
    np.testing.assert_allclose(points[0, JOINTS.index("right_wrist")], [-2.0, -1.0])
    assert not known[:, JOINTS.index("right_knee")].any()
    assert known[:, JOINTS.index("left_knee")].all()


def changed(**errors: float) -> tuple[np.ndarray, np.ndarray]:
    """The same eight frames 300 times, each time with random errors: joints and scores."""
    points, augment = np.repeat(FIGURE[:1], 8, axis=0), EXACT.model_copy(update=errors)
    draws = [augment.apply(points, np.ones((8, 17)), np.random.default_rng(n)) for n in range(300)]
    moved, scores = map(np.stack, zip(*draws, strict=True))
    return moved - points, scores == 0


def test_errors_are_as_frequent_as_asked() -> None:
    moved, missing = changed()
    assert not moved.any() and not missing.any()
    assert 0.18 < changed(dropout=0.2)[1].mean() < 0.22
    missing = changed(limbs=0.5)[1]
    assert 0.4 < missing.any((1, 2)).mean() < 0.6
    assert set(missing.any(1).sum(1)) == {0, 2}
    assert 0.4 < changed(swap=0.5)[0].any((1, 2, 3)).mean() < 0.6
    arms = changed(misplaced=0.5)[0].any((1, 3))
    assert 0.4 < arms.any(1).mean() < 0.6
    assert {tuple(np.flatnonzero(one)) for one in arms} == {(), (7, 9), (8, 10)}
    assert 0.09 < changed(noise=0.1)[0].std() < 0.11
    moved, _ = changed(offset=0.1)
    assert 0.09 < moved.std() < 0.11
    np.testing.assert_allclose(moved, np.repeat(moved[:, :1], 8, axis=1), atol=1e-9)


def test_a_clip_of_one_frame_is_recognized() -> None:
    model = PoseTransformerConfig().build(4).eval()
    assert model(torch.randn(2, 1, 17, 3)).logits.isfinite().all()
    assert model(torch.zeros(1, 5, 17, 3)).logits.isfinite().all(), "nobody"
