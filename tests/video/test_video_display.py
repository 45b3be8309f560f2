"""Frames come as a player shows them: turned, mirrored, of square pixels, one reader for all."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, moving, sequential

from vidda import video
from vidda.video.index import _index
from vidda.video.sps import extradata_codes_fields

ONE, END = 1 << 16, 1 << 30

# name: (a, b, c, d of the display matrix, what FFmpeg's ffmpeg_filter.c inserts for it)
EIGHT = {
    "upright": ((1, 0, 0, 1), []),
    "clockwise": ((0, 1, -1, 0), [("transpose", "clock")]),
    "half": ((-1, 0, 0, -1), [("hflip", ""), ("vflip", "")]),
    "counterclockwise": ((0, -1, 1, 0), [("transpose", "cclock")]),
    "left and right": ((-1, 0, 0, 1), [("hflip", "")]),
    "up and down": ((1, 0, 0, -1), [("vflip", "")]),
    "diagonal": ((0, 1, 1, 0), [("transpose", "cclock_flip")]),
    "other diagonal": ((0, -1, -1, 0), [("transpose", "clock_flip")]),
}


def with_matrix(path: Path, matrix: tuple[float, float, float, float]) -> Path:
    a, b, c, d = (round(value * ONE) for value in matrix)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, END])
        for number, picture in enumerate(moving(4)):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def filtered(frames: np.ndarray, filters: list[tuple[str, str]]) -> np.ndarray:
    """The frames as FFmpeg's own filters turn them."""
    graph, out = av.filter.Graph(), []
    chain = [graph.add_buffer(width=64, height=48, format="rgb24", time_base=Fraction(1, 25))]
    chain += [graph.add(name, arguments) for name, arguments in filters]
    chain += [graph.add("buffersink")]
    graph.link_nodes(*chain).configure()
    for frame in frames:
        chain[0].push(av.VideoFrame.from_ndarray(frame))
        out.append(chain[-1].pull().to_ndarray())
    return np.stack(out)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", EIGHT)
def test_all_eight_orientations_are_ffmpegs(tmp_path: Path, name: str, suffix: str) -> None:
    matrix, filters = EIGHT[name]
    path = with_matrix(tmp_path / f"clip{suffix}", matrix)
    wanted = filtered(sequential(path), filters)
    info = video.check(path)
    assert (info.height, info.width) == wanted.shape[1:3]
    assert info.mirrored == (np.linalg.det(np.reshape(matrix, (2, 2))) < 0)
    np.testing.assert_array_equal(video.read(path), wanted)
    np.testing.assert_array_equal(video.read(path, [3, 1], checked=True), wanted[[3, 1]])
    np.testing.assert_array_equal(np.stack(list(video.stream(path))), wanted)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [((0.5**0.5, 0.5**0.5, -(0.5**0.5), 0.5**0.5), "45"), ((-0.8, 0.6, 0.6, 0.8), "37")],
)
def test_other_angles_are_refused_by_name(tmp_path: Path, matrix: tuple, said: str) -> None:
    path = with_matrix(tmp_path / "clip.mp4", matrix)
    with pytest.raises(video.VideoError, match=rf"clip\.mp4: asks to be rotated by {said} degrees"):
        video.read(path)


def test_a_matrix_that_scales_or_says_nothing_does_not_turn(tmp_path: Path) -> None:
    """Half a degree is an inaccuracy, as in FFmpeg."""
    for matrix in ((0, 0, 0, 0), (0.99996, 0.0087, -0.0087, 0.99996)):
        path = with_matrix(tmp_path / "clip.mp4", matrix)
        np.testing.assert_array_equal(video.read(path), sequential(path))


SHAPES = {
    "mp4": "libx264",
    "mkv": "libx264",
    "ts": "libx264",
    "avi": "mpeg4",
    "flv": "libx264",
    "mpg": "mpeg2video",
}


@pytest.mark.parametrize("suffix", SHAPES)
def test_pixels_become_square(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / f"clip.{suffix}", moving(20), SHAPES[suffix], shape=Fraction(3, 2))
    if suffix == "mpg":  # MPEG-2 knows only a few shapes
        path = encode(path, moving(20), SHAPES[suffix], shape=Fraction(4, 3))
    info = video.probe(path)
    width = round(64 * info.sample_aspect_ratio)
    assert (info.width, info.height) == (width, 48)
    assert width == (85 if suffix == "mpg" else 96)
    every = video.read(path)
    assert every.shape == (20, 48, width, 3)
    np.testing.assert_array_equal(video.read(path, [3, 17], checked=True), every[[3, 17]])
    np.testing.assert_array_equal(np.stack(list(video.stream(path))), every)
    places = (np.arange(width) + 0.5) * 64 / width - 0.5  # stretched, and not cut
    row = np.interp(places, range(64), sequential(path)[5, 20, :, 1])
    assert np.abs(every[5, 20, :, 1] - row).max() <= 1
    assert video.read(path, [0], 24).shape == (1, 24, round(width / 2), 3)


def test_the_container_overrides_the_codec_and_turning_comes_last(tmp_path: Path) -> None:
    source = encode(tmp_path / "source.mp4", moving(4), shape=Fraction(1, 2), rotation=90)
    info = video.probe(source)
    assert (info.width, info.height) == (48, 32)
    raw = bytearray(source.read_bytes())
    at = raw.find(b"pasp") + 4
    raw[at : at + 8] = (2).to_bytes(4, "big") + (1).to_bytes(4, "big")
    source.write_bytes(raw)
    info = video.probe(source)
    assert (info.width, info.height, info.sample_aspect_ratio) == (48, 128, Fraction(2))
    assert video.read(source).shape == (4, 128, 48, 3)


@pytest.mark.parametrize(
    ("shape", "noted"), [(Fraction(1216, 1215), False), (Fraction(1, 20), True)]
)
def test_shapes_nobody_sees_or_could_have_are_square(
    tmp_path: Path, shape: Fraction, noted: bool
) -> None:
    path = encode(tmp_path / "clip.mp4", moving(4), shape=shape)
    info = video.probe(path)
    assert (info.width, info.sample_aspect_ratio) == (64, 1)
    assert any("1:20" in note for note in info.notes) == noted
    np.testing.assert_array_equal(video.read(path), sequential(path))


INTERLACED = {
    "top.mp4": ("libx264", {"options": {"x264-params": "tff=1"}}),
    "bottom.mkv": ("libx264", {"options": {"x264-params": "bff=1"}, "b_frames": 2}),
    "mpeg4.avi": ("mpeg4", {"options": {"flags": "+ildct+ilme"}}),
    "ten.mp4": ("libx264", {"pixels": "yuv420p10le"}),
    "ten422.mkv": ("libx264", {"pixels": "yuv422p10le"}),
}


@pytest.mark.parametrize("name", INTERLACED)
def test_interlaced_and_ten_bit_videos_have_one_reader(tmp_path: Path, name: str) -> None:
    """Decord takes fields for frames, and other colors of 10 bits: by up to 255 levels."""
    codec, arguments = INTERLACED[name]
    frames = np.random.default_rng(0).integers(0, 256, (24, 48, 64, 3), np.uint8)
    path = encode(tmp_path / name, frames, codec, **arguments)
    truth, info = sequential(path), video.check(path)
    assert (info.reader, info.frames) == ("pyav", 24)
    for checked in (False, True):
        for numbers in ([20, 21], [3, 23, 3], None):
            _index.cache_clear()
            wanted = truth if numbers is None else truth[numbers]
            np.testing.assert_array_equal(video.read(path, numbers, checked=checked), wanted)
    for number in range(24):
        np.testing.assert_array_equal(video.read(path, [number]), truth[[number]])


@pytest.mark.parametrize(("height", "width"), [(47, 64), (48, 63), (47, 63)])
@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.webm", "libvpx")])
def test_odd_sizes_have_one_reader(
    tmp_path: Path, name: str, codec: str, height: int, width: int
) -> None:
    """Decord's colors there differ by up to 50 levels."""
    frames = np.random.default_rng(0).integers(0, 256, (20, height, width, 3), np.uint8)
    path = encode(tmp_path / name, frames, codec)
    np.testing.assert_array_equal(
        video.read(path, [18, 19], checked=True), sequential(path)[[18, 19]]
    )


def test_a_recording_may_turn_interlaced(tmp_path: Path) -> None:
    """Its first frame does not say so, only its second set of parameters."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), np.uint8)
    for name, more in (("a", {}), ("b", {"options": {"x264-params": "tff=1"}})):
        encode(tmp_path / f"{name}.h264", frames, **more)
    raw = tmp_path / "both.h264"
    raw.write_bytes(b"".join((tmp_path / f"{name}.h264").read_bytes() for name in "ab"))
    path = tmp_path / "clip.mkv"
    with av.open(str(raw)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 25), stream
            new.mux(packet)
    truth, info = sequential(path), video.check(path)
    assert (info.reader, info.frames, len(truth)) == ("pyav", 24, 24)
    assert "interlaced" in info.reason
    np.testing.assert_array_equal(video.read(path, [22, 23], checked=True), truth[[22, 23]])


def test_parameters_with_scaling_lists_and_other_orders(tmp_path: Path) -> None:
    for name, parameters, fields in (
        ("lists", "cqm=jvt:8x8dct=1", False),
        ("fields", "cqm=jvt:8x8dct=1:tff=1:profile=high", True),
        ("fake", "fake-interlaced=1", True),
        ("baseline", "bframes=0:cabac=0:8x8dct=0:ref=1", False),
    ):
        path = encode(tmp_path / f"{name}.mp4", moving(4), options={"x264-params": parameters})
        with av.open(str(path)) as container:
            assert (
                extradata_codes_fields(container.streams.video[0].codec_context.extradata) == fields
            )
