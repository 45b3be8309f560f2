"""Depth as a control image: near is white, one scale for the clip, unknown is black."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import moving
from tests.sidecars import rendered, write_clip
from tests.tiny_transformers import write_depth
from vidda.control.control_config import ControlConfig
from vidda.control.controls import ControlReader
from vidda.control.depth import DepthAnythingConfig
from vidda.control.depth_maps import SidecarDepthConfig, depth_image, invert
from vidda.errors import ViddaError
from vidda.sidecar import sidecar_path
from vidda.types import ClipRecord
from vidda.weights import Folder

CLIP = ClipRecord("one", "one.mp4", None, "real", "ground")
DEPTH = ControlConfig(edges=None, flow=None, depth=SidecarDepthConfig())


def of_sidecar(root: Path, frames: int = 4, size: int = 48, **arrays: Any) -> ClipRecord:
    """Write a clip whose sidecar holds these arrays alone, each with a row for each frame."""
    record = write_clip(root, rendered(frames, size))
    np.savez(sidecar_path(record, root), **arrays)
    return record


def read(record: ClipRecord, root: Path, frames: np.ndarray, **more: Any) -> np.ndarray:
    found = ControlReader(DEPTH, None).read(frames, record, root, **more).depth
    assert found is not None
    return found


def test_the_nearest_pixel_of_the_clip_is_white_and_the_farthest_black() -> None:
    meters = np.array([[[1.0, 2.0], [4.0, 2.0]], [[2.0, 2.0], [4.0, 4.0]]], np.float32)
    images = depth_image(invert(meters))
    assert images.dtype == np.uint8
    # 1, 1/2 and 1/4: the second frame, which has nothing near, is not stretched.
    assert images.tolist() == [[[255, 85], [0, 85]], [[85, 85], [0, 0]]]
    assert depth_image(invert(meters * 3)).tolist() == images.tolist()
    relative = np.array([[[-3.0, 1.0]], [[-1.0, -3.0]]], np.float32)
    assert depth_image(relative).tolist() == [[[0, 255]], [[128, 0]]]


def test_unknown_pixels_are_black_and_count_as_infinitely_far() -> None:
    meters = np.array([[[5.0, 15.0]], [[np.nan, np.inf]], [[0.0, -1.0]]], np.float32)
    assert depth_image(invert(meters)).tolist() == [[[255, 85]], [[0, 0]], [[0, 0]]]
    nothing = np.full((2, 1, 2), np.nan, np.float32)
    assert not depth_image(nothing).any()


def test_the_depth_of_mini_rocog_is_the_person_on_black(tmp_path: Path) -> None:
    clip = rendered(frames=5, size=64)
    record = write_clip(tmp_path, clip)
    images = read(record, tmp_path, clip.frames)
    person = clip.depth < 65535
    assert images.shape == (5, 64, 64) and images.max() == 255
    assert not images[~person].any() and (images[person] > 128).all()
    nearest = float(clip.depth.min())
    expected = np.rint(255 * nearest / clip.depth[person].astype(float))
    assert np.abs(images[person] - expected).max() <= 1
    picked = read(record, tmp_path, clip.frames[[3, 1]], indices=np.array([3, 1]))
    assert np.array_equal(picked > 0, person[[3, 1]])
    larger = read(record, tmp_path, clip.frames.repeat(2, 1).repeat(2, 2))
    assert larger.shape == (5, 128, 128)
    assert ((larger > 0) != person.repeat(2, 1).repeat(2, 2)).mean() < 0.02


def test_a_smaller_image_mixes_no_known_pixel_with_an_unknown_one(tmp_path: Path) -> None:
    depth = np.full((4, 48, 48), 65535, np.uint16)
    depth[:, :, :23], depth[:, 0, 0] = 2000, 1000
    record = of_sidecar(tmp_path, depth=depth)
    images = read(record, tmp_path, moving(4, 24, 24))
    # Columns 22 and 23 are half known, and known pixels alone decide its depth.
    assert (images[:, 1:, :12] == images[0, 5, 5]).all() and not images[:, :, 12:].any()
    assert images[0, 5, 5] > 180


def test_inverse_depth_without_a_unit_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    inverse = np.zeros((4, 48, 48), np.float16)
    inverse[:, :, 24:], inverse[1, 0, 0] = 3, 6
    record = of_sidecar(tmp_path, inverse_depth=inverse)
    images = read(record, tmp_path, moving(4, 48, 48))
    assert np.unique(images).tolist() == [0, 128, 255] and (images[:, 1:, 24:] == 128).all()
    millimeters = np.full((4, 48, 48), 1000, np.uint16)
    record = of_sidecar(tmp_path, inverse_depth=inverse, depth=millimeters)
    assert len(np.unique(read(record, tmp_path, moving(4, 48, 48)))) == 1


@pytest.mark.parametrize("metric", [False, True])
def test_an_estimator_s_depth_is_scaled_once_and_cached(metric: bool, tmp_path: Path) -> None:
    source = DepthAnythingConfig(weights=Folder(path=write_depth(tmp_path / "w", metric)))
    config = ControlConfig(edges=None, flow=None, depth=source)
    frames = moving(3, 45, 61)
    raw = source.build().estimate(frames)
    found = ControlReader(config, tmp_path / "cache").read(frames, CLIP, tmp_path).depth
    inverse = 1 / raw if metric else raw
    expected = 255 * (inverse - inverse.min()) / np.ptp(inverse)
    assert found is not None and np.abs(found - expected).max() <= 1
    assert found.min() == 0 and found.max() == 255
    again = ControlReader(config, tmp_path / "cache")
    assert np.array_equal(again.read(frames, CLIP, tmp_path).depth, found)
    assert not again._map_sources, "the model was loaded though nothing was to estimate"


def test_what_is_missing_or_no_depth_is_told_in_a_line_with_a_remedy(tmp_path: Path) -> None:
    def fails(text: str) -> None:
        with pytest.raises(ViddaError, match=text) as error:
            read(record, tmp_path, moving(4, 48, 48))
        assert "\n" not in str(error.value)

    record = of_sidecar(tmp_path, mask=np.zeros((4, 48, 48), np.uint8))
    fails(r"one\.npz: has no array 'depth'; write one, or take depth\.name=depth_anything")
    record = of_sidecar(tmp_path, depth=np.ones((4, 48, 48)))
    fails(r"depth of float64\(4, 48, 48\); write \(T, H, W\) as uint16 in millimeters, 65535")
    record = of_sidecar(tmp_path, inverse_depth=np.ones((4, 48, 48), int))
    fails(r"inverse_depth of int64\(4, 48, 48\); write \(T, H, W\) as floats")
    sidecar_path(record, tmp_path).unlink()
    fails(r"clip 'one' has no sidecar: .* 'sidecar', or take depth\.name=depth_anything")
