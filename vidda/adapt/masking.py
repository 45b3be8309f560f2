"""Random masking of blocks of clips, and the keys of methods that do it: MIC and UNITE."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch.nn import functional as F

from vidda.adapt.joint import MethodConfig, MethodSettings

Block = Annotated[int, Field(ge=1, description="side of a masked block, in pixels")]
Ratio = Annotated[float, Field(gt=0, lt=1, description="share of the blocks that are masked")]


class MaskingConfig(MethodConfig):
    """The base of the configs of methods that mask target clips, see `mask_blocks`."""

    block: Block
    ratio: Ratio
    needs_pixels: ClassVar[bool] = True

    def problems(self, settings: MethodSettings) -> list[str]:
        """Return a line where a block is more than half a clip's side."""
        if 2 * self.block > settings.size:
            return [
                f"method.block: {self.block} masks all or nothing of clips of {settings.size}"
                f" pixels; set at most {settings.size // 2}"
            ]
        return []


def mask_blocks(video: torch.Tensor, block: int, ratio: float) -> torch.Tensor:
    """Return clips with random blocks set to 0 (the mean color), the same ones in all frames of a
    clip.

    video: (B, C, T, H, W), normalized, as is the result. block: side of a block in pixels; the
    frame is divided into round(H / block) x round(W / block) blocks of about that size. ratio:
    probability of a block to be masked, in [0, 1]. Draws from torch's global generator, on the CPU.
    Hoyer et al., MIC, CVPR 2023, equations 3 and 4; the frames of a clip share the mask, or motion
    would reveal what is behind it.
    """
    height, width = video.shape[-2:]
    rows, columns = max(1, round(height / block)), max(1, round(width / block))
    kept = (torch.rand(len(video), 1, rows, columns) > ratio).to(video)
    return video * F.interpolate(kept, (height, width))[:, :, None]
