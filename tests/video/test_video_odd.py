"""What PyAV decodes in order is what is read, however odd the file; a note says what was odd."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, moving, sequential

from vidda import video
from vidda.video.bitstream import count_doubt
from vidda.video.index import _index

HEVC = {
    "codec": "libx265",
    "options": {"preset": "ultrafast", "x265-params": "keyint=10:bframes=3:log-level=none"},
}
OPEN = {"options": {"x264-params": "open-gop=1:keyint=10:min-keyint=10"}, "b_frames": 3}
REFRESH = {"options": {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}, "group": 30}
SOURCES = {
    "hevc.mkv": HEVC,
    "h264.mkv": {"options": {"preset": "ultrafast"}, "group": 10},
    "open.mkv": OPEN,
    "refresh.mkv": REFRESH,
    "mpeg2.mkv": {"codec": "mpeg2video", "b_frames": 2, "group": 10},
    "mpeg4.mkv": {"codec": "mpeg4", "b_frames": 2, "group": 10},
    "mpeg4.avi": {"codec": "mpeg4", "group": 10},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "mpeg1.mpg": {"codec": "mpeg1video", "b_frames": 2, "group": 10},
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name, arguments in SOURCES.items():
        encode(folder / name, moving(40), **arguments)
    return folder


def copied(
    source: Path,
    target: Path,
    first: int = 0,
    change: Callable[[int, bytes], bytes] = lambda number, data: data,
    without: range = range(0),
) -> Path:
    """Copy packets from number `first` on, each one changed, but for some."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(old.streams.video[0]) if p.size):
            if number >= first and number not in without:
                copy = av.Packet(change(number, bytes(packet)))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                new.mux(copy)
    return target


def second_key(path: Path) -> int:
    with av.open(str(path)) as container:
        keys = [n for n, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    return keys[1]


def assert_read_as_decoded(path: Path, *, gaps: bool = False) -> video.VideoInfo:
    """In one pass, by jumps, before and after a check, and whatever the process knows."""
    with av.open(str(path), metadata_errors="replace") as container:
        truth = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    info = video.probe(path)
    assert info.frames == len(truth)
    ends = [0, len(truth) // 2, len(truth) - 1]
    for checked in (False, True):
        _index.cache_clear()
        np.testing.assert_array_equal(
            video.read(path, ends[::-1], checked=checked), truth[ends[::-1]]
        )
        np.testing.assert_array_equal(video.read(path, checked=checked), truth)
    np.testing.assert_array_equal(np.stack(list(video.stream(path))), truth)
    assert video.check(path) == info
    assert gaps or info.fps == pytest.approx(25, rel=0.1) or info.container == "avi"  # with gaps
    return info


CUTS = [
    ("hevc.mkv", "mkv"), ("hevc.mkv", "ts"), ("hevc.mkv", "mp4"), ("hevc.mkv", "hevc"),
    ("h264.mkv", "mkv"), ("h264.mkv", "ts"), ("h264.mkv", "flv"), ("h264.mkv", "mp4"),
    ("h264.mkv", "h264"), ("open.mkv", "mkv"), ("open.mkv", "mp4"), ("open.mkv", "flv"),
    ("refresh.mkv", "mkv"), ("refresh.mkv", "mp4"),
    ("mpeg2.mkv", "mkv"), ("mpeg2.mkv", "ts"), ("mpeg2.mkv", "avi"), ("mpeg2.mkv", "mpg"),
    ("mpeg2.mkv", "m2v"), ("mpeg4.mkv", "mkv"), ("mpeg4.mkv", "avi"), ("mpeg4.mkv", "mp4"),
    ("mpeg4.avi", "avi"), ("mpeg1.mpg", "mpg"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "suffix"), CUTS)
@pytest.mark.parametrize("within", [False, True])
def test_pieces_cut_by_stream_copy(
    sources: Path, tmp_path: Path, source: str, suffix: str, within: bool
) -> None:
    """At the second key frame, whose leading pictures lack what they refer to, or before it."""
    first = 3 if within else second_key(sources / source)
    path = copied(sources / source, tmp_path / f"piece.{suffix}", first)
    info = assert_read_as_decoded(path)
    if within:
        assert any("begins within" in note for note in info.notes)


@pytest.mark.parametrize("suffix", ["ts", "mpg", "m2v", "h264", "hevc"])
def test_streams_cut_anywhere(tmp_path: Path, suffix: str) -> None:
    """A recording begins at any byte; seeking to 0 in some of these is "not permitted"."""
    codec = {"h264": {"group": 10}, "hevc": HEVC}.get(suffix, SOURCES["mpeg2.mkv"])
    path = encode(tmp_path / f"clip.{suffix}", moving(40), **codec)
    assert_read_as_decoded(path)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 3 + 7 :])
    assert assert_read_as_decoded(path).notes


def test_streams_that_end_within_a_packet(sources: Path, tmp_path: Path) -> None:
    """What is left of the last one may be too little for a frame."""
    whole = copied(sources / "hevc.mkv", tmp_path / "whole.ts").read_bytes()
    lost = 0
    for number in range(0, 30, 3):
        path = tmp_path / f"{number}.ts"
        path.write_bytes(whole[: len(whole) * 2 // 3 - number * 94])
        lost += " packets give " in "".join(assert_read_as_decoded(path, gaps=True).notes)
    assert lost

    whole = copied(sources / "mpeg1.mpg", tmp_path / "whole.m1v").read_bytes()
    path = tmp_path / "head_of_picture.m1v"
    path.write_bytes(whole[: whole.rindex(b"\0\0\1\0") + 9])
    assert assert_read_as_decoded(path).frames == 39


@pytest.mark.parametrize("source", ["hevc.mkv", "mpeg4.mkv", "mpeg2.mkv", "open.mkv"])
def test_pieces_joined_without_what_was_between(sources: Path, tmp_path: Path, source: str) -> None:
    """B-frames whose neighbors are missing are not shown, by some decoders."""
    for first in range(12, 18):
        path = copied(sources / source, tmp_path / f"{first}.mkv", without=range(first, first + 4))
        assert_read_as_decoded(path, gaps=True)


@pytest.mark.parametrize("dropped", [{5}, {1, 2}, set(range(3, 39, 5)), {38}])
def test_an_avi_with_dropped_frames(tmp_path: Path, dropped: set[int]) -> None:
    stamps = [n for n in range(40) if n not in dropped]
    path = encode(tmp_path / "clip.avi", moving(len(stamps)), "mpeg4", stamps=stamps)
    info = assert_read_as_decoded(path)
    assert (info.frames, info.fps) == (len(stamps), pytest.approx(25, rel=0.25))
    assert info.notes == (f"{len(dropped)} of its frames were dropped before it was written",)


def test_an_avi_that_lost_a_frame_is_refused(sources: Path, tmp_path: Path) -> None:
    """Damage at a chunk's head makes FFmpeg step over it."""
    data = bytearray((sources / "mpeg4.avi").read_bytes())
    at = data.find(b"movi") + 4
    for _ in range(20):
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little") + 1 & ~1
    assert data[at : at + 4] == b"00dc"
    data[at : at + 8] = bytes(8)
    (tmp_path / "clip.avi").write_bytes(data)
    with pytest.raises(video.VideoError, match=r"clip\.avi: corrupt"):
        video.check(tmp_path / "clip.avi")


@pytest.mark.parametrize("hidden", [{5}, {1, 2}, {39}])
def test_frames_of_vp8_that_are_not_shown(sources: Path, tmp_path: Path, hidden: set[int]) -> None:
    def hide(number: int, data: bytes) -> bytes:
        return bytes([data[0] & ~0x10]) + data[1:] if number in hidden else data

    path = copied(sources / "vp8.webm", tmp_path / "clip.webm", change=hide)
    info = assert_read_as_decoded(path)
    assert info.frames == 40 - len(hidden)
    assert info.notes == (f"holds frames that are not shown: 40 packets give {info.frames} frames",)


def test_frames_of_vp9_that_are_not_shown() -> None:
    """FFmpeg's muxers join them to one that is: alone, or without one, they count for none."""
    shown, hidden, again = b"\x82\0", b"\x80\0", b"\x88"
    join = b"\xc1\2\2\xc1"
    assert count_doubt("vp9", shown, 0) == count_doubt("vp9", again, 0) == ""
    assert count_doubt("vp9", hidden + shown + join, 0) == ""
    for odd in (hidden, hidden + hidden + join, shown + shown + join):
        assert "not shown" in count_doubt("vp9", odd, 0)


@pytest.mark.parametrize("group", [5, 12, 40])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize(("length_ms", "start"), [(200, 0), (1000, 5), (600, 11), (1, 0)])
def test_edit_lists(tmp_path: Path, group: int, b_frames: int, length_ms: int, start: int) -> None:
    """They end before the last key frame, or begin after the first."""
    path = encode(tmp_path / "clip.mp4", moving(40), group=group, b_frames=b_frames)
    raw = bytearray(path.read_bytes())
    at = raw.find(b"elst") + 12
    media = int.from_bytes(raw[at + 4 : at + 8], "big") + start * 512
    raw[at : at + 8] = length_ms.to_bytes(4, "big") + media.to_bytes(4, "big")
    path.write_bytes(raw)
    truth = sequential(path)
    info = video.check(path)
    assert info.frames == len(truth) == max(1, length_ms // 40)
    assert info.notes == ("an edit list hides frames",)
    np.testing.assert_array_equal(video.read(path), truth)
    np.testing.assert_array_equal(video.read(path, [len(truth) - 1], checked=True), truth[-1:])


@pytest.mark.parametrize(
    "tail",
    [b"TAG" + b"x" * 125, bytes(300), b"abc", b"\xff" * 64, b"\0\0\1\0SEFT" + bytes(40)],
    ids=["tag", "zeros", "short", "ones", "camera"],
)
def test_bytes_after_the_last_box(sources: Path, tmp_path: Path, tail: bytes) -> None:
    path = copied(sources / "h264.mkv", tmp_path / "clip.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    info = assert_read_as_decoded(path)
    assert info.notes == (f"{len(tail)} bytes follow the end of the video",)
    path.write_bytes(whole[:-400] + b"abc")  # but they do not hide that the last box is cut
    with pytest.raises(video.VideoError, match=r"clip\.mp4: truncated"):
        video.check(path)


@pytest.mark.parametrize("flags", ["frag_keyframe", "frag_keyframe+empty_moov", "faststart"])
def test_an_mp4_in_fragments_is_nothing_odd(sources: Path, tmp_path: Path, flags: str) -> None:
    """The first count that it declares is that of its first fragment."""
    path = tmp_path / "clip.mp4"
    with (
        av.open(str(sources / "h264.mkv")) as old,
        av.open(str(path), "w", options={"movflags": flags}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    info = assert_read_as_decoded(path)
    assert (info.frames, info.reader, info.notes) == (40, "decord", ())


def test_an_edit_list_that_shows_a_part_twice(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", moving(40), group=10)
    raw = bytearray(path.read_bytes())
    at = raw.find(b"elst") - 4
    entry = bytes(raw[at + 16 : at + 28])
    media = int.from_bytes(entry[4:8], "big")
    half = (400).to_bytes(4, "big") + (media + 10 * 512).to_bytes(4, "big") + entry[8:]
    grown = raw[: at + 12] + (2).to_bytes(4, "big") + half + entry + raw[at + 28 :]
    grown[at : at + 4] = (40).to_bytes(4, "big")
    for box in (b"edts", b"trak", b"moov"):
        place = grown.find(box) - 4
        size = int.from_bytes(grown[place : place + 4], "big") + 12
        grown[place : place + 4] = size.to_bytes(4, "big")
    path.write_bytes(grown)  # the media lies before the header, so nothing else moves
    info = assert_read_as_decoded(path)
    assert info.frames == 50
    assert info.reader == "pyav"


@pytest.mark.parametrize(
    ("name", "form", "codec"),
    [
        ("clip.m1v", "mpeg1video", "mpeg1video"),
        ("clip.m2v", "mpeg2video", "mpeg2video"),
        ("clip.y4m", "yuv4mpegpipe", "wrapped_avframe"),
    ],
)
def test_streams_without_a_container_are_read(
    tmp_path: Path, name: str, form: str, codec: str
) -> None:
    path = tmp_path / name
    with av.open(str(path), "w", format=form) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pixels in moving(8, 48, 64):
            frame = av.VideoFrame.from_ndarray(pixels).reformat(format="yuv420p")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    whole = video.read(path)
    np.testing.assert_array_equal(whole, sequential(path))
    np.testing.assert_array_equal(video.read(path, [5, 2]), whole[[5, 2]])
