"""What the networks are told about each frame: its prompt and its control pictures."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from vidda.control.controls import Controls
from vidda.errors import ViddaError
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.latents import factor
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.noise import FlowWarpedNoise
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.text import PromptEncoder


class Conditions:
    """The prompts and control pictures of some clips, by the frames' numbers, clip after clip."""

    def __init__(self, clips: Sequence[ClipJob], models: Models, encoder: PromptEncoder) -> None:
        self._clips = clips
        self._device, self._dtype = models.unet.device, models.unet.dtype
        self.lengths = tuple(len(clip.frames) for clip in clips)
        self._place = [(c, f) for c, length in enumerate(self.lengths) for f in range(length)]
        self._clip = torch.tensor([c for c, _ in self._place], device=self._device)
        prompts = [clip.negative for clip in clips] + [clip.prompt for clip in clips]
        states = encoder.encode(prompts)
        self._text = states.to(self._dtype).unflatten(0, (2, len(clips)))

    def text(self, frames: torch.Tensor, passes: int) -> torch.Tensor:
        """Return prompts of frames (B,), (passes x B, tokens, width); of two, the negatives come
        first.
        """
        return self._text[2 - passes :, self._clip[frames]].flatten(0, 1)

    def picture(self, kind: str, frames: Sequence[int]) -> torch.Tensor:
        """What a ControlNet of a kind sees of frames, (B, 3, H, W) in [0, 1]."""
        found = []
        for number in frames:
            clip, frame = self._place[number]
            maps = control_maps(self._clips[clip].controls, kind)
            assert maps is not None  # checked before sampling
            found.append(maps[frame])
        levels = torch.from_numpy(np.stack(found))
        if self._device.type == "cuda":  # so that the copy does not wait for what runs there
            levels = levels.pin_memory()
        levels = levels.to(self._device, non_blocking=True)
        if levels.ndim == 3:  # edges have no color
            levels = levels.unsqueeze(-1).expand(-1, -1, -1, 3)
        return levels.permute(0, 3, 1, 2).to(self._dtype) / 255


def control_maps(controls: Controls, kind: str) -> np.ndarray | None:
    """Return the pictures for a ControlNet of a kind, (T, H, W) or (T, H, W, 3) uint8."""
    return controls.edges if kind == "edges" else controls.pose_maps


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
    if isinstance(config.noise, FlowWarpedNoise) and clip.controls.flow_anchor is None:
        yield "noise flow_warped needs optical flow: set control.flow, or noise.name=shared"
