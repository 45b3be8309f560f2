"""The conditions of each frame for the networks: its prompts and its control images."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from einops import rearrange

from vidda.control.controls import Controls
from vidda.errors import ViddaError
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.control_embedding import embed_images
from vidda.translate.stable_diffusion.latents import pixels_per_latent_of
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.noise import FlowWarpedNoise
from vidda.translate.stable_diffusion.prompt_encoder import PromptEncoder
from vidda.translate.stable_diffusion.sampling_config import ClipSamplingConfig


class Conditions:
    """The prompts and control images of some clips; frames are numbered clip after clip.

    lengths: frames of each clip.
    """

    def __init__(self, clips: Sequence[ClipJob], models: Models, encoder: PromptEncoder) -> None:
        self._clips = clips
        self._device, self._dtype = models.unet.device, models.unet.dtype
        self.lengths = tuple(len(clip.frames) for clip in clips)
        self._positions = [(c, f) for c, length in enumerate(self.lengths) for f in range(length)]
        prompts = [clip.negative for clip in clips] + [clip.prompt for clip in clips]
        states = encoder.encode(prompts)
        self._text = rearrange(states.to(self._dtype), "(p b) n c -> p b n c", p=2)
        self._chosen: tuple[tuple[int, ...], int, torch.Tensor] | None = None
        self._embedded: dict[tuple[int, tuple[int, ...]], torch.Tensor] = {}

    def text(self, frames: Sequence[int], passes: int, *, shared: bool) -> torch.Tensor:
        """Return the encoded prompts of B frames, (passes x B, tokens, width).

        passes: 1 for the prompts alone, 2 for the negative prompts followed by the prompts. shared:
        return only (passes, tokens, width) where all frames are of one clip. The same tensor is
        returned until other clips' prompts are asked for.
        """
        clips = tuple(self._positions[number][0] for number in frames)
        if shared and len(set(clips)) == 1:
            clips = clips[:1]
        if self._chosen is None or self._chosen[:2] != (clips, passes):
            chosen = self._text[2 - passes :, list(clips)]
            self._chosen = (clips, passes, rearrange(chosen, "p b n c -> (p b) n c"))
        return self._chosen[2]

    def embedded_controls(
        self, net: ControlNet, frames: Sequence[int], *, store: bool
    ) -> torch.Tensor:
        """Return the control images of B frames for a ControlNet, embedded by it: `embed_images`.

        store: keep the result for later calls, instead of those of other frames.
        """
        key = (id(net), tuple(frames))
        if key in self._embedded:
            return self._embedded[key]
        embedded = embed_images(net.model, self.control_images(net.kind, frames))
        if store:
            if any(stored != key[1] for _, stored in self._embedded):
                self._embedded.clear()
            self._embedded[key] = embedded
        return embedded

    def control_images(self, kind: str, frames: Sequence[int]) -> torch.Tensor:
        """Return the control images of B frames for a ControlNet, (B, 3, H, W) in [0, 1].

        kind: see `control_maps`.
        """
        images = []
        for number in frames:
            clip, frame = self._positions[number]
            maps = control_maps(self._clips[clip].controls, kind)
            assert maps is not None  # checked before sampling
            images.append(maps[frame])
        stacked = np.stack(images)
        if stacked.dtype == bool:  # white on people
            stacked = stacked.astype(np.uint8) * 255
        assert stacked.dtype == np.uint8  # of 0..255, not floats of 0..1
        levels = torch.from_numpy(stacked)
        if self._device.type == "cuda":  # so that the copy does not wait for running kernels
            levels = levels.pin_memory()
        levels = levels.to(self._device, non_blocking=True)
        if levels.ndim == 3:  # without color
            levels = levels.unsqueeze(-1).expand(-1, -1, -1, 3)
        return levels.permute(0, 3, 1, 2).to(self._dtype) / 255


def control_maps(controls: Controls, kind: str) -> np.ndarray | None:
    """Return a clip's control images for a kind of ControlNet; None where it has none.

    kind: edges or depth, (T, H, W) uint8; pose or segmentation, (T, H, W, 3) uint8; or mask, (T, H,
    W) bool.
    """
    maps: np.ndarray | None = getattr(controls, "pose_maps" if kind == "pose" else kind)
    return maps


def check_clips(clips: Sequence[ClipJob], models: Models, config: ClipSamplingConfig) -> None:
    """Raise ViddaError with a line for each input that these clips lack for the translation."""
    problems = [problem for clip in clips for problem in _clip_problems(clip, models, config)]
    sizes = sorted({clip.frames.shape[1:3] for clip in clips})
    if len(sizes) > 1:
        problems.append(f"clips of sizes {sizes[0]} and {sizes[1]} cannot be translated together")
    if problems:
        raise ViddaError("\n".join(dict.fromkeys(problems)))


def _clip_problems(clip: ClipJob, models: Models, config: ClipSamplingConfig) -> Iterator[str]:
    size = clip.frames.shape[:3]
    cell = pixels_per_latent_of(models.vae)
    if size[1] % cell or size[2] % cell:
        yield f"frames of {size[2]}x{size[1]} pixels; both sides must be multiples of {cell}"
    for net in models.controlnets:
        maps = control_maps(clip.controls, net.kind)
        if maps is None:
            yield f"the ControlNet for {net.kind} has no control images: set control.{net.kind}"
        elif maps.shape[:3] != size:
            yield f"maps of {net.kind} are {maps.shape[:3]}, the frames {size}"
    if config.keep_person is not None and clip.mask is None:
        yield "keep_person needs the person's mask; set keep_person=null where there is none"
    elif clip.mask is not None and clip.mask.shape != size:
        yield f"the mask is {clip.mask.shape}, the frames {size}"
    if isinstance(config.noise, FlowWarpedNoise) and clip.controls.flow_anchor is None:
        yield "noise flow_warped needs optical flow: set control.flow, or noise.name=shared"
