"""The cameras of the target's clips, measured once and kept in the run folder."""

import logging
from pathlib import Path

import numpy as np
from pydantic import Field

from vidda import video
from vidda.camera.camera_statistics import CameraStatistics
from vidda.camera.estimate import estimate_cameras
from vidda.camera.match import CameraMatch
from vidda.config import Config
from vidda.control.clip_size import output_size
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.types import ClipRecord, Manifest

log = logging.getLogger("vidda")

STATISTICS_FILE = "camera.json"
FrameSize = int | tuple[int, int] | None
"""A job's `size`: shorter side in pixels, (height, width), or None for a video's own size."""
MAX_FRAMES = 64
"""Most frames of a target clip that are measured."""


class CameraConfig(Config):
    """The target whose cameras the clips get, and the effects to match."""

    target: Path = Field(description="manifest of target clips; their labels are not read")
    clips: int = Field(
        default=100,
        ge=1,
        description="most target clips to measure, evenly spaced over the manifest",
    )
    match: CameraMatch = Field(
        default=CameraMatch(), description="camera effects to match, and their strength"
    )


def target_clips(config: CameraConfig) -> Manifest:
    """Return the target clips to measure, without labels; raises ViddaError when there are none."""
    target = load_manifest(config.target).unlabeled()
    if not target.clips:
        raise ViddaError(f"{config.target}: no clips in it; give a manifest of target clips")
    count = min(config.clips, len(target))
    chosen = ((np.arange(count) + 0.5) * (len(target) / count)).astype(int)
    return Manifest(target.root, target.classes, tuple(target.clips[n] for n in chosen))


def target_statistics(
    out: Path, camera: CameraConfig, size: FrameSize, multiple: int, rate: float
) -> CameraStatistics:
    """Return the statistics of the target's cameras, at the size and frame rate of the clips to
    match.

    out: the run folder; statistics that an earlier session or another shard wrote there are read,
    and measured again where the file is damaged. camera: the target. size, multiple: see
    `output_size`. rate: frames per second, 0 where it is not known. Raises ViddaError when a clip
    cannot be read, or none shows anything.
    """
    file = out / STATISTICS_FILE
    if not has_camera_statistics(out):
        if file.exists():
            log.warning("%s is damaged: the target is measured again", file)
        target = target_clips(camera)
        clips = track(target.clips, label="target's camera", total=len(target), unit="clips")
        estimate_cameras(
            _read_frames(clip, target.root, size, multiple, rate) for clip in clips
        ).write(file)
    return CameraStatistics.read(file)


def has_camera_statistics(out: Path) -> bool:
    """Return whether the run folder has readable statistics of the target's cameras."""
    try:
        CameraStatistics.read(out / STATISTICS_FILE)
    except ViddaError:
        return False
    return True


def _read_frames(
    clip: ClipRecord, root: Path, size: FrameSize, multiple: int, rate: float
) -> np.ndarray:
    """Return a target clip's frames (T, H, W, 3) uint8 RGB, at most MAX_FRAMES, at the
    given rate.
    """
    path = inside(root, clip.path)
    info = video.probe(path)
    # A clip of a lower frame rate cannot get more frames, so it is measured as it is.
    step = max(1.0, info.fps / rate) if rate else 1.0
    numbers = np.arange(0, info.frames, step)[:MAX_FRAMES].astype(int)
    return video.read(path, numbers, output_size(info, size, multiple))
