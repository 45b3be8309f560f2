"""Photographs with the detail of smaller ones."""

from pathlib import Path

import numpy as np
import pytest

from tools.shrink_photographs import main, shrink
from vidda import video
from vidda.data.manifest import load_manifest, save_manifest
from vidda.types import ClipRecord, Manifest


def test_detail_is_lost_and_size_and_mean_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3), np.uint8)
    video.write_png(tmp_path / "one.png", image[None])
    clip = ClipRecord("one", "one.png", 0, "real", "ground", meta={"sidecar": "a.npz", "take": "t"})
    save_manifest(Manifest(tmp_path, ("wave",), (clip,)), tmp_path / "manifest.csv")
    assert main([str(tmp_path / "manifest.csv"), str(tmp_path / "out"), "--sides", "10", "40"]) == 0
    small = load_manifest(tmp_path / "out" / "10")
    found = video.read(small.root / small.clips[0].path)[0]
    assert small.clips[0].meta == {"take": "t"} and small.clips[0].label == 0
    np.testing.assert_array_equal(found, shrink(image, 10))
    assert found.shape == image.shape and found.std() < 0.5 * image.std()
    assert found.mean() == pytest.approx(image.mean(), abs=3)
    same = video.read(tmp_path / "out" / "40" / "one.png.png")[0]
    np.testing.assert_array_equal(same, image)


def test_a_video_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video.write(tmp_path / "a.mp4", np.zeros((3, 32, 32, 3), np.uint8), 8)
    clip = ClipRecord("a", "a.mp4", None, "real", "ground")
    save_manifest(Manifest(tmp_path, (), (clip,)), tmp_path / "manifest.csv")
    assert main([str(tmp_path / "manifest.csv"), str(tmp_path / "out")]) == 2
    assert "clip 'a': has 3 frames; name clips of one frame" in capsys.readouterr().err
