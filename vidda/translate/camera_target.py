"""The cameras of the target, measured once and kept in the run folder."""

from pathlib import Path

import numpy as np

from vidda import video
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.translate.camera.statistics import CameraStatistics
from vidda.translate.camera_estimate import estimate
from vidda.translate.clip_size import fitted
from vidda.translate.job_config import CameraConfig, TranslateConfig
from vidda.types import ClipRecord, Manifest

FILE = "camera.json"
MOST_FRAMES = 64
"""Of a target clip that are looked at."""


def target_clips(config: CameraConfig) -> Manifest:
    """The target clips that are measured, without labels; ViddaError when there are none."""
    target = load_manifest(config.target).unlabelled()
    if not target.clips:
        raise ViddaError(f"{config.target}: no clips in it; give a manifest of target clips")
    count = min(config.clips, len(target))
    chosen = ((np.arange(count) + 0.5) * (len(target) / count)).astype(int)
    return Manifest(target.root, target.classes, tuple(target.clips[n] for n in chosen))


def statistics(
    config: TranslateConfig, camera: CameraConfig, multiple: int, rate: float
) -> CameraStatistics:
    """How the target's clips were taken, at the translated clips' size and frame rate.

    multiple: of which both sides of a translated frame are. rate: frames a second of the translated
    clips. Read from the run folder where an earlier session or another shard has written it. Raises
    ViddaError when a clip cannot be read, or none shows anything.
    """
    file = config.out / FILE
    if not file.exists():
        target = target_clips(camera)
        clips = track(target.clips, label="target's camera", total=len(target), unit="clips")
        estimate(_frames(clip, target.root, config, multiple, rate) for clip in clips).write(file)
    return CameraStatistics.read(file)


def _frames(
    clip: ClipRecord, root: Path, config: TranslateConfig, multiple: int, rate: float
) -> np.ndarray:
    path = inside(root, clip.path)
    info = video.probe(path)
    # Frames that are too few a second cannot be made more: such clips are taken as they are.
    step = max(1.0, info.fps / rate) if rate else 1.0
    numbers = np.arange(0, info.frames, step)[:MOST_FRAMES].astype(int)
    return video.read(path, numbers, fitted(info, config.size, multiple))
