"""Frames on disk: right, made once, whole whoever is killed, and never another file's."""

import errno
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import moving

from vidda import video
from vidda.data.frame_cache import FrameCache
from vidda.data.loader import worker_context
from vidda.errors import ViddaError


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    video.write(tmp_path / "clip.mp4", moving(30), 25)
    return tmp_path / "clip.mp4"


class Maker:
    """Reads a clip, and counts how often it is asked to."""

    def __init__(self, path: Path, size: int = 24) -> None:
        self.path, self.size, self.calls = path, size, 0

    def __call__(self) -> np.ndarray:
        self.calls += 1
        return video.read(self.path, None, self.size)


def refuse() -> np.ndarray:
    raise AssertionError("the frames are in the cache")


def test_frames_are_made_once_and_are_the_same(tmp_path: Path, clip: Path) -> None:
    make = Maker(clip)
    for _ in range(3):
        frames = FrameCache(tmp_path / "cache").frames(clip, 24, "all", make)
        np.testing.assert_array_equal(frames, video.read(clip, None, 24))
        frames = FrameCache(tmp_path / "cache").frames(clip, 24, "all", refuse)
        assert isinstance(frames, np.memmap)
        assert not frames.flags.writeable
    assert make.calls == 1


def test_small_clips_stay_in_memory_and_large_ones_do_not(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker(clip)
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", make)
    for most, kept in ((2**20, True), (1000, False)):
        monkeypatch.setattr("vidda.data.frame_cache.SMALL_CLIP_BYTES", most)
        cache = FrameCache(tmp_path / "cache")
        first, second, third = (cache.frames(clip, 24, "all", refuse) for _ in range(3))
        np.testing.assert_array_equal(first, third)
        assert not third.flags.writeable
        assert (second is third) == kept
    video.write(clip, moving(30, seed=1), 25)
    np.testing.assert_array_equal(cache.frames(clip, 24, "all", make), video.read(clip, None, 24))
    assert make.calls == 2


def test_size_recipe_and_content_are_told_apart(tmp_path: Path, clip: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    make = Maker(clip)
    for size, recipe in ((24, "all"), ((24, 24), "all"), (None, "all"), (24, "center")):
        cache.frames(clip, size, recipe, make)
    assert make.calls == 4
    video.write(clip, moving(30, seed=1), 25)
    np.testing.assert_array_equal(cache.frames(clip, 24, "all", make), video.read(clip, None, 24))
    assert make.calls == 5


def test_frames_that_another_reader_gave_are_not_taken(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker(clip)
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", make)
    monkeypatch.setattr("vidda.data.frame_cache.READER", 0)
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", make)
    assert make.calls == 2


def test_a_copy_elsewhere_is_the_same_content(tmp_path: Path, clip: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    cache.frames(clip, 24, "all", Maker(clip))
    (tmp_path / "copy.mp4").write_bytes(clip.read_bytes())
    cache.frames(tmp_path / "copy.mp4", 24, "all", refuse)


def test_a_file_is_hashed_once(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", Maker(clip))
    monkeypatch.delattr("vidda.data.frame_cache.sha256")
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", refuse)


def test_a_failure_is_not_kept(tmp_path: Path, clip: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    clip.write_bytes(b"no video")
    for _ in range(2):
        with pytest.raises(video.VideoError, match=r"clip\.mp4"):
            cache.frames(clip, 24, "all", Maker(clip))
    with pytest.raises(video.VideoError, match=r"absent\.mp4"):
        cache.frames(tmp_path / "absent.mp4", 24, "all", refuse)
    assert list((tmp_path / "cache" / "frames").rglob("*.npy")) == []


def test_a_damaged_entry_is_made_again(tmp_path: Path, clip: Path) -> None:
    make = Maker(clip)
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", make)
    (entry,) = (tmp_path / "cache" / "frames").rglob("*.npy")
    entry.write_bytes(entry.read_bytes()[:500])
    with pytest.warns(UserWarning, match="damaged"):
        frames = FrameCache(tmp_path / "cache").frames(clip, 24, "all", make)
    np.testing.assert_array_equal(frames, video.read(clip, None, 24))
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", refuse)


def test_nothing_pickled_is_loaded(tmp_path: Path, clip: Path) -> None:
    FrameCache(tmp_path / "cache").frames(clip, 24, "all", Maker(clip))
    (entry,) = (tmp_path / "cache" / "frames").rglob("*.npy")
    np.save(entry, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.warns(UserWarning, match="damaged"):
        frames = FrameCache(tmp_path / "cache").frames(clip, 24, "all", Maker(clip))
    assert frames.dtype == np.uint8


def test_a_full_disk_is_left_alone(tmp_path: Path, clip: Path) -> None:
    cache = FrameCache(tmp_path / "cache", min_free_gib=1e9)
    with pytest.warns(UserWarning, match="would stay free"):
        frames = cache.frames(clip, 24, "all", Maker(clip))
    assert len(frames) == 30
    assert list((tmp_path / "cache" / "frames").rglob("*.npy")) == []


@pytest.mark.parametrize("text", ["", "ab", "\xff" * 64, "g" * 64], ids=repr)
def test_a_damaged_key_stands_for_no_other_video(tmp_path: Path, clip: Path, text: str) -> None:
    other = tmp_path / "other.mp4"
    video.write(other, moving(30, seed=1), 25)
    cache = FrameCache(tmp_path / "cache")
    for path in (clip, other):
        cache.frames(path, 24, "all", Maker(path))
    for key in (tmp_path / "cache" / "keys").iterdir():
        key.write_text(text)
    cache = FrameCache(tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"keys.* is damaged and is made again"):
        for path in (clip, other):
            frames = cache.frames(path, 24, "all", refuse)
            np.testing.assert_array_equal(frames, video.read(path, None, 24))


def test_a_disk_that_takes_nothing_is_told_once_and_no_clip_is_to_blame(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = [FrameCache(tmp_path / "cache") for _ in range(3)]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vidda.files.os.fsync", full)
    with pytest.warns(UserWarning) as told:
        for cache in caches:
            for _ in range(2):
                frames = cache.frames(clip, 24, "all", Maker(clip))
                np.testing.assert_array_equal(frames, video.read(clip, None, 24))
    (line,) = {str(warning.message) for warning in told}
    assert len(told) == 1
    assert line == (
        f"cache {tmp_path / 'cache'}: cannot be written to (No space left on device); further clips"
        " are decoded each time"
    )
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_cache_that_vanishes_is_done_without(tmp_path: Path, clip: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"cannot be written to \(No such file"):
        assert len(cache.frames(clip, 24, "all", Maker(clip))) == 30


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ViddaError, match="file"):
        FrameCache(tmp_path / "file")


def test_leftovers_of_the_killed_are_removed(tmp_path: Path) -> None:
    FrameCache(tmp_path)
    old, fresh = (tmp_path / "frames" / f".x.{n}.part.npy" for n in "ab")
    for part in (old, fresh):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    FrameCache(tmp_path)
    assert not old.exists()
    assert fresh.exists()


def _read_all(folder: Path, clips: list[Path], start: int) -> None:
    cache = FrameCache(folder)
    for number in range(len(clips)):
        path = clips[(number + start) % len(clips)]
        frames = cache.frames(path, 24, "all", Maker(path))
        if not np.array_equal(frames, video.read(path, None, 24)):
            raise SystemExit(1)


def _write_forever(folder: Path, clip: Path) -> None:
    """One entry after another, each large enough to be caught half-written."""
    cache = FrameCache(folder)
    frames = np.full((200, 224, 224, 3), 7, np.uint8)
    for number in range(10_000):
        cache.frames(clip, 224, str(number), lambda: frames)


def _start(job: Callable[..., None], *arguments: object) -> multiprocessing.Process:
    process = worker_context().Process(target=job, args=arguments)
    process.start()
    return process


def test_several_processes_at_once(tmp_path: Path) -> None:
    clips = [tmp_path / f"{n}.mp4" for n in range(6)]
    for number, path in enumerate(clips):
        video.write(path, moving(20, seed=number), 25)
    jobs = [_start(_read_all, tmp_path / "cache", clips, start) for start in (0, 0, 3)]
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert len(list((tmp_path / "cache" / "frames").rglob("*.npy"))) == 6
    assert not list((tmp_path / "cache").rglob(".*"))


def test_sigkill_leaves_whole_entries_only(tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / "cache"
    job = _start(_write_forever, folder, clip)
    deadline = time.monotonic() + 60
    while len(list(folder.rglob("[!.]*-224-*.npy"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    job.join(30)
    entries = [e for e in (folder / "frames").rglob("*.npy") if not e.name.startswith(".")]
    assert len(entries) >= 3
    for entry in entries:
        frames = np.load(entry, mmap_mode="r", allow_pickle=False)
        assert frames.shape == (200, 224, 224, 3)
        assert (frames[-1] == 7).all()
    number = str(len(entries) + 5)
    make = Maker(clip)
    assert len(FrameCache(folder).frames(clip, 224, number, make)) == 30  # and life goes on
    assert make.calls == 1
