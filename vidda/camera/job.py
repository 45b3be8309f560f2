"""`vidda camera`: clips as a target's cameras would have taken them; manifest in, manifest out.

OUT/manifest.csv  the clips, with the labels and columns of their sources
OUT/camera.json   the cameras of the target, measured once
OUT/videos/       <path>.mp4, and <path>.1.mp4 ... for further copies
OUT/records/      size and hash of what was written of each, by which a resumed job goes
OUT/sidecar/      key points and masks, where no shake was added and they still hold

No diffusion model takes part: on synthetic clips this is what a translation has to beat, on
translated ones it gives the cameras of another target without translating again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from vidda import video
from vidda.camera import match as camera_match
from vidda.camera.camera_statistics import CameraStatistics
from vidda.camera.target import CameraConfig, measured, statistics, target_clips
from vidda.data import load_manifest
from vidda.data.derived import SIDECARS, Derived
from vidda.data.frame_sampling import clip_rng
from vidda.data.manifest import shortened
from vidda.data.versions import Version, clashes, listed, missing, versions_of, write_all
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.run import RunFolder
from vidda.sidecar import write_sidecar
from vidda.types import ClipRecord, Manifest
from vidda.video.info import VideoInfo


class CameraJobConfig(CameraConfig):
    """Which clips get the cameras of which target."""

    # A job that ran out of memory has to go on with fewer processes.
    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    input: Path = Field(description="manifest of clips, synthetic or translated")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    name: str = Field(
        default="camera",
        pattern=r"^[\w-]+$",
        description="ends the new clips' ids, <id>@<name>; runs on the same clips need others"
        " to be trained on together",
    )
    size: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="shorter side in pixels at which target clips are measured; null: the median"
        " one of the input; the input itself keeps its size",
    )
    copies: int = Field(
        default=1, ge=1, description="versions of every clip, each by a camera drawn anew"
    )
    crf: Annotated[int, Field(ge=0, le=51)] | None = Field(
        default=18, description="of the H.264 videos, lower is better and larger; null: lossless"
    )
    seed: int = Field(default=0, ge=0, description="with a clip's id it decides all that is random")
    jobs: int = Field(default=0, ge=0, description="processes; 0 takes one for each core")


@dataclass(frozen=True, slots=True)
class CameraSource:
    """How target clips are measured. size: shorter side in pixels; rate: frames/s, 0 for images."""

    size: int
    rate: float


def run(config: CameraJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Make every video that is not there yet, then the manifest; 0 when finished."""
    manifest = load_manifest(config.input)
    manifest = replace(manifest, root=manifest.root.absolute())
    target = target_clips(config)
    versions = versions_of(manifest, config.copies)
    how = _look(config, manifest, versions, target)
    waiting = missing(versions, config.out)
    _tell(config, versions, len(waiting), target, how)
    if dry_run:
        return 0
    facts = {"input": manifest.fingerprint(), "target": target.fingerprint()}
    whole = not waiting and measured(config.out) and listed(config.out)
    with RunFolder.open(config.out, config, facts, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        cameras = statistics(config.out, config, how.size, 1, how.rate)
        return write_all(
            versions,
            waiting,
            manifest.classes,
            folder,
            partial(_write, config, manifest.root, cameras),
            partial(_record, config),
            jobs=config.jobs,
            label="filming",
        )


def camera_matched(
    config: CameraJobConfig, root: Path, cameras: CameraStatistics, version: Version
) -> tuple[np.ndarray, float]:
    """Return the frames of one version (T, H, W, 3) uint8 RGB, and their rate.

    root: of the clip. They depend on the seed, the clip, the copy's number and the cameras alone.
    """
    clip = version.clip
    path = inside(root, clip.path)
    rng = clip_rng(config.seed, version.copy, clip.id, "camera")
    frames = camera_match.apply(video.read(path), cameras, config.match, rng)
    return frames, video.probe(path).fps


def _look(
    config: CameraJobConfig, manifest: Manifest, versions: Sequence[Version], target: Manifest
) -> CameraSource:
    """Open every video; ViddaError with every mistake that can be known before the first clip."""
    problems = clashes(versions, config.input)
    if not manifest.clips:
        problems.append(f"{config.input}: no clips in it; give a manifest of clips")
    found = _probed(manifest, "looking at the clips", problems)
    _probed(target, "looking at the target", problems)
    if problems:
        raise ViddaError("\n".join(shortened(problems)))
    side = int(np.median([min(info.height, info.width) for info in found]))
    rates = [info.fps for info in found if info.fps > 0]
    return CameraSource(config.size or side, float(np.median(rates)) if rates else 0.0)


def _probed(manifest: Manifest, label: str, problems: list[str]) -> list[VideoInfo]:
    """What the videos that can be opened are; of the others a line each is added to `problems`."""
    found = []
    for clip in track(manifest.clips, label=label, total=len(manifest), unit="clips"):
        try:
            found.append(video.probe(inside(manifest.root, clip.path)))
        except ViddaError as error:
            problems.append(f"clip {clip.id!r}: {error}")
    return found


def _tell(
    config: CameraJobConfig,
    versions: Sequence[Version],
    waiting: int,
    target: Manifest,
    how: CameraSource,
) -> None:
    """Print the plan. waiting: versions that are to be made."""
    effects = ", ".join(name for name, value in config.match if value is True) or "none"
    pace = f" and {how.rate:g} frames/s" if how.rate else ""
    print(
        f"{len(versions) // config.copies} clips x {config.copies}, {waiting} to be made;"
        f" cameras of {len(target)} target clips, measured at {how.size} pixels{pace};"
        f" effects: {effects}"
    )


def _write(
    config: CameraJobConfig, root: Path, cameras: CameraStatistics, version: Version, place: Path
) -> tuple[str, ...]:
    frames, fps = camera_matched(config, root, cameras, version)
    video.write_clip(place, frames, fps, config.crf)
    beside, numbers = _sidecar(version), np.arange(len(frames))
    if config.match.shake:
        return ()
    written = write_sidecar(version.clip, root, numbers, frames, inside(config.out, beside))
    return (beside,) if written else ()


def _sidecar(version: Version) -> str:
    return f"{SIDECARS}/{version.place}.npz"


def _record(config: CameraJobConfig, version: Version, derived: Derived) -> ClipRecord:
    """Return the record of a version; a translated clip stays one, a synthetic one too."""
    place = _sidecar(version)
    beside = place if place in derived.files else ""
    return version.record(config.name, domain=version.clip.domain, sidecar=beside)
