"""The control video and the mask of a clip for Wan VACE."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidda.translate.clip_job import ClipJob
from vidda.translate.wan_vace.vace_config import VaceControl, VaceSamplingConfig


@dataclass(frozen=True, slots=True)
class VaceInputs:
    """The inputs of one clip.

    video: (T, H, W, 3) uint8, control images, and the source where it is kept. mask: (T, H, W)
    uint8, 255 where the model generates, 0 where it keeps `video`.
    """

    video: np.ndarray
    mask: np.ndarray


def vace_inputs(clip: ClipJob, config: VaceSamplingConfig, frames_per_latent: int) -> VaceInputs:
    """Compose a clip's control video and mask; `clip_problems` found none.

    The person's control is drawn inside the person's mask and the scene's outside, for VACE was
    trained on combined controls only where they are apart. A kept person is shown as it is, in
    all frames of a latent where it is in any of them, for VACE's mask has a value for each latent.
    """
    controls = config.controls
    everywhere = controls.get("scene") or controls["person"]
    video = _images(clip, everywhere)
    generated = np.full(video.shape[:3], 255, np.uint8)
    if config.keep_person is not None:
        assert clip.mask is not None
        kept = whole_latents(clip.mask, frames_per_latent)
        video[kept] = clip.frames[kept]
        generated[kept] = 0
    elif config.needs_mask:
        assert clip.mask is not None
        video[clip.mask] = _images(clip, controls["person"])[clip.mask]
    return VaceInputs(video, generated)


def whole_latents(mask: np.ndarray, frames_per_latent: int) -> np.ndarray:
    """Return a mask (T, H, W) bool, in each frame that of all frames of its latent together.

    frames_per_latent: the first latent stands for frame 0 alone, T is a multiple of it and one.
    """
    whole = mask.copy()
    for start in range(1, len(mask), frames_per_latent):
        group = slice(start, start + frames_per_latent)
        whole[group] = mask[group].any(axis=0)
    return whole


def clip_problems(clip: ClipJob, config: VaceSamplingConfig, multiple: int) -> Iterator[str]:
    """Yield a line for each input that a clip lacks; multiple: of pixels along a side."""
    size = clip.frames.shape[:3]
    if size[1] % multiple or size[2] % multiple:
        yield f"frames of {size[2]}x{size[1]} pixels; both sides must be multiples of {multiple}"
    for key, kind in config.controls.items():
        maps = _maps(clip, kind)
        if maps is None:
            yield f"the control {kind} of {key} has no images: set control.{kind}"
        elif maps.shape[:3] != size:  # diffusers would lay them over the wrong grid
            yield f"maps of {kind} are {maps.shape[:3]}, the frames {size}"
    if config.keep_person is not None and clip.mask is None:
        yield "keep_person needs the person's mask; set keep_person=null where there is none"
    elif config.needs_mask and clip.mask is None:
        yield "two controls need the person's mask to be told apart; set person or scene to null"
    elif clip.mask is not None and clip.mask.shape != size:
        yield f"the mask is {clip.mask.shape}, the frames {size}"


def _maps(clip: ClipJob, kind: VaceControl) -> np.ndarray | None:
    controls = clip.controls
    match kind:
        case "pose":
            return controls.pose_maps
        case "depth":
            return controls.depth
        case "edges":
            return controls.edges


def _images(clip: ClipJob, kind: VaceControl) -> np.ndarray:
    """Return a clip's control images of a kind, (T, H, W, 3) uint8, a copy."""
    maps = _maps(clip, kind)
    assert maps is not None and maps.dtype == np.uint8  # diffusers takes floats for 0..1
    return np.repeat(maps[..., None], 3, axis=3) if maps.ndim == 3 else maps.copy()
