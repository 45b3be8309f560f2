"""One clip to translate, and whether all is there that its translation needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidda.control.clip_flow import Target
from vidda.control.controls import Controls
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.latents import factor
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.noise import FlowWarped
from vidda.translate.stable_diffusion.sampling import SamplingConfig


@dataclass(frozen=True, slots=True)
class ClipJob:
    """One clip to translate.

    frames: (T, H, W, 3) uint8 RGB. controls: computed on these frames. seed: decides all that is
    random; no other clip's matters. mask: (T, H, W) bool, the person, where it is to be kept.
    """

    frames: np.ndarray
    controls: Controls
    prompt: str
    negative: str
    seed: int
    mask: np.ndarray | None = None


def control_maps(controls: Controls, kind: str) -> np.ndarray | None:
    """The pictures for a ControlNet of a kind, (T, H, W) or (T, H, W, 3) uint8."""
    return controls.edges if kind == "edges" else controls.pose_maps


def flow_targets(config: SamplingConfig) -> tuple[Target, ...]:
    """Which optical flow a job with this config uses; the quality's figures use the first one."""
    return ("previous", "anchor") if isinstance(config.noise, FlowWarped) else ("previous",)


def check(clips: Sequence[ClipJob], models: Models, config: SamplingConfig) -> None:
    """Raise ViddaError with a line for everything that a translation of these clips lacks."""
    problems = [problem for clip in clips for problem in _problems(clip, models, config)]
    sizes = sorted({clip.frames.shape[1:3] for clip in clips})
    if len(sizes) > 1:
        problems.append(f"clips of sizes {sizes[0]} and {sizes[1]} do not pass together")
    if problems:
        raise ViddaError("\n".join(dict.fromkeys(problems)))


def _problems(clip: ClipJob, models: Models, config: SamplingConfig) -> Iterator[str]:
    size = clip.frames.shape[:3]
    of = factor(models.vae)
    if size[1] % of or size[2] % of:
        yield f"frames of {size[2]}x{size[1]} pixels; both sides must be multiples of {of}"
    for net in models.controlnets:
        maps = control_maps(clip.controls, net.kind)
        if maps is None:
            yield f"the ControlNet for {net.kind} has nothing to see: set control.{net.kind}"
        elif maps.shape[:3] != size:
            yield f"maps of {net.kind} are {maps.shape[:3]}, the frames {size}"
    if config.keep_person is not None and clip.mask is None:
        yield "keep_person needs the person's mask; set keep_person=null where there is none"
    elif clip.mask is not None and clip.mask.shape != size:
        yield f"the mask is {clip.mask.shape}, the frames {size}"
    if isinstance(config.noise, FlowWarped) and clip.controls.flow_anchor is None:
        yield "noise flow_warped needs optical flow: set control.flow, or noise.name=shared"
