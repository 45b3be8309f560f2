"""Photographs with the detail of smaller ones, blurred and occluded ones."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tools.degrade_photographs import GRAY, OCCLUDED, blur, main, occlude, shrink
from vidda import video
from vidda.data.manifest import load_manifest, save_manifest
from vidda.sidecar import COCO_17
from vidda.types import ClipRecord, Manifest

IMAGE = np.random.default_rng(0).integers(129, 256, (40, 60, 3), np.uint8)


def photographs(root: Path, count: int = 1) -> Path:
    """A manifest of photographs of one person, with all joints but the head's in a row."""
    joints = np.zeros((1, 17, 3), np.float32)
    joints[0, 5:] = [(5 * n, 20, 2) for n in range(12)]
    np.savez(root / "pose.npz", keypoints=joints)
    clips = []
    for number in range(count):
        video.write_png(root / f"{number}.png", IMAGE[None])
        meta = {"sidecar": "pose.npz", "take": "t"}
        clips.append(ClipRecord(f"{number}", f"{number}.png", 0, "real", "ground", meta=meta))
    save_manifest(Manifest(root, ("wave",), tuple(clips)), root / "manifest.csv")
    return root / "manifest.csv"


def written(level: Path) -> np.ndarray:
    """The pictures of a manifest, which has no sidecars any more: (N, H, W, 3)."""
    manifest = load_manifest(level)
    assert all(clip.meta == {"take": "t"} and clip.label == 0 for clip in manifest.clips)
    return np.concatenate([video.read(manifest.root / clip.path) for clip in manifest.clips])


def test_detail_is_lost_and_size_and_mean_stay(tmp_path: Path) -> None:
    file, out = photographs(tmp_path), tmp_path / "out"
    assert main([str(file), str(out), "--sides", "10", "40"]) == 0
    (found,) = written(out / "side_10")
    np.testing.assert_array_equal(found, shrink(IMAGE, 10))
    assert found.shape == IMAGE.shape and found.std() < 0.5 * IMAGE.std()
    assert found.mean() == pytest.approx(IMAGE.mean(), abs=3)
    np.testing.assert_array_equal(written(out / "side_40")[0], IMAGE)


def test_a_blur_is_gaussian_and_none_of_0(tmp_path: Path) -> None:
    file, out = photographs(tmp_path), tmp_path / "out"
    assert main([str(file), str(out), "--blurs", "0", "1.5"]) == 0
    (found,) = written(out / "blur_1.5")
    np.testing.assert_array_equal(found, blur(IMAGE, 1.5))
    expected = gaussian_filter(IMAGE.astype(float), (1.5, 1.5, 0), mode="mirror")
    assert np.abs(found - expected).max() < 2
    np.testing.assert_array_equal(written(out / "blur_0")[0], IMAGE)


def test_occlusions_are_around_a_joint_of_the_seed(tmp_path: Path) -> None:
    file = photographs(tmp_path, 20)
    for name, seed in (("out", 0), ("again", 0), ("other", 1)):
        job = [str(file), str(tmp_path / name), "--occlusions", "0", "0.2", "0.5"]
        assert main([*job, "--seed", str(seed)]) == 0
    small, large = (written(tmp_path / "out" / f"occlusion_{s}") for s in ("0.2", "0.5"))
    assert (written(tmp_path / "out" / "occlusion_0") == IMAGE).all()
    gray = small == GRAY
    assert (small[~gray] == np.broadcast_to(IMAGE, small.shape)[~gray]).all()
    centers = np.array([np.argwhere(one[..., 0]).mean(0) for one in gray])
    assert np.abs(centers[:, 0] - 20).max() <= 1 and len(np.unique(centers[:, 1])) > 5
    inner = gray.sum((1, 2, 3)) == 3 * 8 * 8  # not at the edge
    assert inner.sum() > 10 and ((large == GRAY) | ~gray).all()
    assert (written(tmp_path / "again" / "occlusion_0.2") == small).all()
    assert (written(tmp_path / "other" / "occlusion_0.2") != small).any()


def test_an_occlusion_beyond_the_edge_is_cut_off() -> None:
    found = occlude(IMAGE, np.array([-3.0, 39.0]), 0.5)  # 20 pixels, from -12 and 30 on
    expected = IMAGE.copy()
    expected[30:, :8] = GRAY
    np.testing.assert_array_equal(np.argwhere(found != expected), np.empty((0, 3)))
    np.testing.assert_array_equal(occlude(IMAGE, np.array([-30.0, 5.0]), 0.5), IMAGE)


def test_the_head_counts_as_one_joint() -> None:
    assert [COCO_17[joint] for joint in OCCLUDED[:2]] == ["nose", "left_shoulder"]
    assert len(OCCLUDED) == 13


def test_a_video_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video.write(tmp_path / "a.mp4", np.zeros((3, 32, 32, 3), np.uint8), 8)
    clip = ClipRecord("a", "a.mp4", None, "real", "ground")
    save_manifest(Manifest(tmp_path, (), (clip,)), tmp_path / "manifest.csv")
    assert main([str(tmp_path / "manifest.csv"), str(tmp_path / "out"), "--sides", "9"]) == 2
    assert "clip 'a': has 3 frames; name clips of one frame" in capsys.readouterr().err


def test_nothing_to_do_and_nobody_to_occlude_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = photographs(tmp_path)
    assert main([str(file), str(tmp_path / "out")]) == 2
    np.savez(tmp_path / "pose.npz", keypoints=np.zeros((1, 17, 3), np.float32))
    assert main([str(file), str(tmp_path / "out"), "--occlusions", "0.2"]) == 2
    first, second = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert first == "error: nothing to do; give --sides, --blurs or --occlusions"
    assert second == "error: clip '0': has no joint to occlude; leave the clip out"
