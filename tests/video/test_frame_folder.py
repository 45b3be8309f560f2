"""Folders of numbered images, read as one video each."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidda import video
from vidda.data.frame_cache import FrameCache
from vidda.files import sha256, size_and_time
from vidda.video.video_error import VideoError


def frames_in(folder: Path, names: list[str]) -> np.ndarray:
    """Write a frame under each name, and return them in order."""
    frames = np.random.default_rng(0).integers(0, 255, (len(names), 12, 16, 3), np.uint8)
    folder.mkdir()
    for frame, name in zip(frames, names, strict=True):
        Image.fromarray(frame).save(folder / name)
    return frames


def test_a_folder_of_frames_is_a_video(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    frames = frames_in(folder, ["f2.png", "f9.png", "f10.png", "f100.bmp"])
    (folder / "notes.txt").write_text("not a frame")
    (folder / ".hidden.png").write_bytes(b"nor this")
    info = video.probe(folder)
    assert (info.frames, info.height, info.width, info.container) == (4, 12, 16, "folder")
    assert (info.fps, info.duration_s) == (25.0, 0.16)
    assert np.array_equal(video.read(folder), frames)
    assert np.array_equal(video.read(folder, [3, 1, 1]), frames[[3, 1, 1]])
    assert np.array_equal(np.stack(list(video.stream(folder))), frames)
    assert video.read(folder, [0], size=6).shape == (1, 6, 8, 3)
    assert video.check(folder) == info


def test_a_frame_that_changes_is_noticed(tmp_path: Path) -> None:
    """By the cache of frames too, which keeps those of a video that did not change."""
    folder = tmp_path / "clip"
    frames = frames_in(folder, ["1.png", "2.png"])
    cache = FrameCache(tmp_path / "cache", min_free_gib=0)

    def cached() -> np.ndarray:
        return cache.frames(folder, None, "all", lambda: video.read(folder))

    assert np.array_equal(cached(), frames)
    digest, stamp = sha256(folder), size_and_time(folder)
    Image.fromarray(frames[0]).save(folder / "2.png")
    assert sha256(folder) != digest
    assert size_and_time(folder) != stamp
    assert np.array_equal(cached(), frames[[0, 0]])
    Image.fromarray(frames[1]).save(folder / "3.png")
    assert video.probe(folder).frames == 3


def test_folders_that_are_no_video(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    frames = frames_in(folder, ["1.png", "2.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="empty: a folder without images"):
        video.probe(tmp_path / "empty")
    Image.fromarray(frames[0, :6]).save(folder / "3.png")
    with pytest.raises(VideoError, match=r"3\.png: 16x6 pixels, but 1\.png has 16x12"):
        video.check(folder)
    (folder / "3.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"3\.png: corrupt"):
        video.read(folder)
