"""The track that a person would watch, by one rule for every reader, whatever its name and tags."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from clips import encode, moving

from vidda import video
from vidda.video.index import _index

# Of each track: height, width, seed of its content, how many frames, what marks it.
Track = tuple[int, int, int, int, Disposition]
PLAIN, DEFAULT = Disposition(0), Disposition.default
SMALL, LARGE, COVER = (48, 64, 0, 20, PLAIN), (96, 128, 1, 20, PLAIN), (96, 128, 2, 1, PLAIN)


def tracks(path: Path, *wanted: Track, codec: str = "libx264") -> Path:
    options = {"preset": "ultrafast", "g": "8", "bf": "0"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        streams = []
        for number, (height, width, _, _, marks) in enumerate(wanted):
            stream = container.add_stream(codec, rate=25, options=options)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.bit_rate = 100_000 + 900_000 * number
            if marks:
                stream.disposition = marks
            streams.append(stream)
        for at in range(20):
            for stream, (height, width, seed, count, _) in zip(streams, wanted, strict=True):
                if at < count:
                    frame = av.VideoFrame.from_ndarray(moving(20, height, width, seed)[at])
                    frame.pts = at
                    container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


def of_track(path: Path, track: int) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[track])
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


CHOICES = {
    "alike.mp4": ((SMALL, (48, 64, 1, 20, PLAIN)), 0),
    "alike.mkv": ((SMALL, (48, 64, 1, 20, PLAIN)), 0),
    "alike.ts": ((SMALL, (48, 64, 1, 20, PLAIN)), 0),
    "alike.avi": ((SMALL, (48, 64, 1, 20, PLAIN)), 0),
    "larger.mkv": ((SMALL, LARGE), 1),
    "larger.ts": ((SMALL, LARGE), 1),
    "larger.avi": ((LARGE, SMALL), 0),
    "default.mp4": ((SMALL, (48, 64, 1, 20, DEFAULT)), 1),
    "default.mkv": ((LARGE, (48, 64, 2, 20, DEFAULT)), 1),
    "picture.mp4": ((COVER, SMALL), 1),
    "picture.mkv": ((COVER, SMALL), 1),
    "picture.ts": ((COVER, SMALL), 1),
    "comment.mkv": (((96, 128, 1, 20, Disposition.comment), SMALL), 1),
}


@pytest.mark.parametrize("name", CHOICES)
def test_one_track_before_and_after_a_full_read(tmp_path: Path, name: str) -> None:
    """Decord and PyAV choose by different rules, so that once the same call gave other frames."""
    made, track = CHOICES[name]
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = tracks(tmp_path / name, *made, codec=codec)
    truth = of_track(path, track)
    assert len(truth) == 20
    for checked in (False, True):
        _index.cache_clear()
        info = video.probe(path)
        assert (info.track, info.tracks, info.frames) == (track, 2, 20)
        np.testing.assert_array_equal(video.read(path, [3, 17], checked=checked), truth[[3, 17]])
        np.testing.assert_array_equal(video.read(path, checked=checked), truth)
        np.testing.assert_array_equal(video.read(path, [3, 17], checked=checked), truth[[3, 17]])


def test_a_cover_is_not_the_video(tmp_path: Path) -> None:
    """Even a larger one that is marked as default and comes first."""
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = Disposition.attached_pic | DEFAULT
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        image = av.VideoFrame.from_ndarray(moving(1, 200, 200)[0])
        image.pts = 0
        container.mux(cover.encode(image))
        for number, picture in enumerate(moving(6)):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert video.check(path).frames == 6
    assert video.read(path).shape == (6, 48, 64, 3)


@pytest.mark.parametrize("name", [b"12:30:05.mp4", b"file:x.mkv", b"caf\xe9.mp4", b"a#b?c%20d.mp4"])
def test_any_name_opens(tmp_path: Path, name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    made = encode(tmp_path / f"plain{Path(os.fsdecode(name)).suffix}", moving(20))
    truth = video.read(made)
    monkeypatch.chdir(tmp_path)
    path = made.rename(os.fsdecode(name))
    for asked in (path, tmp_path / path):
        assert video.check(asked).frames == 20
        np.testing.assert_array_equal(video.read(asked, [3, 18], checked=True), truth[[3, 18]])


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4"), ("flv", "flv")]
)
def test_tags_need_not_be_utf8(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "XXXX"
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number, picture in enumerate(moving(8)):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    plain = video.read(path)
    assert video.probe(path).notes == ()
    path.write_bytes(path.read_bytes().replace(b"XXXX", b"caf\xe9"))
    assert video.check(path).notes == ("its tags are not UTF-8",)
    np.testing.assert_array_equal(video.read(path), plain)
    np.testing.assert_array_equal(video.read(path, [5], checked=True), plain[[5]])
