"""Masks as a control: of sidecars, of skeletons, and estimated ones, over a whole clip."""

from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from tests.sidecars import rendered, write_clip
from tests.tiny_transformers import write_segmenter
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.boxes import SidecarBox
from vidda.control.control_config import ControlConfig
from vidda.control.controls import ControlReader
from vidda.control.depth_maps import SidecarDepthConfig
from vidda.control.keypoints import NobodyError
from vidda.control.mask import skeleton_mask
from vidda.control.mask_job import MaskJobConfig
from vidda.control.mask_rcnn import MaskRcnnConfig
from vidda.control.mask_source import PeopleSegmenterConfig
from vidda.control.mask_tracks import MaskTracker
from vidda.control.people_masks import (
    LONGEST_GAP,
    NEIGHBORS,
    THRESHOLD,
    SidecarMasksConfig,
    SkeletonMasksConfig,
)
from vidda.control.segmentation_maps import SidecarSegmentationConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.errors import ViddaError
from vidda.sidecar import sidecar_path
from vidda.types import ClipRecord
from vidda.weights import Folder

CLIP = ClipRecord("one", "one.mp4", None, "real", "ground")
BARE = ControlConfig(edges=None, flow=None)


def test_the_sidecar_s_mask_and_the_skeleton_s(tmp_path: Path) -> None:
    clip = rendered(frames=4, size=64)
    record = write_clip(tmp_path, clip)
    own = BARE.model_copy(update={"mask": SidecarMasksConfig()})
    found = ControlReader(own, None).read(clip.frames, record, tmp_path)
    assert found.mask is not None and np.array_equal(found.mask, clip.mask > 0)
    drawn = ControlConfig(
        edges=None, flow=None, pose=SidecarPosesConfig(), mask=SkeletonMasksConfig(), threshold=0.6
    )
    found = ControlReader(drawn, None).read(clip.frames, record, tmp_path)
    assert found.pose is not None
    assert np.array_equal(found.mask, skeleton_mask(found.pose, 64, 64, 0.6))
    ControlReader(drawn, None).load()
    np.savez(sidecar_path(record, tmp_path), keypoints=clip.keypoints)
    with pytest.raises(ViddaError, match=r"has no array 'mask'; write one, or let `vidda mask`"):
        ControlReader(own, None).read(clip.frames, record, tmp_path)


def test_maps_of_a_sidecar_are_read_again_each_time(tmp_path: Path) -> None:
    clip = rendered(frames=3, size=48)
    record = write_clip(tmp_path, clip)
    names = {"depth": SidecarDepthConfig(), "segmentation": SidecarSegmentationConfig()}
    config = BARE.model_copy(update={**names, "mask": SidecarMasksConfig()})
    cache = tmp_path / "cache"
    before = ControlReader(config, cache).read(clip.frames, record, tmp_path)
    depth = np.where(clip.depth < 65535, 65535, 3000).astype(np.uint16)
    np.savez(sidecar_path(record, tmp_path), mask=clip.mask == 0, depth=depth)
    after = ControlReader(config, cache).read(clip.frames, record, tmp_path)
    assert before.mask is not None and np.array_equal(after.mask, ~before.mask)
    assert before.depth is not None and after.depth is not None
    assert np.array_equal(after.depth > 0, before.depth == 0)
    assert not np.array_equal(after.segmentation, before.segmentation)
    assert not list(cache.rglob("*.npz"))


def test_a_skeleton_needs_poses() -> None:
    config = ControlConfig(mask=SkeletonMasksConfig())
    with pytest.raises(ViddaError, match="skeleton is drawn from poses, and pose is null"):
        ControlReader(config, None)


def test_estimated_masks_are_those_of_vidda_mask(tmp_path: Path) -> None:
    defaults = MaskJobConfig(input=Path("in"), out=Path("out"))
    assert (defaults.longest_gap, defaults.threshold) == (LONGEST_GAP, THRESHOLD)
    assert (defaults.smooth, defaults.people) == (NEIGHBORS, "all")
    weights = Folder(path=write_segmenter(tmp_path / "w", "dpt"))
    source = PeopleSegmenterConfig(weights=weights, device="cpu")
    frames = moving(5, 45, 61)
    counts: list[int] = []
    config = BARE.model_copy(update={"mask": source})
    found = ControlReader(config, None).read(frames, CLIP, tmp_path, report_progress=counts.append)
    tracker = MaskTracker(45, 61, LONGEST_GAP)
    for masks in source.build().find_masks(frames, CLIP, tmp_path):
        tracker.add(masks)
    expected = list(tracker.masks(THRESHOLD, NEIGHBORS, main=False))
    assert found.mask is not None and found.mask.dtype == bool and found.mask.any()
    assert np.array_equal(found.mask, expected)
    assert sum(counts) == 5 and len(counts) == 5


def test_boxes_are_those_of_the_frames_that_were_picked(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from tests.control.test_blazepose import networks

    clip = rendered(frames=6, size=64)
    record = write_clip(tmp_path, clip)
    box = np.zeros((6, 4), np.float32)
    box[4:] = 8, 8, 56, 60  # in the first frames nobody is known
    np.savez(sidecar_path(record, tmp_path), box=box)
    source = BlazePoseConfig(weights=networks(tmp_path / "w"), boxes=SidecarBox())
    reader = ControlReader(BARE.model_copy(update={"mask": source}), tmp_path / "cache")
    found = reader.read(clip.frames[4:], record, tmp_path, np.array([4, 5]))
    assert found.mask is not None and found.mask.any(axis=(1, 2)).all()
    with pytest.raises(NobodyError, match=r"blazepose finds nobody in 2 frames .* mask\.boxes"):
        reader.read(clip.frames[:2], record, tmp_path, np.array([0, 1]))
    # Other boxes in the sidecar make another mask, and leave the first one in the cache.
    box[4:] = 0, 0, 20, 20
    np.savez(sidecar_path(record, tmp_path), box=box)
    moved = reader.read(clip.frames[4:], record, tmp_path, np.array([4, 5]))
    assert not np.array_equal(moved.mask, found.mask)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 2


def test_mistakes_name_the_key_of_the_mask(tmp_path: Path) -> None:
    absent = MaskRcnnConfig(weights=tmp_path / "none.safetensors", device="cpu")
    nowhere = PeopleSegmenterConfig(weights=Folder(path=tmp_path / "none"), device="cpu")
    for source in (absent, nowhere):
        with pytest.raises(ViddaError, match=r"mask\.weights"):
            ControlReader(BARE.model_copy(update={"mask": source}), None).load()
