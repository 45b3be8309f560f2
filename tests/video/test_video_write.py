"""What is written is read back, and nothing is left behind where writing fails."""

from pathlib import Path

import av
import numpy as np
import pytest
from clips import moving, sequential

from vidda import video
from vidda.video._decord import decord


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("shape", [(16, 48, 64), (5, 47, 63), (1, 48, 64), (3, 3, 5), (70, 16, 16)])
def test_lossless_keeps_every_value(tmp_path: Path, suffix: str, shape: tuple) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    path = tmp_path / f"clip{suffix}"
    video.write(path, frames, 25, crf=None)
    np.testing.assert_array_equal(video.read(path), frames)
    np.testing.assert_array_equal(sequential(path), frames)


def test_decord_reads_lossless_alike(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "clip.mp4", frames, 25, crf=None)
    reader = decord.VideoReader(str(tmp_path / "clip.mp4"))
    np.testing.assert_array_equal(reader.get_batch(range(8)).asnumpy(), frames)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (48, 63)])
def test_lossy_is_near_at_its_own_size(tmp_path: Path, suffix: str, size: tuple) -> None:
    frames = moving(60, *size)
    path = tmp_path / f"clip{suffix}"
    video.write(path, frames, 12.5, crf=10)
    info, back = video.probe(path), video.read(path)
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < 6
    assert (info.fps, info.frames, info.codec) == (12.5, 60, "h264")
    assert (info.reader, info.b_frames) == ("decord", False), info.reason


def test_crf_chooses_quality(tmp_path: Path) -> None:
    frames = moving(20)
    errors, sizes = [], []
    for crf in (5, 40):
        video.write(tmp_path / "clip.mp4", frames, 8, crf=crf)
        errors.append(np.abs(video.read(tmp_path / "clip.mp4").astype(int) - frames).mean())
        sizes.append((tmp_path / "clip.mp4").stat().st_size)
    assert errors[0] < errors[1]
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("crf", [23, None])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, suffix: str, crf: int | None) -> None:
    for name in "ab":
        video.write(tmp_path / f"{name}{suffix}", iter(moving(20)), 30000 / 1001, crf=crf)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_colors_are_named_in_the_file(tmp_path: Path) -> None:
    video.write(tmp_path / "clip.mp4", moving(2), 8)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (5, 1)  # BT.601, limited


@pytest.mark.parametrize(
    ("name", "frames", "arguments", "said"),
    [
        ("clip.gif", moving(2), {}, "written as .mp4 or .mkv"),
        ("clip.mp4", moving(2), {"fps": 0}, "fps is 0"),
        ("clip.mp4", moving(2), {"fps": float("nan")}, "fps is nan"),
        ("clip.mp4", moving(2)[:0], {}, "no frames"),
        ("clip.mp4", moving(2).astype(float), {}, "frame 0 is float64"),
        ("clip.mp4", moving(2)[..., :2], {}, "frame 0 is uint8"),
        ("clip.mp4", [moving(1)[0], moving(1, 24)[0]], {}, "frame 1 is"),
        ("clip.mp4", moving(2), {"crf": 52}, "crf 52"),
        ("clip.mp4", moving(2), {"preset": "swift"}, "cannot be written"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, frames: object, arguments: dict, said: str) -> None:
    with pytest.raises(video.VideoError, match=said) as error:
        video.write(tmp_path / name, frames, **{"fps": 8, **arguments})
    assert str(error.value).startswith(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    video.write(path, moving(4), 8)
    before = path.read_bytes()

    def broken() -> object:
        yield from moving(3)
        raise RuntimeError("the renderer fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        video.write(path, broken(), 8)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("length", [1, 6])
def test_images_keep_every_frame_and_value(tmp_path: Path, length: int) -> None:
    """An animated PNG keeps frames that are alike too, which many writers merge."""
    frames = np.random.default_rng(0).integers(0, 256, (length, 48, 64, 3), dtype=np.uint8)
    frames[length // 2 :] = frames[-1]
    video.write_clip(tmp_path / "clip.png", frames, 12.5 if length > 1 else 0.0, 18)
    info = video.probe(tmp_path / "clip.png")
    assert (info.frames, round(info.fps, 3)) == (length, 12.5 if length > 1 else 0.0)
    np.testing.assert_array_equal(video.read(tmp_path / "clip.png"), frames)


@pytest.mark.parametrize("folder", ["12:30:05", "o: x", "%d", "-"])
def test_a_relative_path_may_hold_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    video.write(Path(folder) / "a%03d.mp4", np.zeros((2, 16, 16, 3), np.uint8), 10)
    assert video.probe(Path(folder) / "a%03d.mp4").frames == 2
    video.write_png(Path(folder) / "a%03d.png", np.zeros((2, 16, 16, 3), np.uint8), 10)
    assert video.probe(Path(folder) / "a%03d.png").frames == 2


@pytest.mark.parametrize("fps", [1e-300, 0.0, -1.0, float("nan"), float("inf"), 1e30])
def test_rates_that_no_container_holds_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(video.VideoError, match="give a number above 0, from"):
        video.write(tmp_path / "a.mp4", np.zeros((2, 16, 16, 3), np.uint8), fps)
