"""A folder given to a command: every file that opens as a video is taken, the rest is told."""

from pathlib import Path

import av
import numpy as np
import pytest
from trees import touch

from vidda.data.choose_clips import find_clips, select_clips
from vidda.data.listing import IMAGES, VIDEOS
from vidda.errors import ViddaError
from vidda.types import ClipRecord, Manifest
from vidda.video import probe, still

CONTAINERS = {
    "3gp": ("mpeg4", "3gp"), "3g2": ("mpeg4", "3g2"), "f4v": ("mpeg4", "mov"),
    "qt": ("mpeg4", "mov"), "mk3d": ("mpeg4", "matroska"), "divx": ("mpeg4", "avi"),
    "flv": ("flv", "flv"), "gif": ("gif", "gif"), "asf": ("wmv2", "asf"), "wmv": ("wmv2", "asf"),
    "ts": ("mpeg2video", "mpegts"), "mts": ("mpeg2video", "mpegts"), "ogv": ("libvpx", "ogg"),
    "m2ts": ("mpeg2video", "mpegts"), "vob": ("mpeg2video", "vob"), "mpe": ("mpeg1video", "mpeg"),
    "mxf": ("mpeg2video", "mxf"), "ivf": ("libvpx", "ivf"),
}  # fmt: skip


def write(file: Path, codec: str, container: str) -> None:
    """Ten frames of noise: FFmpeg does not recognize a transport stream of very few bytes."""
    rng = np.random.default_rng(0)
    with av.open(str(file), "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for _ in range(10):
            noise = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            opened.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        opened.mux(stream.encode())


def test_files_of_all_containers_are_taken_and_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix, (codec, container) in CONTAINERS.items():
        write(tmp_path / f"v.{suffix.upper()}", codec, container)
    touch(tmp_path, ["notes.txt", "sub/labels.csv", ".v.0123.part.mp4", ".hidden/v.mp4"])
    clips = find_clips(tmp_path)
    assert {clip.path for clip in clips.clips} == {f"v.{suffix.upper()}" for suffix in CONTAINERS}
    for clip in clips.clips:
        assert probe(tmp_path / clip.path).frames == 10
    said = capsys.readouterr().err
    assert "left out for their suffixes (.csv, .txt): 2 files, first notes.txt" in said


def test_a_folder_of_videos_alone_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touch(tmp_path, ["a.mp4", "b/c.webm"])
    assert [clip.path for clip in find_clips(tmp_path).clips] == ["a.mp4", "b/c.webm"]
    assert capsys.readouterr().err == ""


def test_a_folder_without_a_video_says_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path, ["v.rm"])
    with pytest.raises(
        ViddaError, match=r"holds no video; left out for their suffixes \(\.rm\): 1"
    ):
        find_clips(tmp_path)


def test_images_are_those_that_the_reader_takes() -> None:
    assert frozenset(still.SUFFIXES) == IMAGES
    assert not IMAGES & VIDEOS


def test_a_limit_takes_clips_of_the_whole_manifest() -> None:
    clips = tuple(ClipRecord(f"{n}", f"{n}.mp4", n // 5, "any", "any") for n in range(15))
    manifest = Manifest(Path(), ("a", "b", "c"), clips)
    assert [clip.id for clip in select_clips(manifest, (), 3).clips] == ["0", "5", "10"]
    assert [clip.label for clip in select_clips(manifest, (), 6).clips] == [0, 0, 1, 1, 2, 2]
    assert select_clips(manifest, ("1*",), 2).clips == (clips[1], clips[12])
    for many in (15, 16, None):
        assert select_clips(manifest, (), many) == manifest
