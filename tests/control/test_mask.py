"""Masks of people: the sidecar's, at any size, and the skeleton's, which covers the person."""

from pathlib import Path

import numpy as np
import pytest

from tests.sidecars import rendered, write_clip
from vidda.control.keypoints import Pose
from vidda.control.mask import dilate_mask, has_mask, person_mask, skeleton_mask
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.errors import ViddaError
from vidda.mini.clip import RenderedClip
from vidda.sidecar import PERSON_REGIONS, mask_regions, read_mask, sidecar_path, write_sidecar
from vidda.types import ClipRecord


@pytest.fixture(scope="module")
def clip() -> RenderedClip:
    return rendered(frames=4, size=96)


def true_pose(clip: RenderedClip) -> Pose:
    points = clip.keypoints[:, None]
    return Pose(points[..., :2], points[..., 2] / 2)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_sidecars_mask_at_its_own_and_at_other_sizes(
    tmp_path: Path, clip: RenderedClip
) -> None:
    record = write_clip(tmp_path, clip)
    assert has_mask(record, tmp_path)
    own = person_mask(record, tmp_path, None, 96, 96)
    assert own.dtype == bool
    np.testing.assert_array_equal(own, clip.mask > 0)
    larger = person_mask(record, tmp_path, None, 192, 288)
    assert overlap(larger[:, ::2, ::3], own) > 0.85
    assert larger.mean() == pytest.approx(own.mean(), rel=0.1)
    smaller = person_mask(record, tmp_path, None, 48, 48)
    assert smaller.shape == (4, 48, 48)
    assert smaller.mean() == pytest.approx(own.mean(), rel=0.15)
    picked = person_mask(record, tmp_path, None, 96, 96, indices=np.array([3, 1]))
    np.testing.assert_array_equal(picked, own[[3, 1]])
    with pytest.raises(ViddaError, match="4 rows of mask for 3 frames"):
        person_mask(record, tmp_path, Pose(np.zeros((3, 1, 17, 2)), np.zeros((3, 1, 17))), 96, 96)


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_a_mask_of_whole_people_is_read_as_one_of_regions_is(
    tmp_path: Path, clip: RenderedClip, dtype: type
) -> None:
    record = write_clip(tmp_path, clip)
    for more in ({}, {"regions": np.array(PERSON_REGIONS)}):
        np.savez(sidecar_path(record, tmp_path), mask=(clip.mask > 0).astype(dtype), **more)
        found = person_mask(record, tmp_path, None, 96, 96)
        np.testing.assert_array_equal(found, clip.mask > 0)
        assert mask_regions(record, tmp_path) == PERSON_REGIONS


def test_a_value_without_a_name_is_refused(tmp_path: Path, clip: RenderedClip) -> None:
    record = write_clip(tmp_path, clip)
    np.savez(sidecar_path(record, tmp_path), mask=clip.mask, regions=np.array(PERSON_REGIONS))
    with pytest.raises(ViddaError, match=r"value 5, but its regions are 0\.\.1, background"):
        person_mask(record, tmp_path, None, 96, 96)
    np.savez(sidecar_path(record, tmp_path), mask=clip.mask / 5.0)
    with pytest.raises(ViddaError, match=r"mask of float64\(4, 96, 96\); write integers"):
        person_mask(record, tmp_path, None, 96, 96)


def test_the_names_of_regions_go_along_with_a_translation(
    tmp_path: Path, clip: RenderedClip
) -> None:
    record = write_clip(tmp_path, clip)
    names = ("background", "person")
    arrays = {"mask": clip.mask > 0, "keypoints": clip.keypoints, "regions": np.array(names)}
    arrays["keypoints_3d"] = clip.keypoints_3d
    np.savez(sidecar_path(record, tmp_path), **arrays)
    new, numbers = tmp_path / "new.npz", np.array([0, 2])
    assert write_sidecar(record, tmp_path, numbers, np.zeros((2, 48, 48, 3)), new)
    moved = ClipRecord("one", record.path, 0, "translated", "ground", meta={"sidecar": "new.npz"})
    mask, regions = read_mask(moved, tmp_path, 2, None)
    np.testing.assert_array_equal(mask, clip.mask[numbers] > 0)
    assert regions == names
    half = np.load(new)
    np.testing.assert_array_equal(half["keypoints_3d"], clip.keypoints_3d[numbers])
    expected = (clip.keypoints[numbers, :, :2] + 0.5) / 2 - 0.5
    np.testing.assert_allclose(half["keypoints"][..., :2], expected, atol=1e-4)


def test_without_a_sidecar_the_skeleton_covers_the_person(
    tmp_path: Path, clip: RenderedClip
) -> None:
    record = write_clip(tmp_path, clip)
    sidecar_path(record, tmp_path).unlink()
    assert not has_mask(record, tmp_path)
    found = person_mask(record, tmp_path, true_pose(clip), 96, 96)
    truth = clip.mask > 0
    assert (found & truth).sum() > 0.85 * truth.sum()
    assert overlap(found, truth) > 0.55
    with pytest.raises(ViddaError, match="no mask in a sidecar, and no pose"):
        person_mask(record, tmp_path, None, 96, 96)


def test_a_sidecar_without_a_mask_leaves_it_to_the_skeleton(
    tmp_path: Path, clip: RenderedClip
) -> None:
    record = write_clip(tmp_path, clip)
    np.savez_compressed(sidecar_path(record, tmp_path), keypoints=clip.keypoints)
    pose = SidecarPosesConfig().build().estimate(clip.frames, None, record, tmp_path)
    found = person_mask(record, tmp_path, pose, 96, 96)
    np.testing.assert_array_equal(found, skeleton_mask(pose, 96, 96))
    half = Pose(pose.keypoints, np.where(np.arange(17) < 11, 0.4, 1.0) * (pose.scores > 0))
    small = person_mask(record, tmp_path, half, 96, 96, threshold=0.5)
    assert 0 < small.sum() < found.sum()
    np.testing.assert_array_equal(small, skeleton_mask(half, 96, 96, 0.5))


def test_a_damaged_sidecar_is_not_passed_over(tmp_path: Path, clip: RenderedClip) -> None:
    record = write_clip(tmp_path, clip)
    path = sidecar_path(record, tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ViddaError, match="damaged"):
        person_mask(record, tmp_path, true_pose(clip), 96, 96)


def test_the_skeletons_mask_scales_with_the_image_and_leaves_out_the_unsure(
    clip: RenderedClip,
) -> None:
    pose = true_pose(clip)
    small = skeleton_mask(pose, 96, 96)
    large = skeleton_mask(Pose(pose.keypoints * 4, pose.scores), 384, 384)
    assert large.mean() == pytest.approx(small.mean(), rel=0.2)
    unsure = Pose(pose.keypoints, np.full_like(pose.scores, 0.1))
    assert not skeleton_mask(unsure, 96, 96).any()
    arms = pose.scores.copy()
    arms[:, :, 7:11] = 0  # elbows and wrists
    assert skeleton_mask(Pose(pose.keypoints, arms), 96, 96).sum() < small.sum()


def test_a_lone_face_or_hand_is_a_small_mask() -> None:
    scores = np.zeros((1, 1, 17), np.float32)
    scores[..., 9] = 1
    keypoints = np.full((1, 1, 17, 2), 20, np.float32)
    assert not skeleton_mask(Pose(keypoints, scores), 40, 40).any()
    scores[..., :3] = 1
    keypoints[0, 0, 0] = 24, 24
    face = skeleton_mask(Pose(keypoints, scores), 40, 40)
    assert 0 < face.sum() < 100


def test_growing_adds_a_disc_around_every_pixel() -> None:
    mask = np.zeros((2, 21, 21), bool)
    mask[0, 10, 10] = True
    assert dilate_mask(mask, 0) is mask
    wide = dilate_mask(mask, 4)
    y, x = np.nonzero(wide[0])
    assert (y.min(), y.max(), x.min(), x.max()) == (6, 14, 6, 14)
    assert not wide[0, 6, 6] and not wide[1].any()
