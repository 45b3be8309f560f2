"""Clips cut to a square around their people: pixels and sidecars agree, labels and motion stay."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.translate.translations import SIDE, write_source, written
from vidda import video
from vidda.data import load_manifest
from vidda.data.crop import CropJobConfig, run
from vidda.data.crop_clip import (
    CropSquare,
    crop_frames,
    crop_sidecar,
    people_bounds,
    square_around,
)
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.sidecar import open_sidecar, sidecar_path
from vidda.types import ClipRecord, Manifest

HEIGHT, WIDTH = 60, 100


def person() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two frames of a white person who moves right, with the truth in three arrays."""
    frames = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    boxes = np.array([[60, 20, 70, 40], [66, 20, 76, 40]], np.float32)
    for t, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
        frames[t, y0:y1, x0:x1] = 255
        mask[t, y0:y1, x0:x1] = 1
    keypoints = np.zeros((2, 17, 3), np.float32)
    keypoints[:, 0] = [[60, 20, 2], [66, 20, 2]]  # the first pixel of the person
    keypoints[:, 1] = [[69, 39, 1], [75, 39, 1]]  # the last one, hidden
    keypoints[:, 2] = [5, 5, 2]
    keypoints[:, 3] = [-3, 5, 0]  # outside the frame: tells nothing
    depth = np.arange(2 * 30 * 50, dtype=np.uint16).reshape(2, 30, 50)  # half the size
    arrays = {"mask": mask, "box": boxes, "keypoints": keypoints, "depth": depth}
    return frames, {**arrays, "regions": np.array(["background", "person"])}


def test_bounds_hold_everyone_in_all_frames() -> None:
    _, truth = person()
    assert people_bounds("mask", truth["mask"]).tolist() == [60, 20, 76, 40]  # type: ignore[union-attr]
    empty = np.zeros((2, 1, 4), np.float32)
    two = np.concatenate([truth["box"][:, None], empty], axis=1)
    assert people_bounds("box", two).tolist() == [60, 20, 76, 40]  # type: ignore[union-attr]
    known = np.where(np.arange(17)[:, None] < 2, truth["keypoints"], 0)
    assert people_bounds("keypoints", known).tolist() == [60.5, 20.5, 75.5, 39.5]  # type: ignore[union-attr]
    assert people_bounds("box", empty) is None
    assert people_bounds("mask", 0 * truth["mask"]) is None
    assert people_bounds("keypoints", 0 * truth["keypoints"]) is None


def test_squares_stay_in_the_frame() -> None:
    assert square_around(np.array([60, 20, 76, 40]), 1.5, HEIGHT, WIDTH) == (15, 53, 30)
    assert square_around(np.array([90, 0, 100, 20]), 1.5, HEIGHT, WIDTH) == (0, 70, 30)
    assert square_around(np.array([0, 10, 100, 30]), 1.5, HEIGHT, WIDTH) == (0, 20, 60)
    assert square_around(np.array([-50, -50, -40, -40]), 1.0, HEIGHT, WIDTH) == (0, 0, 10)


@pytest.mark.parametrize("size", [30, 60])
def test_pixels_and_sidecar_agree(size: int) -> None:
    frames, truth = person()
    square = CropSquare(15, 50, 30)
    cut = crop_frames(frames, square, size)
    arrays = crop_sidecar(truth, square, size, HEIGHT, WIDTH)
    assert cut.shape == (2, size, size, 3)
    scale = size // 30
    for t in (0, 1):
        x0, y0, x1, y1 = arrays["box"][t].astype(int)
        inner = cut[t, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
        assert inner.size and inner.min() > 200
        assert (y1 - y0, x1 - x0) == (20 * scale, 10 * scale)
        outside = cut[t].astype(int).sum() - cut[t, y0:y1, x0:x1].astype(int).sum()
        assert abs(outside) < 0.1 * cut[t].astype(int).sum()
    first = [(60 + 0.5 - 50) * scale - 0.5, (20 + 0.5 - 15) * scale - 0.5, 2]
    assert arrays["keypoints"][0, 0].tolist() == first
    assert arrays["keypoints"][0, :4, 2].tolist() == [2, 1, 0, 0]
    assert (arrays["mask"] == truth["mask"][:, 15:45, 50:80]).all()
    assert (arrays["depth"] == truth["depth"][:, 8:22, 25:40]).all()
    assert arrays["regions"] is truth["regions"]


def test_a_box_outside_the_square_is_nobodys() -> None:
    _, truth = person()
    arrays = crop_sidecar(truth, CropSquare(0, 0, 30), 30, HEIGHT, WIDTH)
    assert not arrays["box"].any() and not arrays["mask"].any()


def hull(root: Path, clip: ClipRecord) -> np.ndarray:
    """What holds the person of a clip in all frames, by its sidecar."""
    with open_sidecar(sidecar_path(clip, root)) as content:
        found = people_bounds("box", content["box"])
    assert found is not None
    return found


def config(source: Path, out: Path, **more: Any) -> CropJobConfig:
    content = {"input": str(source), "out": str(out), "jobs": 1, **more}
    return CropJobConfig.model_validate_json(json.dumps(content), strict=True)


def test_a_manifest_in_a_manifest_out_and_a_killed_job_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_source(tmp_path / "source"), tmp_path / "out"
    settings = config(source, out, size=32)
    assert run(settings, dry_run=True, resume=False) == 0
    assert not out.exists()
    assert run(settings, dry_run=False, resume=False) == 0
    before, after = load_manifest(source), load_manifest(out)
    for old, new in zip(before.clips, after.clips, strict=True):
        assert (new.parent_id, new.label, new.domain) == (old.id, old.label, old.domain)
        frames = video.read(after.root / new.path)
        assert frames.shape[1:] == (32, 32, 3)
        assert len(frames) == video.probe(before.root / old.path).frames
        left, top, side = map(int, new.meta["crop"].split())
        corner = np.array([left, top])
        in_source = (hull(before.root, old).reshape(2, 2) - corner) * 32 / side
        assert hull(after.root, new) == pytest.approx(in_source.ravel(), abs=1e-3)
        assert side == min(
            SIDE,
            round(settings.margin * np.ptp(hull(before.root, old).reshape(2, 2), axis=0).max()),
        )
    whole = written(out)
    for name in ("DONE", "manifest.csv", after.clips[1].path, after.clips[2].meta["sidecar"]):
        (out / name).unlink()
    several = config(source, out, size=32, jobs=2)
    assert run(several, dry_run=False, resume=True) == 0
    assert "2 to be made" in capsys.readouterr().out
    assert written(out) == whole


def _image(folder: Path, name: str, **arrays: np.ndarray) -> ClipRecord:
    frames, _ = person()
    video.write_png(folder / f"{name}.png", frames[:1])
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    boxed = {"sidecar": f"{name}.npz", "box_x0": "60", "weather": "dry"}
    return ClipRecord(name, f"{name}.png", 0, "real", "air", meta=boxed)


def test_images_nobody_and_stale_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, truth = person()
    joints = np.where(np.arange(17)[:, None] < 2, truth["keypoints"], 0)[:1]
    clips = (
        _image(tmp_path, "someone", keypoints=joints),
        _image(tmp_path, "nobody", keypoints=0 * joints),
    )
    save_manifest(Manifest(tmp_path, ("wave",), clips), tmp_path / "manifest.csv")
    assert run(config(tmp_path, tmp_path / "out", size=30), dry_run=False, resume=False) == 0
    assert "nobody is in 1 of 2 clips" in capsys.readouterr().out
    someone, nobody = load_manifest(tmp_path / "out").clips
    assert someone.meta["crop"] == "52 18 25" and nobody.meta["crop"] == "20 0 60"
    assert "box_x0" not in someone.meta and someone.meta["weather"] == "dry"
    assert video.read(tmp_path / "out" / someone.path).shape == (1, 30, 30, 3)


def test_clips_that_tell_nothing_are_refused_before_the_first(tmp_path: Path) -> None:
    clips = (
        _image(tmp_path, "deep", depth=np.zeros((1, 3, 3), np.uint16)),
        _image(tmp_path, "short", box=np.zeros((0, 4))),
        _image(tmp_path, "wide", box=np.zeros((1, 5))),
        _image(tmp_path, "unknown", keypoints=np.full((1, 17, 3), np.nan)),
        replace(_image(tmp_path, "alone", mask=np.ones((1, 3, 3), np.uint8)), meta={}),
    )
    save_manifest(Manifest(tmp_path, ("wave",), clips), tmp_path / "manifest.csv")
    with pytest.raises(ViddaError) as told:
        run(config(tmp_path, tmp_path / "out"), dry_run=False, resume=False)
    deep, short, wide, unknown, alone = str(told.value).splitlines()
    for line, name in ((deep, "deep"), (alone, "alone")):
        assert f"clip '{name}': " in line and "has no box or keypoints or mask, or is not" in line
        assert "`vidda mask` makes masks" in line
    assert "short.npz: box has 0 rows" in short
    assert "wide.npz: box is float64 (1, 5); write x0" in wide
    assert "unknown.npz: keypoints" in unknown
    assert not (tmp_path / "out").exists()
