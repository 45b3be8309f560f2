"""Images of every depth as clips of one frame; animated ones as clips of all their frames."""

import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import moving
from PIL import Image

from vidda import video

RAMP = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))


def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), RAMP)
    colors = np.dstack([RAMP, RAMP[:, ::-1], RAMP // 2])
    cv2.imwrite(str(tmp_path / "color.png"), colors[..., ::-1])
    gray = np.repeat((RAMP >> 8).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(video.read(tmp_path / "gray.png")[0], gray)
    np.testing.assert_array_equal(video.read(tmp_path / "color.png")[0], colors >> 8)


def test_sixteen_bits_of_gray_are_turned_too(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(
        video.read(tmp_path / "turned.png")[0, :, :, 0], np.rot90(RAMP >> 8, -1)
    )


@pytest.mark.parametrize("name", ["image.png", "image.webp"])
def test_what_is_transparent_is_black(tmp_path: Path, name: str) -> None:
    """What color it would have is the encoder's affair: a lossless WebP forgets it."""
    pixels = np.full((48, 64, 4), 255, np.uint8)
    pixels[:, :32, 3] = 0
    pixels[:, 32:48, 3] = 128
    Image.fromarray(pixels).save(tmp_path / name, lossless=True)
    wanted = pixels[..., [3, 3, 3]]
    np.testing.assert_array_equal(video.read(tmp_path / name)[0], wanted)


def test_palettes_with_transparency_and_four_inks(tmp_path: Path) -> None:
    palette = Image.fromarray((RAMP >> 8).astype(np.uint8)).convert("P")
    palette.save(tmp_path / "palette.png", transparency=0)
    np.testing.assert_array_equal(video.read(tmp_path / "palette.png")[0, ..., 0], RAMP >> 8)
    Image.fromarray(moving(1)[0]).convert("CMYK").save(tmp_path / "inks.jpg", quality=100)
    assert np.abs(video.read(tmp_path / "inks.jpg")[0].astype(int) - moving(1)[0]).mean() < 3


def test_a_bitmap_from_the_top_down(tmp_path: Path) -> None:
    """A negative height says so."""
    path, picture = tmp_path / "image.bmp", moving(1)[0]
    Image.fromarray(picture[::-1]).save(path)
    raw = bytearray(path.read_bytes())
    raw[22:26] = struct.pack("<i", -48)
    path.write_bytes(raw)
    np.testing.assert_array_equal(video.read(path)[0], picture)


@pytest.mark.parametrize("name", ["clip.webp", "clip.png"])
def test_animations_are_clips(tmp_path: Path, name: str) -> None:
    frames = moving(6)
    first, *others = [Image.fromarray(frame) for frame in frames]
    path = tmp_path / name
    first.save(path, save_all=True, append_images=others, duration=100, lossless=True)
    info = video.check(path)
    assert (info.frames, info.container, info.reader) == (6, "image", "pillow")
    assert (info.fps, info.duration_s) == (pytest.approx(10), pytest.approx(0.6))
    np.testing.assert_array_equal(video.read(path), frames)
    np.testing.assert_array_equal(video.read(path, [5, 2, 5]), frames[[5, 2, 5]])
    np.testing.assert_array_equal(np.stack(list(video.stream(path))), frames)
    with pytest.raises(video.VideoError, match=rf"{name}: frame 6 not in 0\.\.5"):
        video.read(path, [6])


@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_a_frame_of_an_animation_does_not_depend_on_those_read_before(
    tmp_path: Path, disposal: int
) -> None:
    """FFmpeg is right; Pillow leaves in a frame what was to be taken back, once it was loaded."""
    spots = np.zeros((4, 32, 64, 4), np.uint8)
    for number, spot in enumerate(spots):
        spot[8:16, 8 * number : 8 * number + 8] = (255, 0, 0, 255)
    spots[0, ..., 3] = 255
    first, *others = [Image.fromarray(spot) for spot in spots]
    path = tmp_path / "clip.png"
    first.save(path, save_all=True, append_images=others, disposal=disposal, blend=1)
    with av.open(str(path), format="apng") as container:
        truth = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
    black = np.stack([frame[..., :3] * (frame[..., 3:] > 0) for frame in truth])
    np.testing.assert_array_equal(video.read(path), black)
    np.testing.assert_array_equal(video.read(path, [3, 1]), black[[3, 1]])


@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_what_is_transparent_in_a_gif_is_black_whatever_its_name(
    tmp_path: Path, disposal: int
) -> None:
    spots = np.zeros((4, 32, 64, 4), np.uint8)
    for number, spot in enumerate(spots):
        spot[8:16, 8 * number : 8 * number + 8] = (255, 0, 0, 255)
    first, *others = [Image.fromarray(spot) for spot in spots]
    path = tmp_path / "clip.gif"
    first.save(path, save_all=True, append_images=others, disposal=disposal, duration=100)
    frames = video.read(path)
    assert frames.shape[0] == 4
    np.testing.assert_array_equal(frames[0], spots[0, ..., :3])
    misnamed = path.rename(tmp_path / "clip.png")
    np.testing.assert_array_equal(video.read(misnamed), frames)


def test_the_image_for_those_who_show_no_animation_is_no_frame(tmp_path: Path) -> None:
    frames = moving(4)
    first, *others = [Image.fromarray(frame) for frame in frames]
    path = tmp_path / "clip.png"
    first.save(path, save_all=True, append_images=others, default_image=True)
    assert video.probe(path).frames == 3
    np.testing.assert_array_equal(video.read(path), frames[1:])


@pytest.mark.parametrize("name", ["clip.webp", "clip.png"])
def test_a_truncated_animation_is_refused(tmp_path: Path, name: str) -> None:
    first, *others = [Image.fromarray(frame) for frame in moving(6)]
    first.save(tmp_path / name, save_all=True, append_images=others, lossless=True)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(video.VideoError, match=name):
        video.check(tmp_path / name)
    with pytest.raises(video.VideoError, match=name):
        video.read(tmp_path / name)


def test_the_second_image_of_a_jpeg_is_no_frame(tmp_path: Path) -> None:
    """It is the other eye's, or a preview."""
    first, second = [Image.fromarray(frame) for frame in moving(2)]
    path = tmp_path / "photo.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second])
    assert video.check(path).frames == 1
