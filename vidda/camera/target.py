"""The cameras of the target, measured once and kept in the run folder."""

import logging
from pathlib import Path

import numpy as np
from pydantic import Field

from vidda import video
from vidda.camera.camera_statistics import CameraStatistics
from vidda.camera.estimate import estimate
from vidda.camera.match import CameraMatch
from vidda.config import Config
from vidda.control.clip_size import fitted
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.types import ClipRecord, Manifest

log = logging.getLogger("vidda")

FILE = "camera.json"
Size = int | tuple[int, int] | None
"""Of a frame, as the job is told it."""
MOST_FRAMES = 64
"""Of a target clip that are looked at."""


class CameraConfig(Config):
    """Whose camera the clips get."""

    target: Path = Field(description="manifest of target clips; their labels are not read")
    clips: int = Field(default=100, ge=1, description="of them that are measured, evenly chosen")
    match: CameraMatch = Field(default=CameraMatch(), description="which effects, how strong")


def target_clips(config: CameraConfig) -> Manifest:
    """Return the target clips that are measured, without labels; ViddaError when there are none."""
    target = load_manifest(config.target).unlabeled()
    if not target.clips:
        raise ViddaError(f"{config.target}: no clips in it; give a manifest of target clips")
    count = min(config.clips, len(target))
    chosen = ((np.arange(count) + 0.5) * (len(target) / count)).astype(int)
    return Manifest(target.root, target.classes, tuple(target.clips[n] for n in chosen))


def statistics(
    out: Path, camera: CameraConfig, size: Size, multiple: int, rate: float
) -> CameraStatistics:
    """How the target's clips were taken, at the size and frame rate of those that are to match.

    out: the run folder; they are read from it where an earlier session or another shard has written
    them, and measured again where the file is damaged. size, multiple: see `fitted`. rate: frames a
    second, 0 where that is not known. Raises ViddaError when a clip cannot be read, or none shows
    anything.
    """
    file = out / FILE
    if not measured(out):
        if file.exists():
            log.warning("%s is damaged: the target is measured again", file)
        target = target_clips(camera)
        clips = track(target.clips, label="target's camera", total=len(target), unit="clips")
        estimate(_frames(clip, target.root, size, multiple, rate) for clip in clips).write(file)
    return CameraStatistics.read(file)


def measured(out: Path) -> bool:
    """Return whether the target's cameras are in the run folder, and can be read."""
    try:
        CameraStatistics.read(out / FILE)
    except ViddaError:
        return False
    return True


def _frames(clip: ClipRecord, root: Path, size: Size, multiple: int, rate: float) -> np.ndarray:
    path = inside(root, clip.path)
    info = video.probe(path)
    # Frames that are too few a second cannot be made more: such clips are taken as they are.
    step = max(1.0, info.fps / rate) if rate else 1.0
    numbers = np.arange(0, info.frames, step)[:MOST_FRAMES].astype(int)
    return video.read(path, numbers, fitted(info, size, multiple))
