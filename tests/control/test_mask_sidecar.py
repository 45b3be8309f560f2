"""`vidda mask` with poses and depth: one decode, each model's own values, and flat memory."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from tests.clips import moving
from tests.tiny_tflite import write_blazepose
from tests.tiny_transformers import write_depth, write_vitpose
from vidda import video
from vidda.control import blazepose_networks, blazepose_people
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.blazepose_people import BlazePoseBoxes
from vidda.control.clip_estimators import ClipEstimators
from vidda.control.depth import DepthAnythingConfig
from vidda.control.keypoints import Pose
from vidda.control.mask_job import MaskJobConfig, run
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.control.topdown import WINDOW
from vidda.control.track import track_people
from vidda.control.vitpose import VitPoseConfig
from vidda.data import load_manifest
from vidda.data.sidecar_headers import read_headers
from vidda.errors import ViddaError
from vidda.sidecar import default_sidecar
from vidda.types import ClipRecord
from vidda.weights import Folder

FRAMES = moving(WINDOW + 3, 56, 112)
CLIP = ClipRecord("clip.mp4", "clip.mp4", None, "real", "ground")
Arrays = dict[str, np.ndarray]


def write_sidecar(folder: Path, **keys: Any) -> Arrays:
    """The arrays that `vidda mask` writes of a clip of `FRAMES`, people by the tiny BlazePose."""
    if not (folder / "clip.mp4").exists():
        video.write(folder / "clip.mp4", FRAMES, 8)
    networks = write_blazepose(folder / "blazepose", next_side=1)
    keys.setdefault("source", BlazePoseConfig(weights=networks))
    config = MaskJobConfig(input=folder / "clip.mp4", out=folder / "out", **keys)
    assert run(config, dry_run=False, resume=False) == 0
    manifest = load_manifest(folder / "out")
    (clip,) = manifest.clips
    assert clip.meta.get("pose") == (config.pose and config.pose.name)
    with np.load(manifest.root / clip.meta["sidecar"]) as content:
        return dict(content)


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    """A list of one number, which grows at each call of a function."""
    calls, called = [0], getattr(owner, name)

    def counted(*arguments: Any, **keys: Any) -> Any:
        calls[0] += 1
        return called(*arguments, **keys)

    monkeypatch.setattr(owner, name, counted)
    return calls


def vitpose(folder: Path, **keys: Any) -> VitPoseConfig:
    return VitPoseConfig(weights=Folder(path=write_vitpose(folder)), device="cpu", **keys)


def depth(folder: Path, *, metric: bool = False) -> DepthAnythingConfig:
    return DepthAnythingConfig(weights=Folder(path=write_depth(folder, metric)), device="cpu")


def test_poses_and_depth_of_one_decode_are_each_models_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = count_calls(monkeypatch, video, "stream")
    pose, distance = vitpose(tmp_path / "pose"), depth(tmp_path / "depth")
    found = write_sidecar(tmp_path, pose=pose, depth=distance)
    assert decoded == [1]
    frames = video.read(tmp_path / "clip.mp4")
    expected = pose.build().estimate(frames, None, CLIP, tmp_path)
    np.testing.assert_allclose(found["keypoints"][..., :2], expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(found["keypoint_scores"], expected.scores, atol=1e-5)
    seen = (expected.keypoints >= -0.5) & (expected.keypoints <= (111.5, 55.5))
    visible = seen.all(axis=-1) & (expected.scores >= 0.3)
    np.testing.assert_array_equal(found["keypoints"][..., 2], 2 * visible)
    assert 0 < visible.mean() < 1
    alone = distance.build().estimate(frames)
    assert found["inverse_depth"].dtype == np.float16 and np.ptp(alone) > 0.1
    np.testing.assert_allclose(found["inverse_depth"], alone, rtol=2e-3, atol=1e-3)
    assert found["mask"].shape == frames.shape[:3] and found["found"].all()


def test_masks_without_poses_are_the_same(tmp_path: Path) -> None:
    with_poses = write_sidecar(tmp_path / "a", pose=vitpose(tmp_path / "pose"))
    without = write_sidecar(tmp_path / "b")
    assert set(without) == {"mask", "regions", "found"}
    assert set(with_poses) == {*without, "keypoints", "keypoint_scores"}
    for name, array in without.items():
        np.testing.assert_array_equal(with_poses[name], array)


def test_blazepose_of_equal_settings_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = BlazePoseConfig(weights=write_blazepose(tmp_path / "networks"), people=2)
    detected = count_calls(monkeypatch, blazepose_networks.BlazePoseNetworks, "detect")
    found = write_sidecar(tmp_path / "a", source=source, pose=source)
    assert detected == [len(FRAMES)]
    assert "poses by blazepose, from the same run of its networks" in capsys.readouterr().out
    other = source.model_copy(update={"people": 1})
    twice = write_sidecar(tmp_path / "b", source=source, pose=other)
    assert detected == [3 * len(FRAMES)]
    assert "different settings, so BlazePose runs twice" in capsys.readouterr().out
    for name, array in found.items():
        np.testing.assert_array_equal(twice[name], array)
    frames = video.read(tmp_path / "a" / "clip.mp4")
    expected = source.build().estimate(frames, None, CLIP, tmp_path)
    np.testing.assert_array_equal(found["keypoints"][..., :2], expected.keypoints)


@pytest.mark.parametrize("people", ["all", "main"])
def test_sidecar_poses_are_those_that_were_estimated(tmp_path: Path, people: str) -> None:
    both = write_blazepose(tmp_path / "both", cells=((3, 14), (24, 14)))
    source = BlazePoseConfig(weights=both, people=2)
    write_sidecar(tmp_path, source=source, pose=source, people=people)
    frames = video.read(tmp_path / "clip.mp4")
    expected = track_people(source.build().estimate(frames, None, CLIP, tmp_path))
    manifest = load_manifest(tmp_path / "out")
    pose = SidecarPosesConfig().build().estimate(frames, None, manifest.clips[0], manifest.root)
    if people == "main":
        assert pose.scores.shape == (len(frames), 1, 17)
        expected = Pose(expected.keypoints[:, :1], expected.scores[:, :1])
        pose = Pose(pose.keypoints[..., 1:], pose.scores)  # both are as high and as large
        expected = Pose(expected.keypoints[..., 1:], expected.scores)
    np.testing.assert_allclose(pose.keypoints, expected.keypoints, atol=1e-4)
    np.testing.assert_array_equal(pose.scores, expected.scores)


def test_blazepose_boxes_follow_people_over_the_whole_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = BlazePoseBoxes(weights=write_blazepose(tmp_path / "blazepose"))
    estimator = vitpose(tmp_path / "pose", boxes=boxes).build()
    started = count_calls(monkeypatch, blazepose_people, "follow_people")
    streamed = np.stack(list(estimator.stream_joints(iter(FRAMES), CLIP, tmp_path)))
    assert started == [1]
    expected = estimator.estimate(FRAMES, None, CLIP, tmp_path)
    np.testing.assert_allclose(streamed[..., :2], expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(streamed[..., 2], expected.scores, atol=1e-5)


def test_a_window_without_people_has_no_poses(tmp_path: Path) -> None:
    nobody = BlazePoseConfig(weights=write_blazepose(tmp_path / "nobody", cells=()))
    estimators = ClipEstimators(nobody, nobody)
    shapes = {found.joints.shape for found in estimators.estimate(iter(FRAMES), CLIP, tmp_path)}
    assert shapes == {(0, 17, 3)}
    boxed = vitpose(tmp_path / "pose", boxes=BlazePoseBoxes(weights=tmp_path / "nobody"))
    found = list(boxed.build().stream_joints(iter(FRAMES), CLIP, tmp_path))
    assert len(found) == len(FRAMES) and found[0].shape == (0, 17, 3)


def test_frames_are_taken_a_few_at_a_time(tmp_path: Path) -> None:
    source = BlazePoseConfig(weights=write_blazepose(tmp_path / "blazepose"))
    estimators = ClipEstimators(source, vitpose(tmp_path / "pose"), depth(tmp_path / "depth"))
    taken = [0]

    def frames() -> Iterator[np.ndarray]:
        for frame in [*FRAMES] * 4:
            taken[0] += 1
            yield frame

    for number, _ in enumerate(estimators.estimate(frames(), CLIP, tmp_path), 1):
        assert taken[0] <= number + WINDOW


def test_meters_become_millimeters(tmp_path: Path) -> None:
    model = depth(tmp_path / "depth", metric=True)
    found = write_sidecar(tmp_path, depth=model)
    assert "inverse_depth" not in found and found["depth"].dtype == np.uint16
    meters = model.build().estimate(video.read(tmp_path / "clip.mp4"))
    assert 0 < meters.min() < meters.max() < 65
    np.testing.assert_allclose(found["depth"], 1000 * meters, atol=0.6)


class Distances:
    """An estimator of depth with distances that no array of millimeters can hold."""

    metric = True

    def estimate(self, frames: np.ndarray, report_progress: object = None) -> np.ndarray:
        row = np.resize([0.0, 1.2344, 65.5341, 65.6, 1e9, np.inf, np.nan], frames.shape[2])
        return np.broadcast_to(row.astype(np.float32), frames.shape[:3])


def test_what_is_too_far_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DepthAnythingConfig, "build", lambda _: Distances())
    found = write_sidecar(tmp_path, depth=DepthAnythingConfig())
    assert found["depth"][0, 0, :7].tolist() == [0, 1234, 65534, 65535, 65535, 65535, 65535]


def test_an_older_sidecar_keeps_what_is_not_estimated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(FRAMES)
    older = {
        "keypoints": np.ones((count, 17, 3), np.float32),
        "depth": np.arange(count * 4, dtype=np.uint16).reshape(count, 2, 2),
        "speed": np.arange(count),
    }
    file = tmp_path / default_sidecar("clip.mp4")
    file.parent.mkdir()
    np.savez(file, **older)
    video.write(tmp_path / "clip.mp4", FRAMES, 8)
    (tmp_path / "manifest.csv").write_text(f"path,sidecar\nclip.mp4,{file.relative_to(tmp_path)}\n")
    source = BlazePoseConfig(weights=write_blazepose(tmp_path / "blazepose"))
    config = MaskJobConfig(
        input=tmp_path / "manifest.csv", out=tmp_path / "out", source=source, pose=source
    )
    assert run(config, dry_run=False, resume=False) == 0
    assert "1 clips have keypoints already" in capsys.readouterr().out
    (made,) = (tmp_path / "out" / "sidecar").glob("*.npz")
    with np.load(made) as content:
        assert content["keypoints"].shape == (count, 1, 17, 3)
        for name in ("depth", "speed"):
            np.testing.assert_array_equal(content[name], older[name])
    np.savez(file, **{**older, "speed": np.arange(count - 1)})
    again = config.model_copy(update={"out": tmp_path / "again"})
    assert run(again, dry_run=False, resume=False) == 1
    assert "rows of speed for" in (tmp_path / "again" / "failed.csv").read_text()


def test_headers_are_read_without_the_arrays(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, a=np.zeros((3, 4), np.uint16), b=np.asfortranarray(np.ones((2, 5))))
    headers = read_headers(file)
    assert (headers["a"].shape, headers["a"].dtype) == ((3, 4), np.uint16)
    assert (headers["a"].by_columns, headers["b"].by_columns) == (False, True)
    np.savez(file, a=np.array([{}]))
    with pytest.raises(ViddaError, match="a holds Python objects"):
        read_headers(file)
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ViddaError, match="damaged"):
        read_headers(file)


PEAK = """
import re, sys
from pathlib import Path
from vidda.control.mask_job import MaskJobConfig, run
from vidda.config import load

run(load(MaskJobConfig, Path(sys.argv[1])), dry_run=False, resume=False)
print(re.search("VmHWM: *(.*) kB", Path("/proc/self/status").read_text())[1])
"""
"""The peak of `getrusage` would be at least that of the process that starts this one."""


def peak_mib(folder: Path, length: int, models: Path) -> float:
    """The peak memory of `vidda mask` on one clip, in a process of its own, in MiB."""

    def frames() -> Iterable[np.ndarray]:
        for t in range(length):
            yield FRAMES[t % len(FRAMES)].repeat(4, 0).repeat(4, 1)

    folder.mkdir()
    video.write(folder / "clip.mp4", frames(), 8)
    text = f"""
input: {folder / "clip.mp4"}
out: {folder / "out"}
source: &people {{name: blazepose, weights: {models / "blazepose"}}}
pose: *people
depth: {{name: depth_anything, weights: {{name: folder, path: {models / "depth"}}}, device: cpu}}
"""
    (folder / "mask.yaml").write_text(text)
    command = [sys.executable, "-c", PEAK, str(folder / "mask.yaml")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak memory")
def test_peak_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    write_blazepose(tmp_path / "blazepose", next_side=1)
    write_depth(tmp_path / "depth")
    lengths = (64, 256)  # after the first ones the decoder and the libraries take no more
    short, long = (peak_mib(tmp_path / str(length), length, tmp_path) for length in lengths)
    # The 192 frames more have 55 MiB of pixels, and 37 MiB of depth.
    assert long - short < 24
