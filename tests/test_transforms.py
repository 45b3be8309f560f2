"""One draw for all frames of a clip; shapes, ranges and determinism."""

import numpy as np
import pytest
import torch
from clips import moving

from vidda.data.sampling import clip_rng
from vidda.data.transforms import (
    CentreCrop,
    ClipTransform,
    ColourJitter,
    RandomResizedCrop,
    Resize,
    ThreeCrops,
    TransformConfig,
)

CROPS = [Resize(), RandomResizedCrop(), CentreCrop(), ThreeCrops()]
EVERYTHING = TransformConfig(
    size=32, crop=RandomResizedCrop(), colour_jitter=ColourJitter(), horizontal_flip=True
)


def apply(config: TransformConfig, frames: np.ndarray, clip: str = "clip") -> torch.Tensor:
    return ClipTransform(config)(frames, clip_rng(0, 0, clip, "transform"))


@pytest.mark.parametrize("crop", CROPS, ids=repr)
@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (20, 20)])
def test_shape_and_type(crop: object, shape: tuple[int, int]) -> None:
    video = apply(TransformConfig(size=32, crop=crop), moving(5, *shape))
    views = 3 if isinstance(crop, ThreeCrops) else 1
    assert video.shape == (views, 3, 5, 32, 32)
    assert video.dtype == torch.float32
    assert video.is_contiguous()


def test_all_frames_of_a_clip_get_the_same_parameters() -> None:
    still = moving(1).repeat(6, axis=0)
    for clip in range(8):
        video = apply(EVERYTHING, still, str(clip))
        assert torch.equal(video, video[:, :, :1].expand_as(video))


def test_the_clip_decides_and_nothing_else() -> None:
    frames = moving(4)
    torch.manual_seed(1)
    first = apply(EVERYTHING, frames)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, apply(EVERYTHING, frames))
    assert torch.equal(state, torch.get_rng_state())  # the global generator is left alone
    assert not torch.equal(first, apply(EVERYTHING, frames, "other"))


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [("imagenet", 0.485, 0.229), ("kinetics", 0.45, 0.225), ("half", 0.5, 0.5), ("none", 0, 1)],
)
def test_normalisation(name: str, mean: float, std: float) -> None:
    frames = moving(2, 32, 32)
    config = TransformConfig(size=32, crop=CentreCrop(), normalise=name)
    red = torch.from_numpy(frames[..., 0]) / 255
    torch.testing.assert_close(apply(config, frames)[0, 0], (red - mean) / std)


def test_flip_is_off_unless_named() -> None:
    frames = moving(2, 32, 32)

    def flipped(config: TransformConfig) -> int:
        upright = apply(TransformConfig(size=32), frames)
        mirrored = upright.flip(-1)
        results = [apply(config, frames, str(clip)) for clip in range(40)]
        assert all(torch.equal(r, upright) or torch.equal(r, mirrored) for r in results)
        return sum(torch.equal(r, mirrored) for r in results)

    assert flipped(TransformConfig(size=32)) == 0
    assert 8 < flipped(TransformConfig(size=32, horizontal_flip=True)) < 32


@pytest.mark.parametrize("shape", [(32, 64), (64, 32)])
def test_three_crops_are_first_middle_and_last(shape: tuple[int, int]) -> None:
    frames = moving(2, *shape)
    crops = apply(TransformConfig(size=32, crop=ThreeCrops(), normalise="none"), frames)
    whole = torch.from_numpy(frames).permute(3, 0, 1, 2) / 255
    for crop, start in zip(crops, (0, 16, 32), strict=True):
        part = slice(start, start + 32)
        wanted = whole[..., part] if shape == (32, 64) else whole[..., part, :]
        torch.testing.assert_close(crop, wanted)


def test_random_crops_keep_their_share_of_the_area() -> None:
    """The red channel says how far right a pixel stood, the green one how far down."""
    y, x = np.mgrid[0:100, 0:100]
    frame = np.stack([x * 2, y * 2, x * 0], axis=-1).astype(np.uint8)[None]
    crop = RandomResizedCrop(min_area=0.4, max_ratio=1.5)
    for clip in range(30):
        video = apply(TransformConfig(size=64, crop=crop, normalise="none"), frame, str(clip))[0]
        width, height = (np.ptp(video[c].numpy()) * 255 / 200 for c in (0, 1))
        assert 0.35 < width * height <= 1.0
        assert 1 / 1.7 < width / height < 1.7


def test_read_sizes_are_what_the_crop_needs() -> None:
    sizes = [TransformConfig(size=112, crop=crop).read_size for crop in CROPS]
    assert sizes == [(112, 112), 128, 112, 112]
