"""Key points and boxes that a dataset keeps beside its clips."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.sidecars import rendered, write_clip
from vidda import video
from vidda.control.boxes import SidecarBox
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.errors import ViddaError
from vidda.mini.clip import RenderedClip
from vidda.sidecar import default_sidecar
from vidda.types import ClipRecord

SOURCE = SidecarPosesConfig().build()


@pytest.fixture(scope="module")
def clip() -> RenderedClip:
    return rendered()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, clip: RenderedClip) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    write_clip(folder, clip)
    return folder


RECORD = ClipRecord("one", "syn/ground/one.mp4", 0, "synthetic", "ground")


def test_at_the_clips_own_size_the_truth_comes_back(clip: RenderedClip, root: Path) -> None:
    pose = SOURCE.estimate(clip.frames, None, RECORD, root)
    np.testing.assert_allclose(pose.keypoints[:, 0], clip.keypoints[..., :2], atol=1e-4)
    wanted = np.array([0.0, 0.5, 1.0])[clip.keypoints[..., 2].astype(int)]
    np.testing.assert_array_equal(pose.scores[:, 0], wanted)
    assert len(np.unique(wanted)) > 1
    assert pose.keypoints.dtype == pose.scores.dtype == np.float32


@pytest.mark.parametrize("size", [(32, 32), (128, 96)])
def test_joints_follow_what_resizing_does_to_the_picture(
    clip: RenderedClip, root: Path, size: tuple[int, int]
) -> None:
    """A blob drawn at a wrist and resized like the frames is where the scaled wrist is."""
    height, width = size
    wrist = clip.keypoints[3, 9, :2]
    y, x = np.mgrid[:64, :64]
    blob = np.exp(-((x - wrist[0]) ** 2 + (y - wrist[1]) ** 2) / 8.0)
    how = cv2.INTER_AREA if height < 64 else cv2.INTER_LINEAR
    small = cv2.resize(blob, (width, height), interpolation=how)
    y, x = np.mgrid[:height, :width]
    center = np.array([(small * x).sum(), (small * y).sum()]) / small.sum()
    frames = np.zeros((8, height, width, 3), np.uint8)
    pose = SOURCE.estimate(frames, None, RECORD, root)
    np.testing.assert_allclose(pose.keypoints[3, 0, 9], center, atol=0.05)


def test_indices_pick_the_rows_of_the_frames_given(clip: RenderedClip, root: Path) -> None:
    numbers = np.array([6, 1, 1])
    pose = SOURCE.estimate(clip.frames[numbers], None, RECORD, root, numbers)
    np.testing.assert_allclose(pose.keypoints[:, 0], clip.keypoints[numbers, :, :2], atol=1e-4)
    boxes = SidecarBox().find(clip.frames[numbers], RECORD, root, numbers)
    np.testing.assert_allclose(boxes[:, 0], clip.box[numbers])


def test_several_people_keep_their_places(clip: RenderedClip, tmp_path: Path) -> None:
    record = write_clip(tmp_path, clip)
    both = np.stack([clip.keypoints, clip.keypoints + np.array([10, 0, 0])], axis=1)
    np.savez(tmp_path / "both.npz", keypoints=both)
    record = ClipRecord("one", record.path, 0, "real", "air", meta={"sidecar": "both.npz"})
    pose = SOURCE.estimate(clip.frames, None, record, tmp_path)
    assert pose.scores.shape == (8, 2, 17)
    np.testing.assert_allclose(pose.keypoints, both[..., :2], atol=1e-4)


def test_boxes_scale_with_the_frames_and_an_empty_one_is_nobody(
    clip: RenderedClip, tmp_path: Path
) -> None:
    record = write_clip(tmp_path, clip)
    box = clip.box.copy()
    box[2] = 0
    np.savez(tmp_path / default_sidecar(record.path), box=box)
    frames = np.zeros((8, 32, 128, 3), np.uint8)
    found = SidecarBox().find(frames, record, tmp_path, None)
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[3, 0], clip.box[3] * (2.0, 0.5, 2.0, 0.5))
    with pytest.raises(ViddaError, match="has no person in these frames"):
        SidecarBox().find(frames[:1], record, tmp_path, np.array([2]))


def test_what_is_wrong_with_a_sidecar_is_reported(clip: RenderedClip, tmp_path: Path) -> None:
    record = write_clip(tmp_path, clip)

    def fails(text: str, frames: np.ndarray = clip.frames, **more: np.ndarray) -> None:
        with pytest.raises(ViddaError, match=text) as error:
            SOURCE.estimate(frames, None, record, tmp_path, **more)
        assert "\n" not in str(error.value)

    fails("8 rows of keypoints for 5 frames of clip 'one'; give their", clip.frames[:5])
    fails("no row for frame 8 of clip 'one', only 0..7", clip.frames[:1], indices=np.array([8]))
    file = tmp_path / default_sidecar(record.path)
    np.savez(file, box=clip.box)
    fails("has no array 'keypoints'")
    np.savez(file, keypoints=clip.keypoints[:, :14])
    fails(r"shape \(8, 14, 3\), not \(T, 17, 3\)")
    np.savez(file, keypoints=np.array([{}] * 8, dtype=object))
    fails("damaged")
    file.write_bytes(file.read_bytes()[:100])
    fails("damaged")
    with file.open("wb") as stream:
        np.save(stream, clip.keypoints)
    fails("damaged .one array, not an archive of several by name.; write it again by numpy.savez")
    file.unlink()
    fails("clip 'one' has no sidecar: .* take pose.name=mmpose, onnx, blazepose or vitpose")
    record = ClipRecord("one", record.path, 0, "real", "air", meta={"sidecar": "../x.npz"})
    fails("leaves")


def test_the_clips_on_disk_are_those_that_the_truth_is_about(
    clip: RenderedClip, root: Path
) -> None:
    """Guards the tests above: frames are compared with what was rendered."""
    frames = video.read(root / RECORD.path)
    assert np.abs(frames.astype(int) - clip.frames).mean() < 6
