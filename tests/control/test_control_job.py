"""`vidda control`: what it writes, its contact sheets, and that it resumes where it was killed."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.clips import moving
from tests.sidecars import rendered, write_clip
from tests.tiny_transformers import write_depth, write_segmenter
from vidda import progress, video
from vidda.config import ConfigError, load
from vidda.control.contact_sheet import (
    contact_sheet,
    evenly_spaced,
    flow_images,
    saturation_scale,
    sheet_rows,
)
from vidda.control.controls import ControlReader
from vidda.control.full_disk import FullDiskError
from vidda.control.job import ControlJobConfig, find_clips, run, select_clips
from vidda.control.mask import person_mask
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.types import ClipRecord, Manifest


def config(folder: Path, **changes: object) -> ControlJobConfig:
    """A quick config for the clips in `folder/videos`, validated as the command line does it."""
    content = {
        "input": str(folder / "videos"),
        "out": str(folder / "out"),
        "size": 48,
        "flow": {"name": "dis", "preset": "fast"},
        **changes,
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(content))  # JSON is YAML
    return load(ControlJobConfig, file)


def start(job: ControlJobConfig, *, resume: bool = False) -> int:
    return run(job, dry_run=False, resume=resume)


def videos(folder: Path, count: int = 3, frames: int = 6) -> None:
    for number in range(count):
        images = moving(frames, 48, 64, seed=number)
        video.write(folder / "videos" / "deep" / f"{number}.mp4", images, 12)


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((out / "clips").rglob("*"))
        if path.is_file()
    }


def test_everything_there_is_of_a_clip_is_written(tmp_path: Path) -> None:
    clip = rendered(frames=6, size=64)
    record = write_clip(tmp_path / "videos", clip)
    record = replace(record, meta={"sidecar": "sidecar/syn/ground/one.npz"})
    manifest = Manifest((tmp_path / "videos").absolute(), ("Advance",), (record,))
    save_manifest(manifest, tmp_path / "videos" / "manifest.csv")
    job = config(tmp_path, pose={"name": "sidecar"}, size=None, write=["sheet", "videos", "npz"])
    assert start(job) == 0

    place = tmp_path / "out" / "clips" / "syn" / "ground" / "one.mp4"
    names = {"sheet.png", "controls.npz", "edges.mp4", "pose.mp4", "flow.mp4", "mask.mp4"}
    assert {path.name for path in place.iterdir()} == names
    frames = video.read(tmp_path / "videos" / record.path)
    expected = ControlReader(job, None).read(frames, record, tmp_path / "videos")
    with np.load(place / "controls.npz", allow_pickle=False) as written:
        for name in ("edges", "pose_maps", "flow_previous", "flow_anchor"):
            np.testing.assert_array_equal(written[name], getattr(expected, name))
        for name in ("occluded_previous", "occluded_anchor"):
            np.testing.assert_array_equal(written[name], getattr(expected, name))
        assert expected.pose is not None
        np.testing.assert_array_equal(written["keypoints"], expected.pose.keypoints)
        np.testing.assert_array_equal(written["scores"], expected.pose.scores)
        mask = person_mask(record, tmp_path / "videos", None, 64, 64)
        np.testing.assert_array_equal(written["mask"], mask)
    shown = video.read(place / "pose.mp4")
    assert shown.shape == (6, 64, 64, 3)
    assert np.abs(shown.astype(int) - expected.pose_maps).mean() < 8
    assert video.probe(place / "edges.mp4").fps == pytest.approx(8.0)
    sheet = cv2.imread(str(place / "sheet.png"))
    assert sheet.shape[1] >= 6 * job.tile
    assert (tmp_path / "out" / "DONE").exists()


def test_depth_segmentation_and_masks_are_shown_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = rendered(frames=4, size=64)
    record = write_clip(tmp_path / "videos", clip)
    sidecar = {"name": "sidecar"}
    kinds = {"depth": sidecar, "segmentation": sidecar, "mask": sidecar}
    job = config(tmp_path, size=None, write=["sheet", "videos", "npz"], columns=4, tile=64, **kinds)
    assert start(job) == 0
    place = tmp_path / "out" / "clips" / record.path
    names = {"sheet.png", "controls.npz", *(f"{k}.mp4" for k in (*kinds, "edges", "flow"))}
    assert {path.name for path in place.iterdir()} == names
    frames = video.read(tmp_path / "videos" / record.path)
    expected = ControlReader(job, None).read(frames, record, tmp_path / "videos")
    with np.load(place / "controls.npz", allow_pickle=False) as written:
        for kind in kinds:
            np.testing.assert_array_equal(written[kind], getattr(expected, kind))
    assert expected.depth is not None and expected.segmentation is not None
    shown = video.read(place / "depth.mp4")
    assert np.abs(shown - expected.depth[..., None].astype(int)).mean() < 8
    rows = sheet_rows(frames, expected, np.arange(4))
    titles = [name.partition(" (")[0] for name, _ in rows]
    assert titles[2:4] == ["depth", "segmentation"] and titles[-1] == "mask of the people"
    np.testing.assert_array_equal(rows[2][1], expected.depth[..., None].repeat(3, 3))
    np.testing.assert_array_equal(rows[3][1], expected.segmentation)
    sheet = cv2.cvtColor(cv2.imread(str(place / "sheet.png")), cv2.COLOR_BGR2RGB)
    person = (sheet == (150, 5, 61)).all(axis=2).sum()
    assert person == (clip.mask > 0).sum()  # at the clip's own size
    text = capsys.readouterr().out
    assert "no poses: pose is null" in text
    for kind in kinds:
        assert f"no {kind}" not in text


def test_what_is_not_made_is_told_with_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos(tmp_path, count=1)
    lines = [
        "no poses: pose is null; pose.name=sidecar, mmpose, onnx, blazepose or vitpose adds them",
        "no depth: depth is null; depth.name=sidecar or depth_anything adds it",
        "no segmentation: segmentation is null; segmentation.name=sidecar or segmenter adds it",
        "no masks but those in sidecars: mask is null; mask.name=blazepose, mask_rcnn or segmenter"
        " adds them",
    ]
    for dry_run in (True, False):
        assert run(config(tmp_path, frames=2), dry_run=dry_run, resume=False) == 0
        said = capsys.readouterr().out.splitlines()
        assert [line for line in said if line.startswith("no ")] == lines
    nothing = config(tmp_path, edges=None, flow=None, pose={"name": "sidecar"})
    assert run(nothing, dry_run=True, resume=False) == 0
    said = capsys.readouterr().out.splitlines()[1:]
    assert said == ["no edges: edges is null", *lines[1:3], "no optical flow: flow is null"]


def test_progress_counts_a_frame_when_all_estimators_are_done_with_it(tmp_path: Path) -> None:
    depth = {"name": "folder", "path": str(write_depth(tmp_path / "depth"))}
    people = {"name": "folder", "path": str(write_segmenter(tmp_path / "people", "dpt"))}
    job = config(
        tmp_path,
        depth={"name": "depth_anything", "weights": depth, "batch": 2, "device": "cpu"},
        mask={"name": "segmenter", "weights": people, "device": "cpu"},
    )
    counts: list[int] = []
    clip = ClipRecord("c", "c.mp4", None, "", "")
    reader = ControlReader(job, None)
    reader.read(moving(6, 45, 61), clip, tmp_path, report_progress=counts.append)
    # Three steps of six frames: depth, mask and flow.
    assert sum(counts) == 6 and len(counts) > 3
    counts.clear()
    shown = np.array([0, 5])
    reader.read(moving(6, 45, 61), clip, tmp_path, flow_rows=shown, report_progress=counts.append)
    assert sum(counts) == 6


def test_a_folder_of_videos_without_poses(tmp_path: Path) -> None:
    videos(tmp_path)
    assert start(config(tmp_path, frames=4, write=["videos"])) == 0
    written = digests(tmp_path / "out")
    assert set(written) == {
        f"clips/deep/{number}.mp4/{name}.mp4" for number in range(3) for name in ("edges", "flow")
    }
    assert "the first 4 of its 6 frames" in (tmp_path / "out" / "log.txt").read_text()
    first = tmp_path / "out" / "clips" / "deep" / "0.mp4" / "edges.mp4"
    assert video.probe(first).frames == 4


def test_killed_and_resumed_is_as_if_never_killed(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    for folder in ("whole", "killed"):
        videos(tmp_path / folder, count=5, frames=24)
    assert start(config(tmp_path / "whole")) == 0
    config(tmp_path / "killed")
    program = (
        "import sys; from pathlib import Path; from vidda.config import load;"
        "from vidda.control.job import ControlJobConfig, run;"
        "run(load(ControlJobConfig, Path(sys.argv[1])), dry_run=False, resume=False)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "killed" / "config.yaml")]
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    out = tmp_path / "killed" / "out"
    while not (out / "clips" / "deep" / "0.mp4").exists():
        assert job.poll() is None
        time.sleep(0.005)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert not (out / "DONE").exists()
    done = {name: (out / name).stat().st_mtime_ns for name in digests(out) if "/." not in name}
    assert done

    with pytest.raises(ViddaError, match="--resume"):
        start(config(tmp_path / "killed"))
    assert start(config(tmp_path / "killed"), resume=True) == 0
    assert digests(out) == digests(tmp_path / "whole" / "out")
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done
    assert start(config(tmp_path / "killed"), resume=True) == 0  # finished: nothing to do


def test_what_is_lost_of_a_finished_run_is_made_again(tmp_path: Path) -> None:
    videos(tmp_path, count=2)
    job = config(tmp_path)
    assert start(job) == 0
    out = tmp_path / "out"
    whole, clips = digests(out), out / "clips" / "deep"
    for damage in (
        lambda: (clips / "0.mp4" / "edges.mp4").write_bytes(b""),
        lambda: (clips / "0.mp4" / "sheet.png").unlink(),
        lambda: shutil.rmtree(clips / "0.mp4"),
    ):
        damage()
        kept = (clips / "1.mp4" / "edges.mp4").stat().st_mtime_ns
        assert start(job, resume=True) == 0
        assert digests(out) == whole and (out / "DONE").exists()
        assert (clips / "1.mp4" / "edges.mp4").stat().st_mtime_ns == kept


def test_a_resume_with_other_settings_is_refused(tmp_path: Path) -> None:
    videos(tmp_path, count=1)
    assert start(config(tmp_path)) == 0
    with pytest.raises(ViddaError, match="edges"):
        start(config(tmp_path, edges={"name": "soft"}), resume=True)


def test_a_failed_clip_is_listed_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos(tmp_path)
    broken = tmp_path / "videos" / "deep" / "1.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert start(config(tmp_path, write=["sheet"])) == 1
    assert "1 of 3 clips failed" in capsys.readouterr().out
    with (tmp_path / "out" / "failed.csv").open() as stream:
        header, (name, reason) = csv.reader(stream)
    assert header == ["id", "reason"]
    assert name == "deep/1.mp4" and "1.mp4" in reason
    assert not (tmp_path / "out" / "DONE").exists()
    assert set(digests(tmp_path / "out")) == {f"clips/deep/{n}.mp4/sheet.png" for n in (0, 2)}

    broken.write_bytes(whole)
    assert start(config(tmp_path, write=["sheet"]), resume=True) == 0
    assert len(digests(tmp_path / "out")) == 3
    assert not (tmp_path / "out" / "failed.csv").exists()


def test_a_sidecar_that_is_missing_fails_that_clip_alone(tmp_path: Path) -> None:
    write_clip(tmp_path / "videos", rendered(frames=3, size=48))
    video.write(tmp_path / "videos" / "bare.mp4", moving(3), 8)
    assert start(config(tmp_path, pose={"name": "sidecar"}, write=["sheet"])) == 1
    reason = (tmp_path / "out" / "failed.csv").read_text()
    assert "bare.mp4" in reason and "no sidecar" in reason
    assert (tmp_path / "out" / "clips" / "syn" / "ground" / "one.mp4" / "sheet.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it stands for a full disk")
def test_a_full_disk_ends_the_job_and_fails_no_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos(tmp_path)
    job = config(tmp_path, write=["videos"])
    disk = tmp_path / "disk.mp4"
    disk.symlink_to("/dev/full")

    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        yield disk

    with monkeypatch.context() as patch:
        patch.setattr("vidda.video.writing.atomic", full)
        with pytest.raises(
            FullDiskError, match=r"out: the disk is full \(.*; finished clips are kept"
        ):
            start(job)
    assert not (tmp_path / "out" / "failed.csv").exists()
    assert start(job, resume=True) == 0


def test_clips_are_chosen_by_id_and_count(tmp_path: Path) -> None:
    videos(tmp_path)
    found = find_clips(tmp_path / "videos")
    assert [clip.id for clip in found.clips] == [f"deep/{n}.mp4" for n in range(3)]
    assert [clip.id for clip in select_clips(found, (), 2).clips] == ["deep/0.mp4", "deep/1.mp4"]
    assert [c.id for c in select_clips(found, ("*2.mp4", "deep/0.mp4"), None).clips] == [
        "deep/0.mp4",
        "deep/2.mp4",
    ]
    with pytest.raises(ViddaError, match=r"matches 'x\*', the first id is 'deep/0\.mp4'"):
        select_clips(found, ("deep/*", "x*"), None)
    single = find_clips(tmp_path / "videos" / "deep" / "1.mp4")
    assert [clip.path for clip in single.clips] == ["1.mp4"]


def test_mistakes_are_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos(tmp_path, count=1)
    assert run(config(tmp_path), dry_run=True, resume=False) == 0
    assert "would write sheet, videos of 1 clips" in capsys.readouterr().out
    missing = {"flow": {"name": "raft", "weights": str(tmp_path / "no.pth"), "device": "cpu"}}
    for dry_run in (True, False):
        with pytest.raises(ViddaError, match=r"no\.pth: no such file"):
            run(config(tmp_path, **missing), dry_run=dry_run, resume=False)
    with pytest.raises(ViddaError, match="no such file or folder"):
        start(config(tmp_path, input=str(tmp_path / "absent")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ViddaError, match="holds no video"):
        start(config(tmp_path, input=str(tmp_path / "empty")))
    with pytest.raises(ConfigError, match=r"thresholds\.low|low 9 is above high 3"):
        config(tmp_path, edges={"name": "canny", "thresholds": {"name": "fixed", "low": 9.0,
                                                                 "high": 3.0}})  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_two_clips_of_one_file_would_overwrite_each_other(tmp_path: Path) -> None:
    videos(tmp_path, count=1)
    clips = tuple(ClipRecord(name, "deep/0.mp4", None, "real", "air") for name in ("a", "b"))
    manifest = Manifest((tmp_path / "videos").absolute(), (), clips)
    save_manifest(manifest, tmp_path / "videos" / "manifest.csv")
    with pytest.raises(ViddaError, match=r"clips 'a' and 'b' are both deep/0\.mp4"):
        start(config(tmp_path))
    assert start(config(tmp_path, clips=["b"], write=["sheet"])) == 0


def test_a_sheet_shows_every_row_under_its_title() -> None:
    clip = rendered(frames=5, size=48)
    controls = ControlReader(ControlJobConfig(input=Path("x"), out=Path("y")), None).read(
        clip.frames, ClipRecord("c", "c.mp4", None, "", ""), Path()
    )
    shown = evenly_spaced(5, 3)
    found = sheet_rows(clip.frames, replace(controls, mask=clip.mask > 0), shown)
    assert [name.split(" (")[0] for name, _ in found] == [
        "source", "edges", "flow to the previous frame", "flow to the first frame",
        "mask of the people",
    ]  # fmt: skip
    assert shown.tolist() == [0, 2, 4]
    assert np.array_equal(found[0][1], clip.frames[shown])
    sheet = contact_sheet("c", found, shown.tolist(), 48)
    # At their own size the pictures stand on the sheet as they are.
    tops = []
    for _, images in found:
        for column, image in enumerate(images):
            left = 6 + column * 54
            window = sheet[:, left : left + 48]
            hits = [
                top
                for top in range(len(sheet) - 47)
                if np.array_equal(window[top : top + 48], image)
            ]
            assert hits, column
        tops.append(hits[0])
    assert tops == sorted(tops)
    for top in tops:
        title = sheet[top - 22 : top, :200]
        assert (title < 100).any() and (title == 255).mean() > 0.5


def test_flow_is_shown_by_direction_size_and_occlusion() -> None:
    flow = np.zeros((1, 20, 20, 2), np.float32)
    flow[0, :, 5:10, 0] = 4  # to the right
    flow[0, :, 10:15, 1] = 2  # down, half as far
    hidden = np.zeros((1, 20, 20), bool)
    hidden[..., 15:] = True
    assert saturation_scale(flow) == 4
    assert saturation_scale(flow / 100) == 1  # noise is not blown up
    wild = flow.copy()
    wild[0, 0, :2] = 500
    assert saturation_scale(wild) == 4, "a few wrong pixels do not pale the others"
    image = flow_images(flow, hidden, 4.0)[0]
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 7].tolist() == [255, 0, 0]
    down = image[0, 12].astype(int)
    assert down[1] == 255 and down[2] == pytest.approx(128, abs=1) and down[0] < 255
    assert image[0, 17].tolist() == [0, 0, 0]


def test_flow_that_nobody_asked_for_is_that_of_the_sheet_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    videos(tmp_path, count=1, frames=12)
    file = tmp_path / "config.yaml"
    content = {"input": str(tmp_path / "videos"), "out": str(tmp_path / "out"), "size": 48}
    content |= {"columns": 3, "write": ["sheet", "videos", "npz"]}
    file.write_text(json.dumps(content))
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", 0.0)
    assert start(load(ControlJobConfig, file)) == 0
    place = tmp_path / "out" / "clips" / "deep" / "0.mp4"
    assert {path.name for path in place.iterdir()} == {"sheet.png", "controls.npz", "edges.mp4"}
    with np.load(place / "controls.npz") as arrays:
        assert arrays.files == ["edges"]
    output = capsys.readouterr()
    assert "controls: 12/12 frames, " in output.err and "ETA 0 s, clip 1/1" in output.err
    assert (
        "no poses: pose is null; pose.name=sidecar, mmpose, onnx, blazepose or vitpose adds them"
        in output.out
    )
    assert "optical flow only on sheets; flow.name=dis or raft gives every frame's" in output.out


def test_only_the_wanted_rows_have_flow() -> None:
    frames = moving(5, 48, 64, seed=0)
    reader = ControlReader(ControlJobConfig(input=Path("x"), out=Path("y")), None)
    clip, wanted = ClipRecord("c", "c.mp4", None, "", ""), np.array([0, 2, 4])
    counts: list[int] = []
    whole = reader.read(frames, clip, Path(), report_progress=counts.append)
    some = reader.read(frames, clip, Path(), flow_rows=wanted)
    assert sum(counts) == 5
    assert whole.flow_anchor is not None and some.flow_anchor is not None
    assert np.array_equal(some.flow_anchor[wanted], whole.flow_anchor[wanted])
    assert not some.flow_anchor[[1, 3]].any() and whole.flow_anchor[[1, 3]].any()
