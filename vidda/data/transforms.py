"""Transforms from frames to a model's input, with the same random parameters for all of a clip."""

import math
from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
import torch
from pydantic import Field, model_validator
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from vidda.config import Config
from vidda.video.reading import Size

# Mean and standard deviation for RGB in [0, 1].
NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class Resize(Config):
    """The whole frame, resized to a square whatever its shape."""

    name: Literal["resize"] = "resize"

    def read_size(self, size: int) -> Size:
        """Return the size at which to read frames for an output of `size` pixels a side."""
        return size, size

    def layers(self, size: int) -> list[v2.Transform]:
        """Return the layer that resizes to `size` pixels a side."""
        return [v2.Resize((size, size), antialias=True)]


class RandomResizedCrop(Config):
    """A random box of the frame, of random area and shape."""

    name: Literal["random_resized_crop"] = "random_resized_crop"
    min_area: float = Field(
        default=0.5, gt=0, le=1, description="least share of the frame's area that is kept"
    )
    max_ratio: float = Field(
        default=4 / 3, ge=1, description="largest factor that width or height is stretched by"
    )

    def read_size(self, size: int) -> Size:
        """Return the size at which to read frames for an output of `size` pixels a side."""
        return round(size * 8 / 7)  # 256 for 224, the usual pair

    def layers(self, size: int) -> list[v2.Transform]:
        """Return the layers that crop to `size` pixels a side."""
        ratio = (1 / self.max_ratio, self.max_ratio)
        scale = (self.min_area, 1.0)
        return [v2.RandomResizedCrop((size, size), scale=scale, ratio=ratio, antialias=True)]


class CenterCrop(Config):
    """The square in the middle of the frame."""

    name: Literal["center_crop"] = "center_crop"

    def read_size(self, size: int) -> Size:
        """Return the size at which to read frames for an output of `size` pixels a side."""
        return size

    def layers(self, size: int) -> list[v2.Transform]:
        """Return the layers that crop to `size` pixels a side."""
        return [v2.Resize(size, antialias=True), v2.CenterCrop(size)]


class ThreeCrops(Config):
    """Three squares along the longer side, for testing: first, middle and last."""

    name: Literal["three_crops"] = "three_crops"

    def read_size(self, size: int) -> Size:
        """Return the size at which to read frames for an output of `size` pixels a side."""
        return size

    def layers(self, size: int) -> list[v2.Transform]:
        """Return the layer that resizes the shorter side to `size` pixels; crops come later."""
        return [v2.Resize(size, antialias=True)]


CropConfig = Annotated[
    Resize | RandomResizedCrop | CenterCrop | ThreeCrops, Field(discriminator="name")
]


class ColorJitter(Config):
    """Random changes of a clip's colors, the same for all its frames; 0 changes nothing."""

    brightness: float = Field(
        default=0.4, ge=0, description="x: brightness is multiplied by 1 - x .. 1 + x"
    )
    contrast: float = Field(
        default=0.4, ge=0, description="x: contrast is multiplied by 1 - x .. 1 + x"
    )
    saturation: float = Field(
        default=0.4, ge=0, description="x: saturation is multiplied by 1 - x .. 1 + x"
    )
    hue: float = Field(
        default=0.1, ge=0, le=0.5, description="x: hue is rotated by -x .. x of a full turn"
    )


class Blur(Config):
    """Gaussian blur of random deviation, the same for all frames of a clip."""

    probability: float = Field(
        default=0.5, gt=0, le=1, description="share of the clips that are blurred"
    )
    most: float = Field(
        default=1.0, ge=0.1, description="largest deviation of the blur, in output pixels"
    )

    @property
    def reach(self) -> int:
        """Return the radius of the blur's kernel, in pixels."""
        return math.ceil(3 * self.most)

    def layer(self) -> v2.Transform:
        """Return the layer that blurs a share of the clips."""
        gaussian = _FrameBlur(2 * self.reach + 1, (0.1, self.most))
        return v2.RandomApply([gaussian], p=self.probability)


class Noise(Config):
    """Gaussian noise, new in every frame, whose random deviation is the same for a whole clip."""

    probability: float = Field(
        default=0.5, gt=0, le=1, description="share of the clips that get noise"
    )
    most: float = Field(
        default=0.06, gt=0, le=1, description="largest deviation of the noise, of RGB in [0, 1]"
    )

    def layer(self) -> v2.Transform:
        """Return the layer that adds noise to a share of the clips."""
        return v2.RandomApply([_AnyNoise(self.most)], p=self.probability)


class RandAugment(Config):
    """Random operations on colors and geometry (arXiv 1909.13719), the same for all of a clip.

    They are torchvision's, set to VideoMAE's rand-m7-n4-mstd0.5-inc1 (arXiv 2203.12602; in timm's
    notation) as far as possible. `RandAugment(num_ops=4, magnitude=7)` alone is different: its
    magnitudes are thirtieths of the greatest where the recipe's are tenths, and it applies every
    operation where the recipe applies each with probability one half; here both follow the recipe.
    Differences that remain: the magnitude is exact, not spread normally by 0.5; Identity is among
    the operations, Invert and SolarizeAdd are not; Posterize keeps 5 bits at magnitude 7, not 2;
    interpolation is bilinear, not bicubic; and it comes after the crop, not before, so a clip is
    shifted by a share of the crop (0.32 of it at magnitude 7), and the gray that enters is never
    cropped off.

    AutoContrast and Equalize have no magnitude, and treat each frame by itself. No operation
    mirrors (rotations stay within 30 degrees): only `horizontal_flip` changes handedness.
    """

    operations: int = Field(
        default=4, ge=1, description="number of random operations, one after the other"
    )
    magnitude: int = Field(
        default=7, ge=0, le=10, description="strength, in tenths of each operation's greatest"
    )
    probability: float = Field(
        default=0.5, gt=0, le=1, description="probability that a chosen operation is applied"
    )

    def layers(self) -> list[v2.Transform]:
        """Return the layers that apply the random operations."""
        operation = v2.RandAugment(
            num_ops=1,
            magnitude=self.magnitude,
            num_magnitude_bins=11,  # 0, 1, ... 10
            interpolation=v2.InterpolationMode.BILINEAR,
            fill=128,  # gray enters where a clip is shifted, as in the recipe
        )
        return [v2.RandomApply([operation], p=self.probability)] * self.operations


class RandomErasing(Config):
    """Erasing of a random box, the same in all frames of a clip (arXiv 1708.04896).

    It comes after normalization, so `mean` is the mean that `normalize` subtracts (black where that
    is `none`), and `noise` has mean 0 and deviation 1. VideoMAE's recipe (its mode `pixel`) samples
    new noise for each frame, and tries 100 times, not 10, to fit a box; here all frames of a clip
    have the same noise, as in torchvision.
    """

    probability: float = Field(
        default=0.25, gt=0, le=1, description="share of the clips that lose a box"
    )
    min_area: float = Field(
        default=0.02, gt=0, lt=1, description="least share of the frame that is erased"
    )
    max_area: float = Field(
        default=1 / 3, gt=0, lt=1, description="largest share of the frame that is erased"
    )
    fill: Literal["noise", "mean"] = Field(default="noise", description="content of the erased box")

    @model_validator(mode="after")
    def _areas_in_order(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError(
                f"min_area {self.min_area} is more than max_area {self.max_area}; lower it"
            )
        return self

    def layer(self) -> v2.Transform:
        """Return the layer that erases a box in a share of the clips."""
        return v2.RandomErasing(
            p=self.probability,
            scale=(self.min_area, self.max_area),
            ratio=(0.3, 1 / 0.3),
            value="random" if self.fill == "noise" else 0.0,
            inplace=True,
        )


class _FrameBlur(v2.GaussianBlur):
    """`v2.GaussianBlur` of uint8 frames (T, C, H, W) by OpenCV, whose filter is separable: it takes
    a tenth of the time for the same result, within a gray level.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        frames = _channels_last(inpt)
        blurred = torch.empty_like(frames)
        across, down = (
            cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
            for size, sigma in zip(self.kernel_size, params["sigma"], strict=True)
        )
        for frame, out in zip(frames.numpy(), blurred.numpy(), strict=True):
            cv2.sepFilter2D(frame, -1, across, down, out, borderType=cv2.BORDER_REFLECT_101)
        return blurred.permute(0, 3, 1, 2)


class _AnyNoise(v2.Transform):
    """`v2.GaussianNoise` of a random deviation up to `most`, on frames (T, C, H, W)."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"sigma": self.most * float(torch.rand(()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        # In the order of the memory: sampling in another one takes six times as long.
        return F.gaussian_noise(_channels_last(inpt), sigma=params["sigma"]).permute(0, 3, 1, 2)


def _channels_last(video: torch.Tensor) -> torch.Tensor:
    """Return frames (T, C, H, W) as (T, H, W, C), contiguous; decoded frames are not copied."""
    return video.permute(0, 2, 3, 1).contiguous()


class TransformConfig(Config):
    """The steps from a clip's frames to the input of a model."""

    size: int = Field(default=112, ge=1, description="height and width of the output, in pixels")
    crop: CropConfig = Field(default=CenterCrop(), description="part of the frame that is used")
    color_jitter: ColorJitter | None = Field(
        default=None, description="random changes of the colors; null for none"
    )
    horizontal_flip: bool = Field(
        default=False,
        description="mirror half of the clips; leave off where handedness distinguishes classes",
    )
    rand_augment: RandAugment | None = Field(
        default=None, description="random operations after crop, flip and colors; null for none"
    )
    blur: Blur | None = Field(
        default=None, description="random blur after rand_augment; null for none"
    )
    noise: Noise | None = Field(
        default=None, description="random noise after the blur; null for none"
    )
    random_erasing: RandomErasing | None = Field(
        default=None, description="erase a random box after normalization; null for none"
    )
    normalize: Literal["imagenet", "kinetics", "half", "none"] = Field(
        default="imagenet",
        description="mean and deviation that normalize RGB in [0, 1]; none does not normalize",
    )

    @model_validator(mode="after")
    def _blur_fits(self) -> Self:
        if self.blur is not None and self.blur.reach >= self.size:
            raise ValueError(
                f"blur.most {self.blur.most:g} reaches beyond a frame of {self.size} pixels; take"
                f" less than {(self.size - 1) / 3:g}"
            )
        return self

    @property
    def read_size(self) -> Size:
        """Return the size at which to read (and cache) frames for this transform, in pixels."""
        return self.crop.read_size(self.size)


class ClipTransform:
    """A transform from a clip's frames to a model's input, built from a `TransformConfig`."""

    def __init__(self, config: TransformConfig) -> None:
        self.config = config
        layers = config.crop.layers(config.size)
        if config.horizontal_flip:
            layers.append(v2.RandomHorizontalFlip(p=0.5))
        if config.color_jitter is not None:
            jitter = config.color_jitter
            layers.append(
                v2.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
            )
        if config.rand_augment is not None:
            layers += config.rand_augment.layers()
        layers += [one.layer() for one in (config.blur, config.noise) if one is not None]
        self._random = v2.Compose(layers)
        erasing = config.random_erasing
        self._erase = v2.Identity() if erasing is None else erasing.layer()
        mean, std = (torch.tensor(n).view(3, 1, 1, 1) for n in NORMALIZATIONS[config.normalize])
        self._mean, self._scale = 255 * mean, 1 / (255 * std)

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Return a clip's views, (1, C, T, H, W) float32, or (3, C, T, H, W) with three crops.

        frames: (T, H, W, 3) uint8 RGB. rng: decides every random parameter, see `clip_rng`.
        """
        video = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
        # torchvision samples from torch's CPU generator: seed it by ours, and restore its state.
        # torch.manual_seed would seed the GPUs' too, which sample the model's dropout, and is slow.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            clips = self._normalized(self._random(video))
            return self._erase(clips.transpose(1, 2)).transpose(1, 2)

    def _normalized(self, video: torch.Tensor) -> torch.Tensor:
        """Return (T, C, H, W) uint8 as normalized views (V, C, T, H, W) float32."""
        crops = _three_crops(video) if self.config.crop.name == "three_crops" else [video]
        length, channels, height, width = crops[0].shape
        out = torch.empty((len(crops), channels, length, height, width))
        # To float, normalized and contiguous in two passes; torchvision's own way takes six.
        for crop, view in zip(crops, out, strict=True):
            torch.sub(crop.transpose(0, 1), self._mean, out=view).mul_(self._scale)
        return out


def _three_crops(video: torch.Tensor) -> list[torch.Tensor]:
    """Return the first, middle and last square of (T, C, H, W) along its longer side."""
    height, width = video.shape[-2:]
    side = min(height, width)
    spare = max(height, width) - side
    return [
        F.crop(video, at if height > width else 0, 0 if height > width else at, side, side)
        for at in (0, spare // 2, spare)
    ]
