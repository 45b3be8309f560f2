"""A target's cameras for whole manifests: what comes out, and that a kill does not change it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.translate.translations import write_source, written
from vidda import video
from vidda.camera.camera_statistics import CameraStatistics
from vidda.camera.estimate import measure_clip
from vidda.camera.job import CameraJobConfig, camera_matched_frames, run
from vidda.data import load_manifest
from vidda.data.derived import VIDEOS
from vidda.data.join_manifests import join_manifests
from vidda.data.manifest import save_manifest
from vidda.data.versions import Version
from vidda.errors import ViddaError
from vidda.mini.clip import FACTORS, render
from vidda.mini.layout import Sizes, plans
from vidda.sidecar import sidecar_path
from vidda.types import ClipRecord, Manifest

SIDE, FRAMES = 64, 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real clips of MiniRoCoG, larger and at more frames a second than the source's."""
    root = tmp_path_factory.mktemp("target")
    real = [p for p in plans(0, Sizes(1, 1, 4, 1), FACTORS) if p.path.startswith("real/ground")]
    records = []
    for number, plan in enumerate(real[:4]):
        path = f"{number}.mp4"
        video.write(root / path, render(plan.scene, FRAMES, 16.0, SIDE).frames, 16.0)
        records.append(ClipRecord(path, path, number % 2, "real", "ground"))
    save_manifest(Manifest(root, ("Halt", "Rally"), tuple(records)), root / "manifest.csv")
    return root / "manifest.csv"


def content(source: Path, target: Path, out: Path, **more: Any) -> dict[str, Any]:
    return {"input": str(source), "target": str(target), "out": str(out), "jobs": 1, **more}


def config(*places: Path, **more: Any) -> CameraJobConfig:
    return CameraJobConfig.model_validate_json(json.dumps(content(*places, **more)), strict=True)


def start(*places: Path, resume: bool = False, dry_run: bool = False, **more: Any) -> int:
    return run(config(*places, **more), dry_run=dry_run, resume=resume)


@pytest.fixture(scope="module")
def taken(source: Path, target: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("taken") / "run"
    assert start(source, target, out, copies=2) == 0
    return out


def test_labels_and_columns_stay_and_what_no_longer_holds_goes(source: Path, taken: Path) -> None:
    before, after = load_manifest(source), load_manifest(taken)
    assert after.classes == before.classes
    assert [clip.id for clip in after.clips[:3]] == [
        "clip/0@camera",
        "clip/0@camera.1",
        "clip/1@camera",
    ]
    for number, clip in enumerate(after.clips):
        parent = before.clips[number // 2]
        assert clip.parent_id == parent.id
        kept = replace(clip, id=parent.id, path=parent.path, parent_id=None, meta=parent.meta)
        assert kept == parent
        assert clip.meta == {"scene": parent.meta["scene"]}
        assert not sidecar_path(clip, after.root).exists()
        info, old = (video.probe(m.root / c.path) for m, c in ((after, clip), (before, parent)))
        assert (info.frames, info.height, info.fps) == (old.frames, old.height, old.fps)


def test_clips_move_toward_the_target_and_each_copy_by_itself(
    source: Path, target: Path, taken: Path
) -> None:
    cameras = CameraStatistics.read(taken / "camera.json")
    assert cameras.clips == 4
    before, after = load_manifest(source), load_manifest(taken)
    blurred = 0
    for number, clip in enumerate(after.clips):
        old = video.read(before.root / before.clips[number // 2].path)
        new = video.read(after.root / clip.path)
        other = video.read(after.root / after.clips[number ^ 1].path)
        assert np.abs(new.astype(int) - other).mean() > 1, "copies are alike"
        was, now = measure_clip(old).camera, measure_clip(new).camera
        # Light is matched best, so it tells which camera was drawn.
        off = [np.abs(np.subtract(now.mean, camera.mean)).max() for camera in cameras.cameras]
        drawn = cameras.cameras[int(np.argmin(off))]
        assert min(off) < 2 < np.abs(np.subtract(was.mean, drawn.mean)).max()
        assert np.hypot(*now.shake[:2]) > 5 * np.hypot(*was.shake[:2])
        assert now.noise[0] > was.noise[0] + 0.1
        assert None not in (was.blur, now.blur, drawn.blur)
        if drawn.blur > 1.3 * was.blur:
            assert now.blur == pytest.approx(drawn.blur, rel=0.15)
            blurred += 1
    assert blurred


def test_the_target_is_measured_at_the_size_and_rate_of_the_input(
    source: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(source, target, tmp_path / "out", dry_run=True, clips=3) == 0
    output = capsys.readouterr().out
    assert "3 clips x 1, 3 to be made; cameras of 3 target clips" in output
    assert "measured at 48 pixels and 8 frames/s" in output
    assert start(source, target, tmp_path / "out", dry_run=True, size=32) == 0
    assert "at 32 pixels" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_version_depends_on_seed_id_and_copy_alone(source: Path, taken: Path) -> None:
    manifest, places = load_manifest(source), (Path("in"), Path("target"), Path("out"))
    cameras = CameraStatistics.read(taken / "camera.json")

    def made(copy: int, **more: Any) -> np.ndarray:
        version = Version(manifest.clips[1], copy, "")
        return camera_matched_frames(config(*places, **more), manifest.root, cameras, version)[0]

    first = made(0)
    assert (made(0, copies=5) == first).all()
    assert (made(1) != first).any() and (made(0, seed=1) != first).any()


@pytest.mark.parametrize("module", ["vidda.camera.job", "vidda.data.randomize", "vidda.mini.job"])
def test_workers_that_make_clips_start_without_torch(module: str) -> None:
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_without_shake_key_points_stay_true(source: Path, target: Path, tmp_path: Path) -> None:
    before = load_manifest(source)
    bare = replace(before.clips[2], meta={})  # found at MiniRoCoG's place for it
    listed = Manifest(before.root, before.classes, (replace(before.clips[0], parent_id="x"), bare))
    translated = replace(listed, clips=tuple(replace(c, domain="translated") for c in listed.clips))
    save_manifest(translated, tmp_path / "source" / "manifest.csv")
    out = tmp_path / "out"
    assert start(tmp_path / "source", target, out, match={"shake": False}) == 0
    after = load_manifest(out)
    for clip, parent in zip(after.clips, listed.clips, strict=True):
        assert clip.domain == "translated" and clip.parent_id == parent.id
        assert clip.meta["sidecar"].startswith("sidecar/")
        with (
            np.load(sidecar_path(clip, after.root)) as truth,
            np.load(sidecar_path(parent, before.root)) as old,
        ):
            assert truth.files == old.files
            np.testing.assert_array_equal(truth["keypoints"], old["keypoints"])


def test_two_runs_on_the_same_clips_can_be_trained_on_together(
    source: Path, target: Path, taken: Path, tmp_path: Path
) -> None:
    assert start(source, target, tmp_path / "other", name="other", seed=1) == 0
    other = load_manifest(tmp_path / "other")
    assert [clip.id for clip in other.clips] == ["clip/0@other", "clip/1@other", "clip/2@other"]
    both = join_manifests((load_manifest(taken), other))
    assert len(both) == 9
    assert all((both.root / clip.path).is_file() for clip in both.clips)
    with pytest.raises(ViddaError, match=r"clip id 'clip/0@other' is duplicated"):
        join_manifests((other, replace(other, root=taken)))


def test_images_stay_images(target: Path, tmp_path: Path) -> None:
    root = tmp_path / "images"
    picture = video.read(target.parent / "0.mp4")[0]
    for name in ("a.png", "b.jpg.png"):
        (root / name).parent.mkdir(exist_ok=True)
        video.write_png(root / name, picture[None])
    records = tuple(
        ClipRecord(name, name, None, "synthetic", "object") for name in ("a.png", "b.jpg.png")
    )
    save_manifest(Manifest(root, (), records), root / "manifest.csv")
    assert start(root, target, tmp_path / "out", copies=2) == 0
    after = load_manifest(tmp_path / "out")
    assert [clip.path for clip in after.clips[:2]] == ["videos/a.png", "videos/a.1.png"]
    assert all(video.read(after.root / clip.path).shape == (1, 64, 64, 3) for clip in after.clips)


def test_what_is_lost_of_a_finished_run_is_made_again(
    source: Path, target: Path, tmp_path: Path
) -> None:
    out, still = tmp_path / "out", {"shake": False}  # so that there are sidecars
    assert start(source, target, out, match=still) == 0
    whole = written(out)
    places = [out / clip.path for clip in load_manifest(out).clips]
    sidecars = [sidecar_path(clip, out) for clip in load_manifest(out).clips]
    for damage in (
        lambda: [place.write_bytes(b"") for place in (*places[:1], *sidecars[2:])],
        lambda: [place.unlink() for place in (places[1], sidecars[0], out / "manifest.csv")],
        lambda: (out / "camera.json").write_bytes(b""),
        lambda: (out / "camera.json").unlink(),
    ):
        damage()
        assert start(source, target, out, resume=True, match=still) == 0
        assert written(out) == whole and (out / "DONE").exists()


@pytest.mark.slow
def test_killed_and_resumed_is_as_if_never_killed(
    source: Path, target: Path, taken: Path, tmp_path: Path
) -> None:
    out, file = tmp_path / "killed", tmp_path / "camera.yaml"
    file.write_text(json.dumps(content(source, target, out, copies=2, jobs=2)))  # JSON is YAML
    command = [sys.executable, "-m", "vidda.cli", "camera", str(file), "--resume"]
    job = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while not list(out.rglob(f"{VIDEOS}/**/[0-9]*.mp4")):
        assert job.poll() is None
        time.sleep(0.005)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    done = {path: path.stat().st_mtime_ns for path in out.rglob(f"{VIDEOS}/**/[0-9]*.mp4")}
    done[out / "camera.json"] = (out / "camera.json").stat().st_mtime_ns
    assert not (out / "manifest.csv").exists()
    half = out / VIDEOS / "syn/ground/.2.0123456789ab.part.mp4"
    half.write_bytes(b"half")
    with pytest.raises(ViddaError, match="--resume"):
        start(source, target, out, copies=2)
    # Fewer processes may go on with it.
    assert start(source, target, out, copies=2, resume=True) == 0
    assert written(out) == written(taken)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())


def test_other_target_clips_are_another_run(source: Path, target: Path, taken: Path) -> None:
    with pytest.raises(ViddaError, match=r"clips was 100, now is 2\n") as caught:
        start(source, target, taken, copies=2, clips=2, resume=True)
    assert "manifest target was" in str(caught.value)


def test_mistakes_are_reported_before_the_first_clip(
    source: Path, target: Path, tmp_path: Path
) -> None:
    out, clips = tmp_path / "out", load_manifest(source)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "x.mp4").write_bytes(b"no video")
    twice = (ClipRecord("a", "x.mp4", None, "", ""), ClipRecord("b", "x.mp4", None, "", ""))
    save_manifest(Manifest(broken, (), twice), broken / "manifest.csv")
    with pytest.raises(ViddaError) as caught:
        start(broken, target, out)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "two clips would both become videos/x.mp4; leave one of them out" in lines[0]
    assert lines[1].startswith("clip 'a': ") and "x.mp4" in lines[1]
    with pytest.raises(ViddaError, match=r"^clip 'a': .*x\.mp4"):
        start(source, broken, out)
    empty = tmp_path / "empty"
    save_manifest(replace(clips, clips=()), empty / "manifest.csv")
    with pytest.raises(ViddaError, match=r"^.*empty: no clips in it; give a manifest of clips$"):
        start(empty, target, out)
    with pytest.raises(ViddaError, match=r"^.*empty: no clips in it; give a .* of target clips$"):
        start(source, empty, out)
    assert not out.exists()
