"""Whatever is wrong with a file, one VideoError says so and names it."""

import io
import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode, moving, sequential
from PIL import Image

from vidda import video
from vidda.data.verify import Checked, decode
from vidda.errors import ViddaError

KINDS = {
    "clip.mp4": {"options": {"preset": "ultrafast"}},
    "clip.mkv": {"options": {"preset": "ultrafast"}},
    "clip.avi": {"codec": "mpeg4"},
    "clip.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
}


def refused(path: Path) -> str:
    """The one message that all three ways to meet a bad file give."""
    said = set()
    for meet in (video.probe, video.check, video.read):
        with pytest.raises(video.VideoError) as error:
            meet(path)
        said.add(str(error.value))
    assert len(said) == 1
    message = said.pop()
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.7, 0.99])
def test_truncated(tmp_path: Path, name: str, share: float) -> None:
    whole = encode(tmp_path / name, moving(40), **KINDS[name]).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    refused(tmp_path / name)


def test_truncated_behind_its_index(tmp_path: Path) -> None:
    """With `faststart` the index stands first, and FFmpeg opens what is left without a word."""
    source = encode(tmp_path / "clip.mp4", moving(40))
    fast = tmp_path / "fast.mp4"
    options = {"movflags": "+faststart"}
    with av.open(str(source)) as old, av.open(str(fast), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    video.check(fast)
    fast.write_bytes(fast.read_bytes()[:-400])
    assert "truncated" in refused(fast)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.txt", "clip.png"])
@pytest.mark.parametrize("content", [b"", b"words, not frames\n" * 400, bytes(9000)])
def test_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)


def test_missing_and_folder(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.mp4")
    assert "no such file" in refused(tmp_path / "absent.png")
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "no video stream" in refused(path)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    video.write(tmp_path / "clip.mp4", moving(4), 8)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", "clip.mp4", "#EXT-X-ENDLIST"]
    (tmp_path / "list.m3u8").write_text("\n".join(lines))
    refused(tmp_path / "list.m3u8")


def test_a_truncated_image(tmp_path: Path) -> None:
    for name in ("image.jpg", "image.png"):
        Image.fromarray(moving(1, 200, 200)[0]).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(video.VideoError, match=name):
            video.read(tmp_path / name)
        with pytest.raises(video.VideoError, match=name):
            video.check(tmp_path / name)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_damage_within_h264_is_not_concealed(tmp_path: Path, seed: int, suffix: str) -> None:
    """FFmpeg paints over damaged blocks, and decord hands such frames on without a word.

    (One changed byte may still decode, to another picture: only a checksum could tell.)
    """
    path = tmp_path / f"clip{suffix}"
    video.write(path, moving(96, 96, 128), 25)
    truth, whole = sequential(path), bytearray(path.read_bytes())
    rng = random.Random(seed)
    start = rng.randrange(len(whole) // 4, len(whole) * 3 // 4)
    for _ in range((30, 300)[seed % 2]):
        whole[min(start + rng.randrange(1500), len(whole) - 1)] ^= rng.randrange(1, 256)
    path.write_bytes(whole)
    found = 0
    for numbers in (None, range(0, 96, 6), [90, 91], [49, 60]):
        try:
            frames = video.read(path, numbers)
        except ViddaError as error:
            found += 1
            assert str(error).startswith(str(path))
        else:
            wanted = truth if numbers is None else truth[list(numbers)]
            np.testing.assert_array_equal(frames, wanted)
    try:
        video.check(path)
    except video.VideoError:
        found += 1
    assert found >= 1


@pytest.mark.parametrize("suffix", [".ts", ".h264", ".avi", ".mkv"])
def test_a_change_of_size_is_refused_alike(tmp_path: Path, suffix: str) -> None:
    """`verify=true` once let pass what training then refused."""
    path, small, large = tmp_path / f"clip{suffix}", moving(12), moving(12, 96, 128)
    if suffix in (".ts", ".h264"):
        for name, frames in (("a", small), ("b", large)):
            encode(tmp_path / f"{name}{suffix}", frames)
        parts = [(tmp_path / f"{name}{suffix}").read_bytes() for name in "ab"]
        path.write_bytes(b"".join(parts))
    else:
        _mjpeg(path, [*small, *large])
    said = set()
    for meet in (video.check, video.read, lambda path: list(video.stream(path))):
        with pytest.raises(video.VideoError) as error:
            meet(path)
        said.add(str(error.value))
    assert len(said) == 1
    message = said.pop()
    assert message.startswith(f"{path}: its frames change size, from (48, 64) to (96, 128)")
    checked = decode(path)
    assert (checked.error, checked.seconds) == (message, 0)


def _mjpeg(path: Path, frames: list[np.ndarray]) -> None:
    """JPEG images one after another, which may have any size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuvj420p"
        for number, frame in enumerate(frames):
            data = io.BytesIO()
            Image.fromarray(frame).save(data, "JPEG")
            packet = av.Packet(data.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 25), stream
            packet.is_keyframe = True
            container.mux(packet)


@pytest.mark.parametrize("suffix", [".webm", ".avi", ".ts"])
def test_verification_keeps_what_is_odd_but_decodes(tmp_path: Path, suffix: str) -> None:
    """Frames that are not shown, frames that were dropped, a recording begun anywhere."""
    path = tmp_path / f"clip{suffix}"
    stamps = [number for number in range(30) if number != 5]
    if suffix == ".webm":
        encode(path, moving(30), "libvpx", options={"deadline": "realtime", "cpu-used": "8"})
        with av.open(str(path)) as container:
            packet = next(p for n, p in enumerate(container.demux(video=0)) if n == 5)
            shown = bytes(packet)
        hidden = bytes([shown[0] & ~0x10]) + shown[1:]
        path.write_bytes(path.read_bytes().replace(shown, hidden))
    elif suffix == ".avi":
        encode(path, moving(29), "mpeg4", stamps=stamps)
    else:
        encode(path, moving(30))
        path.write_bytes(path.read_bytes()[3000:])
    info = video.probe(path)
    assert info.notes
    assert decode(path) == Checked(None, info.duration_s, info.notes)
