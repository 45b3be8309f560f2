"""The translation job: a manifest in, a manifest out, the same however it is cut or broken off."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from tests.clips import encode, moving
from tests.translate.translations import (
    CLASSES,
    SAMPLING,
    SIDE,
    column,
    media,
    settings,
    start,
    without_pose,
    write_source,
)
from vidda import video
from vidda.data import load_manifest
from vidda.data.dataset import ClipDataset
from vidda.data.frame_sampling import UniformSampling
from vidda.data.join_manifests import join_manifests
from vidda.data.manifest import save_manifest
from vidda.data.transforms import TransformConfig
from vidda.sidecar import default_sidecar
from vidda.types import Manifest


def test_the_manifest_is_the_sources_with_other_videos(translated: Path, source: Path) -> None:
    before, after = load_manifest(source), load_manifest(translated)
    assert after.classes == before.classes and len(after) == len(before) == 3
    prints = {clip.id.partition("@")[2] for clip in after.clips}
    assert len(prints) == 1 and len(prints.pop()) == 8
    for old, new in zip(before.clips, after.clips, strict=True):
        assert (new.domain, new.parent_id) == ("translated", old.id)
        for name in ("label", "view", "subject", "altitude_m"):
            assert getattr(new, name) == getattr(old, name)
        original = before.root / old.path
        assert new.meta["scene"] == old.meta["scene"]
        assert new.meta["source_sha256"] == hashlib.sha256(original.read_bytes()).hexdigest()
        assert new.meta["control"] == "edges canny x1 in 0-1; pose sidecar x1 in 0-1"
        assert new.meta["prompt"] == f"a person, {CLASSES[old.label or 0]}, {old.view}"
        assert len(new.meta["config"]) == len(new.meta["weights"]) == 64
        info, was = video.probe(after.root / new.path), video.probe(original)
        assert (info.height, info.width, info.frames, info.fps) == (32, 32, was.frames, was.fps)
        reported = json.loads((after.root / new.path).with_suffix(".json").read_text())
        assert reported["status"] == "kept" and reported["quality"]["flow_epe"] > 0
        assert float(new.meta["flow_epe"]) == pytest.approx(
            reported["quality"]["flow_epe"], rel=1e-5
        )
        assert new.meta["pck"] if "pck" in new.meta else reported["quality"]["pck"] is None
    assert len({clip.meta["seed"] for clip in after.clips}) == 3
    assert (translated / "DONE").exists() and not (translated / "failed.csv").exists()


def test_the_result_can_be_trained_on_beside_its_source(translated: Path, source: Path) -> None:
    both = join_manifests([load_manifest(source), load_manifest(translated)])
    data = ClipDataset(both, UniformSampling(frames=3, jitter=False), TransformConfig(size=32))
    assert [data[number].label for number in range(len(data))] == [0, 1, 2, 0, 1, 2]
    assert data[3].video.shape == (3, 3, 32, 32)
    assert not torch.equal(data[0].video, data[3].video)


def test_a_clip_does_not_depend_on_the_others(
    models: Path, source: Path, translated: Path, tmp_path: Path
) -> None:
    manifest = load_manifest(source)
    turned = Manifest(manifest.root, manifest.classes, manifest.clips[:0:-1])
    save_manifest(turned, tmp_path / "turned.csv")
    assert start(settings(models, tmp_path / "turned.csv", tmp_path / "run")) == 0
    alone, whole = media(tmp_path / "run"), media(translated)
    assert len(alone) == 2 and alone.items() <= whole.items()
    rows = load_manifest(tmp_path / "run").clips
    assert [clip.parent_id for clip in rows] == ["clip/2", "clip/1"]


def test_what_failed_is_listed_and_tried_again(
    models: Path, translated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_source(tmp_path / "source")
    whole = (source.parent / "syn/ground/1.mp4").read_bytes()
    (source.parent / "syn/ground/1.mp4").write_bytes(whole[:300])
    hidden = source.parent / default_sidecar("syn/ground/2.mp4")
    hidden.rename(tmp_path / "hidden.npz")
    content = settings(models, source, tmp_path / "run")
    assert start(content) == 1
    assert "1 kept, 0 rejected, 2 failed" in capsys.readouterr().out
    out = tmp_path / "run"
    assert [clip.parent_id for clip in load_manifest(out).clips] == ["clip/0"]
    assert column(out / "failed.csv", "id") == ["clip/1", "clip/2"]
    reasons = column(out / "failed.csv", "reason")
    assert "truncated" in reasons[0] and "no sidecar" in reasons[1]
    assert not (out / "DONE").exists()
    first = (out / "videos/syn/ground/0.mp4").stat().st_mtime_ns
    (source.parent / "syn/ground/1.mp4").write_bytes(whole)
    (tmp_path / "hidden.npz").rename(hidden)
    assert start(content, resume=True) == 0
    assert (out / "videos/syn/ground/0.mp4").stat().st_mtime_ns == first
    assert media(out) == media(translated)
    assert len(load_manifest(out)) == 3 and not (out / "failed.csv").exists()


def test_limits_decide_what_enters_the_manifest(models: Path, source: Path, tmp_path: Path) -> None:
    content = settings(models, source, tmp_path / "a", keep_if={"max_flow_epe": 0.0})
    assert start({**content, "limit": 1}) == 0
    assert len(load_manifest(tmp_path / "a")) == 0
    (reason,) = column(tmp_path / "a" / "rejected.csv", "reason")
    assert "flow_epe" in reason and "is over keep_if.max_flow_epe 0" in reason


def test_the_pose_is_looked_for_on_the_translation(
    models: Path, source: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    from tests.control.test_onnx_estimator import write_dot_finder

    estimator = write_dot_finder(tmp_path / "dots.onnx")
    content = settings(models, source, tmp_path / "run", limit=1, keep_if={"min_pck": 0.9})
    content["check_pose"] = {"name": "onnx", "model": str(estimator.model)}
    assert start(content) == 0
    (reason,) = column(tmp_path / "run" / "rejected.csv", "reason")
    assert reason.startswith("pck 0") and reason.endswith("is under keep_if.min_pck 0.9")


def test_black_clips_are_rejected_without_any_limit(
    models: Path, source: Path, tmp_path: Path
) -> None:
    vae = AutoencoderKL.from_pretrained(models / "base" / "vae")
    torch.nn.init.zeros_(vae.decoder.conv_out.weight)
    torch.nn.init.constant_(vae.decoder.conv_out.bias, -1.0)
    vae.save_pretrained(tmp_path / "black")
    content = settings(models, source, tmp_path / "run", limit=1)
    content["backbone"]["weights"]["vae"] = {"name": "folder", "path": str(tmp_path / "black")}
    assert start(content) == 0
    assert column(tmp_path / "run" / "rejected.csv", "reason") == [
        "4 of 4 frames black, first frame 0"
    ]
    assert len(load_manifest(tmp_path / "run")) == 0


def test_ordinary_videos_of_any_size_and_codec(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    encode(folder / "wide.avi", moving(7, 38, 70), "mpeg4", b_frames=2)
    encode(folder / "wide.mp4", moving(3, 38, 70), rotation=90)
    content = without_pose(
        models,
        folder,
        tmp_path / "run",
        size=None,
        frames={"name": "even", "count": 3},
        show=["side_by_side", "sheet"],
        sampling={"steps": 2, "noise": {"name": "flow_warped"}, "chunk": 2},
    )
    assert start(content) == 0
    out = load_manifest(tmp_path / "run")
    assert [clip.id.partition("@")[0] for clip in out.clips] == ["wide.avi", "wide.mp4"]
    one, two = (video.probe(out.root / clip.path) for clip in out.clips)
    assert (one.height, one.width, one.frames) == (40, 72, 3)
    assert one.fps == pytest.approx(25 * 3 / 7, rel=0.01)
    assert (two.height, two.width, two.frames) == (72, 40, 3)
    shown = tmp_path / "run" / "shown"
    assert video.probe(shown / "wide.avi.mp4").width == 2 * 72 + 4
    pair = video.read(shown / "wide.avi.mp4")
    source = video.read(folder / "wide.avi", [1, 3, 5], (40, 72))
    assert np.abs(pair[:, :, :72].astype(int) - source).mean() < 12
    assert (shown / "wide.avi.png").stat().st_size > 1000


def test_a_single_video_and_an_image(models: Path, tmp_path: Path) -> None:
    image = moving(1, 33, 50)[0]
    video.write_png(tmp_path / "still.png", image[None])
    encode(tmp_path / "one.mkv", moving(2, 32, 32))
    for name, place in (("still.png", "still.png"), ("one.mkv", "one.mkv.mp4")):
        out = tmp_path / place.partition(".")[0]
        content = without_pose(models, tmp_path / name, out, size=[40, 48])
        content["backbone"]["sampling"] = SAMPLING
        assert start(content) == 0
        (clip,) = load_manifest(out).clips
        assert clip.path == f"videos/{place}" and clip.parent_id == name
        info = video.probe(out / clip.path)
        assert (info.height, info.width, info.frames) == (40, 48, 1 + (name == "one.mkv"))


def test_clips_that_pass_together_come_out_as_alone(
    models: Path, source: Path, translated: Path, tmp_path: Path
) -> None:
    content = settings(models, source, tmp_path / "run", batch=3)
    assert start(content) == 0
    for clip in load_manifest(tmp_path / "run").clips:
        together = video.read(tmp_path / "run" / clip.path).astype(int)
        assert np.abs(together - video.read(translated / clip.path)).mean() < 1


@pytest.mark.parametrize("regions", [None, ("background", "person")])
def test_the_person_is_kept_where_the_mask_says(
    models: Path, tmp_path: Path, regions: tuple[str, ...] | None
) -> None:
    source = write_source(tmp_path / "source", clips=1)
    original = load_manifest(source)
    sidecar = original.root / original.clips[0].meta["sidecar"]
    with np.load(sidecar) as truth:
        arrays = dict(truth)
    person = arrays["mask"] > 0
    if regions is not None:
        np.savez(sidecar, **arrays | {"mask": person, "regions": np.array(regions)})
    content = settings(models, source, tmp_path / "run", size=SIDE, crf=None)
    content["backbone"]["sampling"] = {
        **SAMPLING,
        "keep_person": {"name": "pixels", "feather": 0.0},
    }
    assert start(content) == 0
    (clip,) = load_manifest(tmp_path / "run").clips
    frames = video.read(tmp_path / "run" / clip.path)
    before = video.read(original.root / original.clips[0].path)
    assert person.any()
    assert np.array_equal(frames[person], before[person])
    assert not np.array_equal(frames[~person], before[~person])
