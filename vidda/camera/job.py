"""`vidda camera`: give clips the camera effects of a target; manifest in, manifest out.

OUT/manifest.csv  the clips, with the labels and columns of their sources
OUT/camera.json   the cameras of the target, measured once
OUT/videos/       <path>.mp4, and <path>.1.mp4 ... for further copies
OUT/records/      size and hash of each clip's files, which a resumed job compares
OUT/sidecar/      keypoints and masks, where no shake was added and they still hold

No diffusion model is needed: on synthetic clips this is the baseline for a translation, on
translated ones it gives the cameras of another target without translating again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from vidda import video
from vidda.camera import match as camera_match
from vidda.camera.camera_statistics import CameraStatistics
from vidda.camera.estimate import ClipChanges, measure_changes
from vidda.camera.target import CameraConfig, has_camera_statistics, target_clips, target_statistics
from vidda.config import Count, Processes
from vidda.data import load_manifest
from vidda.data.derived import SIDECARS, DerivedFiles
from vidda.data.frame_sampling import clip_rng
from vidda.data.manifest import first_problems
from vidda.data.versions import (
    ClipSeed,
    Copies,
    IdSuffix,
    Version,
    manifest_written,
    missing,
    path_clashes,
    plan_versions,
    write_all,
)
from vidda.errors import ViddaError
from vidda.files import inside, size_and_time
from vidda.progress import track
from vidda.run import RunFolder
from vidda.sidecar import write_sidecar
from vidda.types import ClipRecord, Manifest
from vidda.video.info import VideoInfo


class CameraJobConfig(CameraConfig):
    """The clips that get camera effects, the target, and the files to write."""

    # So that a job that ran out of memory can be resumed with fewer processes.
    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    input: Path = Field(description="manifest of clips, synthetic or translated")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    name: IdSuffix = "camera"
    size: Count | None = Field(
        default=None,
        description="shorter side in pixels at which target clips are measured; null: the median"
        " of the input; the input itself keeps its size",
    )
    copies: Copies = 1
    crf: Annotated[int, Field(ge=0, le=51)] | None = Field(
        default=18,
        description="quality of the H.264 videos, lower is better and larger; null: lossless",
    )
    seed: ClipSeed = 0
    jobs: Processes = 0


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """Settings for measuring target clips. size: shorter side in pixels; rate: frames/s, 0 for
    images.
    """

    size: int
    rate: float


def run(config: CameraJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Write every video that is missing, then the manifest; return 0 when finished, else 1.

    dry_run: print the plan and write nothing. resume: continue a stopped job. Raises ViddaError for
    mistakes in the config or the manifests.
    """
    manifest = load_manifest(config.input)
    manifest = replace(manifest, root=manifest.root.absolute())
    target = target_clips(config)
    versions = plan_versions(manifest, config.copies)
    settings = _inspect(config, manifest, versions, target)
    waiting = missing(versions, config.out)
    _print_plan(config, versions, len(waiting), target, settings)
    if dry_run:
        return 0
    facts = {"input": manifest.fingerprint(), "target": target.fingerprint()}
    whole = not waiting and has_camera_statistics(config.out) and manifest_written(config.out)
    with RunFolder.open(config.out, config, facts, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        cameras = target_statistics(config.out, config, settings.size, 1, settings.rate)
        return write_all(
            versions,
            waiting,
            manifest.classes,
            folder,
            partial(_write, config, manifest.root, cameras),
            partial(_record, config),
            jobs=config.jobs,
            label="matching camera",
        )


def camera_matched_frames(
    config: CameraJobConfig, root: Path, cameras: CameraStatistics, version: Version
) -> tuple[np.ndarray, float]:
    """Return the frames of one version (T, H, W, 3) uint8 RGB, and their rate in frames/s.

    root: folder that the clip's path is relative to. cameras: the target's. The frames depend only
    on the seed, the clip, the copy's number and the cameras.
    """
    clip = version.clip
    path = inside(root, clip.path)
    rng = clip_rng(config.seed, version.copy, clip.id, "camera")
    frames, changes = _read_and_measure(path, size_and_time(path))
    matched = camera_match.match_camera(frames, cameras, config.match, rng, changes)
    return matched, video.probe(path).fps


@lru_cache(maxsize=1)
def _read_and_measure(path: Path, state: tuple[int, int]) -> tuple[np.ndarray, ClipChanges]:
    """Return a clip's frames and changes, once for all its copies, which follow one another.

    state: the file's size and time, so that a changed file is read again.
    """
    frames = video.read(path)
    return frames, measure_changes(frames)


def _inspect(
    config: CameraJobConfig, manifest: Manifest, versions: Sequence[Version], target: Manifest
) -> MeasurementSettings:
    """Open every video, and return the settings for measuring the target.

    Raises ViddaError with a line for every mistake that can be found before the first clip.
    """
    problems = path_clashes(versions, config.input)
    if not manifest.clips:
        problems.append(f"{config.input}: no clips in it; give a manifest of clips")
    infos = _probe_clips(manifest, "inspecting clips", problems)
    _probe_clips(target, "inspecting target clips", problems)
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    side = int(np.median([min(info.height, info.width) for info in infos]))
    rates = [info.fps for info in infos if info.fps > 0]
    return MeasurementSettings(config.size or side, float(np.median(rates)) if rates else 0.0)


def _probe_clips(manifest: Manifest, label: str, problems: list[str]) -> list[VideoInfo]:
    """Return the properties of the videos that can be opened, and add the errors of others to
    `problems`.
    """
    infos = []
    for clip in track(manifest.clips, label=label, total=len(manifest), unit="clips"):
        try:
            infos.append(video.probe(inside(manifest.root, clip.path)))
        except ViddaError as error:
            problems.append(f"clip {clip.id!r}: {error}")
    return infos


def _print_plan(
    config: CameraJobConfig,
    versions: Sequence[Version],
    waiting: int,
    target: Manifest,
    settings: MeasurementSettings,
) -> None:
    """Print the plan. waiting: number of versions to make."""
    effects = ", ".join(name for name, value in config.match if value is True) or "none"
    rate = f" and {settings.rate:g} frames/s" if settings.rate else ""
    print(
        f"{len(versions) // config.copies} clips x {config.copies}, {waiting} to be made;"
        f" cameras of {len(target)} target clips, measured at {settings.size} pixels{rate};"
        f" effects: {effects}"
    )


def _write(
    config: CameraJobConfig, root: Path, cameras: CameraStatistics, version: Version, path: Path
) -> tuple[str, ...]:
    """Write one version's video at `path`, and its sidecar; return the sidecar's path where there
    is one.
    """
    frames, fps = camera_matched_frames(config, root, cameras, version)
    video.write_clip(path, frames, fps, config.crf)
    sidecar, numbers = _sidecar_path(version), np.arange(len(frames))
    if config.match.shake:
        return ()
    written = write_sidecar(version.clip, root, numbers, frames, inside(config.out, sidecar))
    return (sidecar,) if written else ()


def _sidecar_path(version: Version) -> str:
    """Return the path of a version's sidecar, relative to OUT."""
    return f"{SIDECARS}/{version.path}.npz"


def _record(config: CameraJobConfig, version: Version, derived: DerivedFiles) -> ClipRecord:
    """Return the record of a version; its domain stays that of its source."""
    path = _sidecar_path(version)
    sidecar = path if path in derived.files else ""
    return version.record(config.name, domain=version.clip.domain, sidecar=sidecar)
