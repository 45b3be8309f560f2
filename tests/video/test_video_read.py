"""Every frame that is read is the one that PyAV's sequential decode gives at that number."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import encode, moving, picked, sequential
from PIL import Image

from vidda import video
from vidda.video import decode
from vidda.video._decord import decord
from vidda.video.index import _index

SHARED = Path(__file__).parents[3] / "shared" / "clips"

H264 = {"preset": "ultrafast"}
OPEN = {"preset": "ultrafast", "x264-params": "open-gop=1:keyint=12:bframes=3:min-keyint=12"}
REFRESH = {"preset": "ultrafast", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}
PYRAMID = {"preset": "veryfast", "x264-params": "b-pyramid=normal:b-adapt=0"}
HEVC = {"preset": "ultrafast", "x265-params": "log-level=none"}
VPX = {"deadline": "realtime", "cpu-used": "8"}
ALTREF = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16"}

# name: (arguments of `encode`, the first reader)
KINDS = {
    "h264.mp4": ({"options": H264}, "decord"),
    "h264_b.mp4": ({"options": PYRAMID, "b_frames": 3}, "decord"),
    "h264_b.mkv": ({"options": PYRAMID, "b_frames": 3}, "decord"),
    "h264_444.mp4": ({"options": H264, "pixels": "yuv444p"}, "decord"),
    "h264_10bit.mp4": ({"options": H264, "pixels": "yuv420p10le"}, "pyav"),
    "h264_open.mkv": ({"options": OPEN, "b_frames": 3}, "pyav"),
    "h264_open.mp4": ({"options": OPEN, "b_frames": 3}, "pyav"),
    "h264_refresh.mp4": ({"options": REFRESH, "group": 30}, "pyav"),
    "h264.avi": ({"options": H264}, "pyav"),
    "h264_b.avi": ({"options": PYRAMID, "b_frames": 3}, "pyav"),
    "mpeg4.avi": ({"codec": "mpeg4"}, "decord"),
    "mpeg4_b.avi": ({"codec": "mpeg4", "b_frames": 2}, "pyav"),
    "mpeg4_b.mp4": ({"codec": "mpeg4", "b_frames": 2}, "pyav"),
    "hevc.mp4": ({"codec": "libx265", "options": HEVC, "b_frames": 3}, "pyav"),
    "vp8.webm": ({"codec": "libvpx", "options": VPX}, "decord"),
    "vp8_altref.webm": ({"codec": "libvpx", "options": ALTREF, "group": 30}, None),
    "vp9.webm": ({"codec": "libvpx-vp9", "options": VPX}, "pyav"),
    "mjpeg.avi": ({"codec": "mjpeg", "pixels": "yuvj420p"}, "pyav"),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, (arguments, _) in KINDS.items():
        encode(folder / name, moving(60), **arguments)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_a_stream_gives_what_reading_everything_gives(kinds: Path, name: str) -> None:
    for size in (None, 24):
        streamed = np.stack(list(video.stream(kinds / name, size)))
        assert np.array_equal(streamed, video.read(kinds / name, None, size))


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_the_sequential_one(kinds: Path, name: str) -> None:
    path, truth = kinds / name, sequential(kinds / name)
    info = video.probe(path)
    assert info.frames == len(truth)
    assert (info.width, info.height) == (64, 48)
    assert KINDS[name][1] in (info.reader, None), info.reason
    rng = np.random.default_rng(0)
    requests = [
        None,
        np.linspace(0, 59, 16).round().astype(int),
        rng.integers(0, 60, 150),
        np.array([59]),
        np.array([1, 58]),
        np.array([25, 40, 25, 3, 41]),
        np.arange(30, 36),
    ]
    for checked in (False, True):
        for numbers in requests:
            _index.cache_clear()
            wanted = truth if numbers is None else truth[numbers]
            np.testing.assert_array_equal(video.read(path, numbers, checked=checked), wanted)


def test_decord_reads_what_jumps_and_pyav_the_rest(
    kinds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    def spy(name: str, reader: object) -> object:
        def read(index: object, wanted: object) -> object:
            used.append(name)
            return reader(index, wanted)  # type: ignore[operator]

        return read

    for name in ("decode_with_decord", "decode_with_pyav"):
        monkeypatch.setattr(f"vidda.video.reading.{name}", spy(name, getattr(decode, name)))
    _index.cache_clear()
    good, open_groups = kinds / "h264_b.mkv", kinds / "h264_open.mkv"
    video.read(good, [49, 50])  # not known to be sound yet: decord would conceal damage
    video.read(good, [49, 50])
    video.read(good)  # nothing to gain by seeking
    video.read(good, [49, 50, 3], checked=True)
    video.read(open_groups, [49, 50], checked=True)
    pyav, decord = "decode_with_pyav", "decode_with_decord"
    assert used == [pyav, decord, pyav, decord, pyav]


def test_checked_once_is_known_to_be_sound(kinds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _index.cache_clear()
    video.check(kinds / "vp8.webm")
    monkeypatch.delattr("vidda.video.reading.decode_with_pyav")
    assert len(video.read(kinds / "vp8.webm", [50, 51])) == 2


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rotation(tmp_path: Path, rotation: int, suffix: str) -> None:
    path = encode(
        tmp_path / f"turned{suffix}", moving(24, 64, 128), rotation=rotation, options=H264
    )
    info = video.probe(path)
    assert (info.rotation, info.reader) == (360 - rotation, "pyav")
    assert (info.width, info.height) == ((64, 128) if rotation != 180 else (128, 64))
    # FFmpeg's matrix turns counter-clockwise, as numpy does.
    upright = np.rot90(sequential(path), rotation // 90, axes=(1, 2))
    np.testing.assert_array_equal(video.read(path), upright)
    np.testing.assert_array_equal(video.read(path, [20, 3], checked=True), upright[[20, 3]])
    if suffix == ".mp4":  # the independent witness: in this container decord turns frames itself
        turned = decord.VideoReader(str(path)).get_batch(range(24)).asnumpy()
        assert np.abs(turned.astype(int) - upright).max() <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    stamps = [n + 3 * (n // 7) for n in range(40)]
    path = encode(tmp_path / f"vfr{suffix}", moving(40), stamps=stamps, options=H264, b_frames=2)
    info, truth = video.probe(path), sequential(path)
    assert info.variable_frame_rate
    assert info.frames == len(truth) == 40
    assert info.fps == pytest.approx(39 / (stamps[-1] / 25), rel=0.01)
    assert info.duration_s == pytest.approx(stamps[-1] / 25, rel=0.05)
    for numbers in ([39, 0, 7, 8], [35, 36]):
        np.testing.assert_array_equal(video.read(path, numbers, checked=True), truth[numbers])


def test_probe_says_what_a_file_is(kinds: Path) -> None:
    info = video.probe(str(kinds / "h264_b.mkv"))
    assert (info.container, info.codec, info.pixel_format) == ("matroska", "h264", "yuv420p")
    assert info.fps == pytest.approx(25)
    assert info.duration_s == pytest.approx(2.4)
    assert info.b_frames
    assert not info.variable_frame_rate
    assert "open" in video.probe(kinds / "h264_open.mkv").reason


@pytest.mark.parametrize("name", ["image.png", "image.jpg", "image.bmp", "image.webp"])
def test_an_image_is_a_clip_of_one_frame(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(moving(1)[0]).save(path)
    info = video.check(path)
    assert (info.frames, info.width, info.height, info.reader) == (1, 64, 48, "pillow")
    with Image.open(path) as image:
        np.testing.assert_array_equal(video.read(path, [0, 0])[1], np.asarray(image.convert("RGB")))


def test_an_image_is_turned_as_its_exif_asks(tmp_path: Path) -> None:
    image = Image.fromarray(moving(1)[0])
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    assert video.probe(tmp_path / "turned.png").height == 64
    np.testing.assert_array_equal(
        video.read(tmp_path / "turned.png")[0], np.rot90(moving(1)[0], -1)
    )


def test_sizes(kinds: Path) -> None:
    path = kinds / "h264.mp4"
    assert video.read(path, [0], (20, 30)).shape == (1, 20, 30, 3)
    assert video.read(path, [0], 24).shape == (1, 24, 32, 3)
    assert video.read(path, [0], 96).shape == (1, 96, 128, 3)
    halved = video.read(path, [5], 24)[0].astype(float)
    mean = sequential(path)[5].reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - mean).max() <= 1


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", moving(20), options=H264)
    assert video.probe(path).frames == 20
    encode(path, moving(30, seed=1), options=H264)
    assert video.probe(path).frames == 30
    np.testing.assert_array_equal(video.read(path, [29]), sequential(path)[[29]])


@pytest.mark.parametrize("numbers", [[-1], [60], [0.5], [[1, 2]]])
def test_impossible_frame_numbers(kinds: Path, numbers: list) -> None:
    with pytest.raises(video.VideoError, match=r"h264\.mp4: "):
        video.read(kinds / "h264.mp4", numbers)


def test_no_frames_asked(kinds: Path) -> None:
    assert video.read(kinds / "h264.mp4", []).shape == (0, 48, 64, 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clips are not here")
def test_real_clips() -> None:
    files = sorted(p for p in SHARED.iterdir() if p.suffix in (".mp4", ".mkv"))
    assert files
    for path in files:
        info = video.check(path)
        numbers = np.random.default_rng(1).integers(0, info.frames, 12)
        near = [info.frames - 1, info.frames - 3]
        count, truth = picked(path, {*numbers.tolist(), *near})
        assert info.frames == count
        for asked, checked in ((numbers.tolist(), False), (near, True)):
            # One of them has pixels that are wider than high: a player shows it wider.
            shown = [cv2.resize(truth[n], (info.width, info.height)) for n in asked]
            wanted = np.stack(shown if info.sample_aspect_ratio > 1 else [truth[n] for n in asked])
            np.testing.assert_array_equal(video.read(path, asked, checked=checked), wanted)


def _read_both_ends(path: Path) -> None:
    ends = video.read(path, [58, 59], checked=True)
    assert len(ends) == 2


def test_a_fork_after_decord_has_read(kinds: Path) -> None:
    """Decord's readers hang in a forked child; ours are gone before."""
    _read_both_ends(kinds / "h264_b.mp4")
    child = multiprocessing.get_context("fork").Process(
        target=_read_both_ends, args=(kinds / "h264_b.mp4",)
    )
    child.start()
    child.join(30)
    child.kill()
    assert child.exitcode == 0


def test_pyav_still_encodes_beside_decord(tmp_path: Path) -> None:
    """Decord's own libvpx must not stand in for PyAV's."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import vidda.video; from pathlib import Path;"
        "from clips import encode, moving; encode(Path(sys.argv[2]), moving(3), 'libvpx')"
    )
    arguments = [
        sys.executable,
        "-c",
        script,
        str(Path(__file__).parents[1]),
        str(tmp_path / "x.webm"),
    ]
    subprocess.run(arguments, check=True, timeout=60)
