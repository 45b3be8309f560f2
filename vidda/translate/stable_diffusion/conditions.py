"""What the networks are told about each frame: its prompt and its control pictures."""

from collections.abc import Sequence

import numpy as np
import torch

from vidda.translate.clip_job import ClipJob, control_maps
from vidda.translate.prompts import PromptEncoder
from vidda.translate.stable_diffusion.loading import Models


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
        """Prompts of frames (B,), (passes x B, tokens, width); of two, the negatives come first."""
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
        if levels.ndim == 3:  # edges have no colour
            levels = levels.unsqueeze(-1).expand(-1, -1, -1, 3)
        return levels.permute(0, 3, 1, 2).to(self._dtype) / 255
