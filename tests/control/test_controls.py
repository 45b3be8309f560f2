"""Controls of a clip, each by itself, and that a cache returns nothing else."""

import multiprocessing
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from tests.sidecars import rendered, write_clip
from vidda.control.array_cache import ArrayCache
from vidda.control.cache_keys import config_identity
from vidda.control.clip_flow import STEPS_PER_PIXEL, pack_flow, unpack_flow
from vidda.control.control_config import ControlConfig, Smoothing
from vidda.control.controls import ControlReader, Controls
from vidda.control.draw_pose import draw_openpose
from vidda.control.edges import CannyEdges, FixedThresholds, MedianThresholds, SoftEdges
from vidda.control.flow import DisConfig, RaftConfig, occlusion_mask
from vidda.control.onnx_estimator import RtmposeOnnxConfig
from vidda.control.pose import Pose
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.control.track import smooth_pose, track_people
from vidda.control.vitpose import VitPoseConfig
from vidda.errors import ViddaError
from vidda.types import ClipRecord
from vidda.weights import Folder

CLIP = ClipRecord("clip", "clip.mp4", 0, "synthetic", "ground")
NOWHERE = Path("nowhere")
SPAWN = multiprocessing.get_context("spawn")
QUICK = ControlConfig(flow=DisConfig(preset="fast"))


def same(a: Controls, b: Controls) -> bool:
    """Whether two clips' controls are alike in every bit."""

    def arrays(controls: Controls) -> list[np.ndarray | None]:
        values = [getattr(controls, field.name) for field in fields(Controls)]
        pose = controls.pose
        plain = [v for v in values if not isinstance(v, Pose)]
        return plain + ([] if pose is None else [pose.keypoints, pose.scores])

    return all(
        (x is None and y is None)
        or (x is not None and y is not None and x.dtype == y.dtype and np.array_equal(x, y))
        for x, y in zip(arrays(a), arrays(b), strict=True)
    )


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npz"))


def test_each_part_is_what_its_own_module_gives(tmp_path: Path) -> None:
    clip = rendered(frames=5, size=64)
    record = write_clip(tmp_path, clip)
    config = ControlConfig(pose=SidecarPosesConfig(), threshold=0.4, line_width=2.0)
    found = ControlReader(config, None).read(clip.frames, record, tmp_path)
    np.testing.assert_array_equal(found.edges, CannyEdges().edges(clip.frames))

    raw = SidecarPosesConfig().build().estimate(clip.frames, None, record, tmp_path)
    pose = smooth_pose(track_people(raw), 0.4)
    assert found.pose is not None
    np.testing.assert_array_equal(found.pose.keypoints, pose.keypoints)
    np.testing.assert_array_equal(found.pose_maps, draw_openpose(pose, 64, 64, 0.4, 2.0))

    dis = DisConfig().build()
    assert found.flow_previous is not None and found.flow_anchor is not None
    assert found.occluded_previous is not None and found.occluded_anchor is not None
    for f in range(1, 5):
        for other, flow, hidden in (
            (f - 1, found.flow_previous, found.occluded_previous),
            (0, found.flow_anchor, found.occluded_anchor),
        ):
            forward = dis.flow(clip.frames[f], clip.frames[other])
            backward = dis.flow(clip.frames[other], clip.frames[f])
            assert np.abs(flow[f] - forward).max() <= 0.5 / STEPS_PER_PIXEL + 1e-6
            np.testing.assert_array_equal(hidden[f], occlusion_mask(forward, backward))
    assert found.flow_previous.dtype == found.flow_anchor.dtype == np.float16
    for first in (found.flow_previous, found.flow_anchor, found.occluded_previous):
        assert not first[0].any()


def test_what_is_not_asked_for_is_none() -> None:
    config = ControlConfig(edges=None, flow=None)
    found = ControlReader(config, None).read(moving(2), CLIP, NOWHERE)
    assert all(getattr(found, field.name) is None for field in fields(Controls))
    only = ControlReader(ControlConfig(flow=None), None).read(moving(2), CLIP, NOWHERE)
    assert only.edges is not None and only.flow_anchor is None


def test_a_clip_of_one_frame_has_no_motion() -> None:
    found = ControlReader(ControlConfig(), None).read(moving(1), CLIP, NOWHERE)
    assert found.flow_previous is not None and found.flow_previous.shape == (1, 48, 64, 2)
    assert not found.flow_previous.any()


class Counting:
    """DIS, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._dis = QUICK.flow.build() if QUICK.flow else None

    def flow(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.asked += 1
        assert self._dis is not None
        return self._dis.flow(a, b)


def test_only_the_flow_that_is_needed_is_computed(tmp_path: Path) -> None:
    frames = moving(4)
    whole = ControlReader(QUICK, None).read(frames, CLIP, NOWHERE)
    reader = ControlReader(QUICK, tmp_path, ("previous",))
    vars(reader)["_flow"] = counting = Counting()
    found = reader.read(frames, CLIP, NOWHERE)
    assert counting.asked == 2 * 3  # there and back, for every frame but the first
    assert found.flow_anchor is found.occluded_anchor is None
    assert found.flow_previous is not None and whole.flow_previous is not None
    np.testing.assert_array_equal(found.flow_previous, whole.flow_previous)
    # What is asked for later is added to the same cache.
    assert same(ControlReader(QUICK, tmp_path).read(frames, CLIP, NOWHERE), whole)
    assert len(entries(tmp_path)) == 3


def test_a_pose_is_in_pixels_of_the_frames_given_and_of_those_asked_for(tmp_path: Path) -> None:
    clip = rendered(frames=6, size=64)
    record = write_clip(tmp_path, clip)
    config = ControlConfig(edges=None, flow=None, pose=SidecarPosesConfig(), smoothing=None)
    larger = clip.frames[[4, 2]].repeat(2, axis=1).repeat(2, axis=2)
    found = ControlReader(config, tmp_path / "cache").read(
        larger, record, tmp_path, np.array([4, 2])
    )
    assert found.pose is not None and found.pose_maps is not None
    truth = (clip.keypoints[[4, 2], :, :2] + 0.5) * 2 - 0.5
    np.testing.assert_allclose(found.pose.keypoints[:, 0], truth, atol=1e-3)
    assert found.pose_maps.shape == (2, 128, 128, 3)
    assert entries(tmp_path / "cache") == []  # a sidecar is a file already


def test_a_cache_gives_the_same_and_computes_nothing_twice(tmp_path: Path) -> None:
    frames = moving(4)
    plain = ControlReader(QUICK, None).read(frames, CLIP, NOWHERE)
    first = ControlReader(QUICK, tmp_path).read(frames, CLIP, NOWHERE)
    written = {path: path.stat().st_mtime_ns for path in entries(tmp_path)}
    assert len(written) == 3
    again = ControlReader(QUICK, tmp_path)
    second = again.read(frames.copy(), ClipRecord("other", "b.mp4", None, "", ""), tmp_path)
    assert same(plain, first) and same(first, second)
    assert "_flow" not in vars(again), "the estimator was built though nothing was to estimate"
    assert {path: path.stat().st_mtime_ns for path in entries(tmp_path)} == written


def test_one_changed_choice_leaves_the_other_parts_in_the_cache(tmp_path: Path) -> None:
    frames = moving(3)

    def count(config: ControlConfig, shown: np.ndarray = frames) -> int:
        found = ControlReader(config, tmp_path).read(shown, CLIP, NOWHERE)
        assert same(found, ControlReader(config, None).read(shown, CLIP, NOWHERE))
        return len(entries(tmp_path))

    assert count(QUICK) == 3
    assert (
        count(
            QUICK.model_copy(
                update={"edges": CannyEdges(thresholds=FixedThresholds(low=10, high=30))}
            )
        )
        == 4
    )
    assert count(QUICK.model_copy(update={"edges": CannyEdges(thresholds=MedianThresholds())})) == 5
    assert count(QUICK.model_copy(update={"edges": SoftEdges()})) == 6
    assert count(QUICK.model_copy(update={"flow": DisConfig(preset="ultrafast")})) == 8
    changed = frames.copy()
    changed[1, 20, 20] ^= 1
    assert count(QUICK, changed) == 11
    assert count(QUICK, frames.reshape(3, 64, 48, 3)) == 14


def test_a_files_content_decides_and_not_its_place_or_the_device(tmp_path: Path) -> None:
    a, b = tmp_path / "a.pth", tmp_path / "b.pth"
    a.write_bytes(b"one")
    b.write_bytes(b"one")
    first = config_identity(RaftConfig(weights=a))
    assert config_identity(RaftConfig(weights=b, device="cpu")) == first
    assert config_identity(RaftConfig(weights=a, updates=3)) != first
    b.write_bytes(b"two")
    assert config_identity(RaftConfig(weights=b)) != first


def test_a_models_folder_counts_with_its_files(tmp_path: Path) -> None:
    one, other = VitPoseConfig(weights=Folder(path=tmp_path / "a")), tmp_path / "b"
    for folder in (tmp_path / "a", other):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"one")
    first = config_identity(one)
    (other / "README.md").write_text("what it is")
    moved = VitPoseConfig(weights=Folder(path=other), device="cpu", download=True)
    assert config_identity(moved) == first
    (other / "model.safetensors").write_bytes(b"two")
    assert config_identity(moved) != first


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "pickle"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    frames = moving(3)
    first = ControlReader(QUICK, tmp_path).read(frames, CLIP, NOWHERE)
    place = max(entries(tmp_path), key=lambda path: path.stat().st_size)
    content = bytearray(place.read_bytes())
    if damage == "pickle":
        np.savez(place, steps=np.array([{"code": 1}], dtype=object), allow_pickle=True)
    else:
        content[len(content) // 3] ^= 0x55
        kept = {"cut": content[: len(content) // 2], "flip": content, "empty": b""}[damage]
        place.write_bytes(bytes(kept))
    with pytest.warns(UserWarning, match="damaged"):
        assert same(ControlReader(QUICK, tmp_path).read(frames, CLIP, NOWHERE), first)
    again = ControlReader(QUICK, tmp_path)
    assert same(again.read(frames, CLIP, NOWHERE), first)
    assert "_flow" not in vars(again)


def test_a_cache_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ViddaError, match="cannot be written to"):
        ControlReader(QUICK, tmp_path / "file")


def _read_all(folder: Path, order: list[int]) -> None:
    reader = ControlReader(QUICK, folder)
    for seed in order:
        frames = moving(3, seed=seed)
        expected = ControlReader(QUICK, None).read(frames, CLIP, NOWHERE)
        if not same(reader.read(frames, CLIP, NOWHERE), expected):
            raise SystemExit(1)


@pytest.mark.slow
def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    orders = [[0, 1, 2, 3], [3, 2, 1, 0]]
    jobs = [SPAWN.Process(target=_read_all, args=(tmp_path, order)) for order in orders]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
    assert [job.exitcode for job in jobs] == [0, 0]
    assert len(entries(tmp_path)) == 12
    assert not list(tmp_path.rglob(".*"))


def write_still_pose(path: Path, column: int) -> RtmposeOnnxConfig:
    """An RTMPose that sees every joint at one column of its crop, in the top row."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    bins = {"simcc_x": 2 * 24, "simcc_y": 2 * 32}
    peaks = {name: np.zeros((1, 17, count), np.float32) for name, count in bins.items()}
    peaks["simcc_x"][..., 2 * column] = peaks["simcc_y"][..., 0] = 0.9
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_peaks"], [name]) for name in peaks],
        "still",
        [helper.make_tensor_value_info("input", kind, [1, 3, 32, 24])],
        [helper.make_tensor_value_info(name, kind, [1, 17, count]) for name, count in bins.items()],
        [onnx.numpy_helper.from_array(value, f"{name}_peaks") for name, value in peaks.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return RtmposeOnnxConfig(model=path, device="cpu")


def test_an_estimators_poses_are_kept_by_model_clip_and_frames(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    source = write_still_pose(tmp_path / "pose.onnx", 4)
    config = ControlConfig(edges=None, flow=None, pose=source)
    frames = moving(3)
    first = ControlReader(config, cache).read(frames, CLIP, tmp_path)
    again = ControlReader(config, cache)
    assert same(again.read(frames, CLIP, tmp_path), first)
    assert "_pose_source" not in vars(again)
    assert same(ControlReader(config, None).read(frames, CLIP, tmp_path), first)

    smoother = config.model_copy(update={"smoothing": Smoothing(window=1), "line_width": 3.0})
    other = ControlReader(smoother, cache)
    other.read(frames, CLIP, tmp_path)
    assert "_pose_source" not in vars(other), "what is done to poses needs no other poses"
    assert len(entries(cache)) == 1

    boxed = ClipRecord("clip", "clip.mp4", 0, "", "", meta={"box_x0": "3"})
    again.read(frames, boxed, tmp_path)
    assert len(entries(cache)) == 2
    write_still_pose(tmp_path / "pose.onnx", 15)
    moved = ControlReader(config, cache).read(frames, CLIP, tmp_path)
    assert moved.pose is not None and first.pose is not None
    assert (moved.pose.keypoints[..., 0] > first.pose.keypoints[..., 0] + 5).all()


def test_frames_too_small_are_refused() -> None:
    with pytest.raises(ViddaError, match=r"clip 'clip': frames of 40x12 pixels"):
        ControlReader(QUICK, None).read(np.zeros((2, 12, 40, 3), np.uint8), CLIP, NOWHERE)


def test_loading_reports_mistakes_before_the_first_clip(tmp_path: Path) -> None:
    config = ControlConfig(flow=RaftConfig(weights=tmp_path / "absent.pth", device="cpu"))
    with pytest.raises(ViddaError, match=r"absent\.pth: no such file"):
        ControlReader(config, None).load()
    ControlReader(ControlConfig(pose=SidecarPosesConfig()), None).load()


def test_an_even_window_is_refused() -> None:
    with pytest.raises(ValueError, match="4 is even; take 5"):
        Smoothing(window=4)


def test_a_full_disk_is_left_alone(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, min_free_gib=1e9)
    with pytest.warns(UserWarning, match="would stay free"):
        found = cache.get_or_compute("ab", lambda: {"x": np.arange(3)})
    np.testing.assert_array_equal(found["x"], [0, 1, 2])
    assert entries(tmp_path) == []


def test_leftovers_of_the_killed_are_removed(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    old, fresh = (tmp_path / "ab" / f".x.{name}.part.npz" for name in "ab")
    for part in (old, fresh):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    ArrayCache(tmp_path)
    assert not old.exists() and fresh.exists()


def test_large_and_rough_flow_survives_being_kept() -> None:
    flow = np.random.default_rng(0).uniform(-1000, 1000, (20, 30, 2)).astype(np.float32)
    kept = unpack_flow(pack_flow(flow)[None])[0]
    assert kept.dtype == np.float16
    error = np.abs(kept - flow)
    assert (error <= 0.5 / STEPS_PER_PIXEL + 2.0**-11 * np.abs(flow) + 1e-4).all()
    near = np.abs(flow) <= 64
    assert near.any() and error[near].max() <= 0.5 / STEPS_PER_PIXEL + 1e-6
    beyond = unpack_flow(pack_flow(np.full((4, 4, 2), -5000, np.float32))[None])
    assert (beyond < -1023).all()
