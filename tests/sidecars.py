"""A clip of MiniRoCoG on disk with its sidecar, and the truth about it."""

from pathlib import Path

import numpy as np

from vidda import video
from vidda.mini.clip import FACTORS, RenderedClip, render
from vidda.mini.layout import Sizes, plans
from vidda.sidecar import default_sidecar
from vidda.types import ClipRecord


def rendered(frames: int = 8, size: int = 64, number: int = 0) -> RenderedClip:
    """Clip `number` of a small MiniRoCoG; 0 is of a person on the ground."""
    return render(plans(0, Sizes(1, 1, 1, 1), FACTORS)[number].scene, frames, 8.0, size)


def write_clip(root: Path, clip: RenderedClip) -> ClipRecord:
    """Write a clip and its sidecar, as `vidda mini` does, and give its record."""
    record = ClipRecord("one", "syn/ground/one.mp4", 0, "synthetic", "ground")
    video.write(root / record.path, clip.frames, 8.0)
    truth = root / default_sidecar(record.path)
    truth.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        truth, keypoints=clip.keypoints, box=clip.box, mask=clip.mask, depth=clip.depth
    )
    return record
