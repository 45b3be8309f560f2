"""One draw for all frames of a clip; shapes, ranges and determinism."""

import numpy as np
import pytest
import torch
from clips import moving
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from vidda.data.frame_sampling import clip_rng
from vidda.data.transforms import (
    Blur,
    CenterCrop,
    ClipTransform,
    ColorJitter,
    Noise,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    Resize,
    ThreeCrops,
    TransformConfig,
)

CROPS = [Resize(), RandomResizedCrop(), CenterCrop(), ThreeCrops()]
EVERYTHING = TransformConfig(
    size=32,
    crop=RandomResizedCrop(),
    color_jitter=ColorJitter(),
    horizontal_flip=True,
    rand_augment=RandAugment(),
    blur=Blur(),
    random_erasing=RandomErasing(probability=0.5),
)
ALWAYS = RandAugment(probability=1.0)


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
def test_normalization(name: str, mean: float, std: float) -> None:
    frames = moving(2, 32, 32)
    config = TransformConfig(size=32, crop=CenterCrop(), normalize=name)
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
    crops = apply(TransformConfig(size=32, crop=ThreeCrops(), normalize="none"), frames)
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
        video = apply(TransformConfig(size=64, crop=crop, normalize="none"), frame, str(clip))[0]
        width, height = (np.ptp(video[c].numpy()) * 255 / 200 for c in (0, 1))
        assert 0.35 < width * height <= 1.0
        assert 1 / 1.7 < width / height < 1.7


def test_rand_augment_changes_a_clip_and_all_its_frames_alike() -> None:
    still = moving(1, 32, 32).repeat(4, axis=0)
    plain = apply(TransformConfig(size=32), still)
    config = TransformConfig(size=32, rand_augment=ALWAYS)
    results = [apply(config, still, str(clip)) for clip in range(30)]
    assert all(torch.equal(r, r[:, :, :1].expand_as(r)) for r in results)
    assert sum(not torch.equal(r, plain) for r in results) >= 27
    assert len({r.numpy().tobytes() for r in results}) >= 27  # and each in its own way


def test_operations_are_made_by_chance() -> None:
    """One operation in 14 is Identity, a few leave this clip as it is: about half are changed."""
    frames = moving(2, 32, 32)
    plain = apply(TransformConfig(size=32), frames)

    def changed(probability: float) -> int:
        one = RandAugment(operations=1, probability=probability)
        config = TransformConfig(size=32, rand_augment=one)
        return sum(not torch.equal(apply(config, frames, str(c)), plain) for c in range(60))

    assert 15 < changed(0.5) < 40 < changed(1.0)


def test_magnitude_is_in_tenths_of_the_greatest() -> None:
    """torchvision's own scale would turn a clip by 7 degrees at magnitude 7."""
    frames = moving(1, 32, 32)
    one = RandAugment(operations=1, magnitude=7, probability=1.0)
    config = TransformConfig(size=32, rand_augment=one, normalize="none")
    results = [apply(config, frames, str(clip))[0, :, 0] for clip in range(100)]
    image = torch.from_numpy(frames[0]).permute(2, 0, 1)
    for angle in (21.0, -21.0):
        turned = F.rotate(image, angle, F.InterpolationMode.BILINEAR, fill=[128]) / 255
        assert any(torch.allclose(turned, result) for result in results)


def test_at_magnitude_0_a_clip_stays_as_it_is() -> None:
    """All but a gray level or two, and pure white, which Solarize inverts at 0 too.

    Every value is there equally often, so that AutoContrast and Equalize have nothing to change.
    """
    values = (np.arange(32 * 32) % 256).astype(np.uint8).reshape(1, 32, 32, 1)
    frames = np.random.default_rng(0).permuted(values.repeat(3, axis=3), axis=2)
    plain = apply(TransformConfig(size=32, normalize="none"), frames)
    nothing = RandAugment(magnitude=0, probability=1.0)
    config = TransformConfig(size=32, rand_augment=nothing, normalize="none")
    for clip in range(40):
        change = (apply(config, frames, str(clip)) - plain).abs() * 255
        assert (change > 2.5).float().mean() < 0.01


def erased(config: RandomErasing, clip: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A white clip after erasing, (C, T, H, W), and where something is not white."""
    white = np.full((3, 40, 50, 3), 255, np.uint8)
    whole = TransformConfig(size=40, crop=Resize(), normalize="half", random_erasing=config)
    video = apply(whole, white, clip)[0]
    return video, video != 1.0


def test_the_erased_box_is_the_same_in_all_frames_and_of_the_size_asked_for() -> None:
    config = RandomErasing(probability=1.0, min_area=0.1, max_area=0.2, fill="mean")
    boxes = set()
    for clip in range(30):
        video, where = erased(config, str(clip))
        assert torch.equal(where, where[:1, :1].expand_as(where))
        rows, columns = (where[0, 0].any(axis).nonzero().ravel() for axis in (1, 0))
        assert where[0, 0].sum() == len(rows) * len(columns)  # a box, without holes
        assert 0.09 < len(rows) * len(columns) / 40**2 < 0.215
        assert 0.25 < len(rows) / len(columns) < 4
        assert (video[where] == 0).all()  # the mean, once normalized
        boxes.add((int(rows[0]), int(columns[0]), len(rows), len(columns)))
    assert len(boxes) > 20


def test_erased_noise_is_standard_normal_and_does_not_flicker() -> None:
    config = RandomErasing(probability=1.0, min_area=0.3)
    video, where = erased(config, "clip")
    assert torch.equal(video, video[:, :1].expand_as(video))
    noise = video[:, 0][where[:, 0]]
    assert len(noise) > 3 * 0.25 * 40**2
    assert abs(noise.mean()) < 0.1
    assert abs(noise.std() - 1) < 0.1


def test_a_share_of_the_clips_is_erased() -> None:
    count = sum(bool(erased(RandomErasing(), str(clip))[1].any()) for clip in range(200))
    assert 30 < count < 70


def test_blur_is_a_gaussian_of_at_most_the_deviation_asked_for() -> None:
    point = np.zeros((2, 33, 33, 3), np.uint8)
    point[:, 16, 16] = 255
    away = torch.arange(-16.0, 17.0) ** 2
    config = TransformConfig(size=33, blur=Blur(probability=1.0, most=3.0), normalize="none")
    deviations = []
    for clip in range(60):
        spread = apply(config, point, str(clip))[0, 0, 0]
        deviations.append(float((spread.sum(0) * away).sum() / spread.sum()) ** 0.5)
    assert max(deviations) < 3.05
    assert min(deviations) < 0.6 and max(deviations) > 2.5  # anything up to it
    assert 1.2 < np.mean(deviations) < 1.9


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_blur_is_torchvisions_within_a_gray_level(layout: torch.memory_format) -> None:
    frames = torch.randint(256, (3, 3, 20, 31), dtype=torch.uint8).contiguous(memory_format=layout)
    ours = Blur(probability=1.0, most=1.5).layer()
    theirs = v2.RandomApply([v2.GaussianBlur(11, (0.1, 1.5))], p=1.0)
    for seed in range(20):
        found = []
        for blur in (ours, theirs):
            torch.manual_seed(seed)
            found.append(blur(frames).int())
        assert found[0].shape == frames.shape
        assert (found[0] - found[1]).abs().max() <= 1


def test_noise_is_new_in_each_frame_and_of_one_deviation_a_clip() -> None:
    gray = np.full((6, 32, 32, 3), 128, np.uint8)
    config = TransformConfig(size=32, noise=Noise(probability=1.0, most=0.1), normalize="none")
    found = []
    for clip in range(40):
        noise = apply(config, gray, str(clip))[0] - 128 / 255
        flat = noise.transpose(0, 1).flatten(1)
        assert (torch.corrcoef(flat) - torch.eye(6)).abs().nan_to_num().max() < 0.1
        assert abs(noise.mean()) < 0.01
        deviations = flat.std(1)
        assert deviations.max() < 1.15 * deviations.min() + 0.001
        found.append(float(deviations.mean()))
    assert max(found) < 0.105
    assert min(found) < 0.02 and max(found) > 0.08


def test_a_share_of_the_clips_is_blurred_and_made_noisy() -> None:
    frames = moving(2, 32, 32)
    for one in ({"blur": Blur(probability=0.25)}, {"noise": Noise(probability=0.25)}):
        config = TransformConfig(size=32, normalize="none", **one)
        plain = apply(TransformConfig(size=32, normalize="none"), frames)
        changed = [not torch.equal(apply(config, frames, str(clip)), plain) for clip in range(200)]
        assert 30 < sum(changed) < 70


def test_a_blur_wider_than_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"blur\.most 6 reaches beyond a frame of 16 pixels; take"):
        TransformConfig(size=16, blur=Blur(most=6.0))


def test_neither_is_on_unless_named() -> None:
    frames = moving(2, 32, 32)
    wanted = torch.from_numpy(frames).permute(3, 0, 1, 2)[None] / 255
    for clip in range(20):
        plain = apply(TransformConfig(size=32, normalize="none"), frames, str(clip))
        torch.testing.assert_close(plain, wanted)


def test_areas_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"min_area 0\.5 is more than max_area 0\.2; lower it"):
        RandomErasing(min_area=0.5, max_area=0.2)


def test_read_sizes_are_what_the_crop_needs() -> None:
    sizes = [TransformConfig(size=112, crop=crop).read_size for crop in CROPS]
    assert sizes == [(112, 112), 128, 112, 112]
