"""The joints of the main person of each clip over time, from sidecars or estimated and cached."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from vidda.control.array_cache import ArrayCache
from vidda.control.cache_keys import clip_identity, config_identity
from vidda.control.control_config import Smoothing
from vidda.control.keypoints import JOINTS, NobodyError, Pose, empty_pose
from vidda.control.pose import PoseConfig, PoseSource
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.control.track import main_person, smooth_pose, track_people
from vidda.errors import ViddaError
from vidda.files import inside, sha256
from vidda.progress import FrameCounter, ReportProgress, ignore_progress, meter
from vidda.sidecar import open_sidecar, read_rows, sidecar_path
from vidda.types import ClipRecord, Manifest
from vidda.video import READER, VideoError, probe, stream

WORLD_JOINTS = "keypoints_3d"
"""Array in a sidecar: joints (T, 17, 3) in meters in the world, as MiniRoCoG writes it."""

CHUNK = 128
"""Frames that are estimated at once, so that long videos fit in memory."""

CACHE_VERSION = 1
"""Version of what is estimated; raising it makes old cache entries unused."""


@dataclass(frozen=True, slots=True)
class PoseTrack:
    """The joints of the one person that a clip of T frames is about.

    keypoints: (T, 17, 2) float32 x, y in pixels. scores: (T, 17) float32 in [0, 1], 0 where
    unknown. world: (T, 17, 3) float32 meters, or None.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    world: np.ndarray | None = None


class PoseReader:
    """A reader of clips' pose tracks, which estimates each clip once and keeps it in a cache.

    source: of the poses. smoothing, threshold: of the main person's joints over time, see
    `smooth_pose`. world: whether the 3-D joints of the sidecars are read too. cache: a folder, or
    None.
    """

    def __init__(
        self,
        source: PoseConfig,
        smoothing: Smoothing | None,
        threshold: float,
        *,
        world: bool = False,
        cache: Path | None = None,
    ) -> None:
        self._config = source
        self._smoothing = smoothing
        self._threshold = threshold
        self._world = world
        self._cache = None if cache is None else ArrayCache(cache / "poses")

    def read_all(self, manifest: Manifest, *, skip: bool) -> "list[PoseTrack | str]":
        """Return the track of every clip, or what is wrong with the clip.

        Shows the progress. skip: False raises ViddaError at the first clip that cannot be read. It
        is also raised where the source of the poses cannot be loaded.
        """
        tracks: list[PoseTrack | str] = []
        lengths = [_length(clip, manifest.root) for clip in manifest.clips]
        label = f"poses by {self._config.name}"
        with meter(label=label, total=sum(lengths), unit="frames") as passed:
            for number, (clip, length) in enumerate(zip(manifest.clips, lengths, strict=True), 1):
                counter = FrameCounter(passed, f"clip {number}/{len(manifest)}")
                try:
                    tracks.append(self.read(clip, manifest.root, counter))
                except ViddaError as error:
                    # A source that cannot be loaded is no clip's fault.
                    of_clip = isinstance(error, VideoError) or "_source" in vars(self)
                    if not skip or not of_clip:
                        raise
                    tracks.append(str(error))
                counter(length - counter.frames)  # none were counted where the cache had it
        empty = sum(not isinstance(one, str) and not one.scores.any() for one in tracks)
        if empty:
            print(
                f"note: nobody is found in {empty} of {len(manifest)} clips, which are used without"
                " any joint",
                file=sys.stderr,
            )
        return tracks

    def read(
        self, clip: ClipRecord, root: Path, report_progress: ReportProgress = ignore_progress
    ) -> PoseTrack:
        """Return the track of a clip; one without joints where nobody is found.

        root: of the clip's manifest. report_progress: called with the number of frames done since
        the last call. Raises ViddaError where the clip or its sidecar cannot be read.
        """
        if not isinstance(self._config, SidecarPosesConfig):
            return self._main(self._estimated(clip, root, report_progress), None)
        source = self._source
        if not (beside := sidecar_path(clip, root)).is_file():
            raise ViddaError(
                f"clip {clip.id!r} has no sidecar: {beside} is not there; name the file in a"
                " manifest column 'sidecar', or estimate the poses: poses.name=mmpose, onnx,"
                " blazepose or vitpose (model.poses.name in training)"
            )
        info = probe(inside(root, clip.path))
        # The sidecar's source needs the frames' number and size alone: no video is decoded.
        frames = np.broadcast_to(np.uint8(0), (info.frames, info.height, info.width, 3))
        pose = source.estimate(frames, None, clip, root)
        return self._main(pose, self._read_world(clip, root, info.frames) if self._world else None)

    def of_frames(self, frames: np.ndarray, name: str) -> PoseTrack:
        """Return the track of a clip of frames (T, H, W, 3) uint8 RGB, which is no file.

        name: its id. Raises ViddaError where the poses come from sidecars.
        """
        if isinstance(self._config, SidecarPosesConfig):
            raise ViddaError(
                f"clip {name}: frames have no sidecar to read poses from; give an estimator, such"
                " as poses.name=blazepose"
            )
        clip = ClipRecord(name, name, None, "", "")
        return self._main(self._estimate(frames, clip, Path(), None, ignore_progress), None)

    def _main(self, pose: Pose, world: np.ndarray | None) -> PoseTrack:
        """Return the joints of the largest person, smoothed over time."""
        one = main_person(track_people(pose), 1, 1, "largest")
        if not one.scores.shape[1]:  # nobody
            one = _padded(one, 1)
        if self._smoothing is not None:
            gap, window = self._smoothing.longest_gap, self._smoothing.window
            one = smooth_pose(one, self._threshold, gap, window)
        return PoseTrack(one.keypoints[:, 0], one.scores[:, 0], world)

    def _read_world(self, clip: ClipRecord, root: Path, frames: int) -> np.ndarray:
        path = sidecar_path(clip, root)
        with open_sidecar(path) as content:
            if WORLD_JOINTS not in content:
                raise ViddaError(
                    f"{path}: has no array {WORLD_JOINTS!r} for random cameras; render the data"
                    " again with vidda mini, or set model.augment.cameras=null"
                )
        world = read_rows(clip, root, WORLD_JOINTS, frames, None)
        if world.shape[1:] != (len(JOINTS), 3):
            raise ViddaError(
                f"{path}: {WORLD_JOINTS} of shape {world.shape}, not (T, 17, 3); write x, y, z in"
                " meters of COCO's 17 joints"
            )
        return world.astype(np.float32)

    def _estimated(self, clip: ClipRecord, root: Path, report_progress: ReportProgress) -> Pose:
        """Return the poses of all people in a clip, from the cache where there is one."""
        path = inside(root, clip.path)
        probe(path)  # what is no video is reported as that

        def estimate() -> Mapping[str, np.ndarray]:
            done, parts, frames = 0, [], stream(path)
            while chunk := list(islice(frames, CHUNK)):
                numbers = np.arange(done, done + len(chunk))
                parts.append(self._estimate(np.stack(chunk), clip, root, numbers, report_progress))
                done += len(chunk)
            joined = _join(parts)
            return {"keypoints": joined.keypoints, "scores": joined.scores}

        if self._cache is None:
            found = estimate()
        else:
            found = self._cache.get_or_compute(self._key(clip, root, path), estimate)
        return Pose(found["keypoints"], found["scores"])

    def _estimate(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        numbers: np.ndarray | None,
        report_progress: ReportProgress,
    ) -> Pose:
        try:
            return self._source.estimate(frames, None, clip, root, numbers, report_progress)
        except NobodyError:
            return empty_pose(len(frames))

    def _key(self, clip: ClipRecord, root: Path, path: Path) -> str:
        boxes = clip_identity(clip, root, None)
        parts = (sha256(path), READER, config_identity(self._config), boxes, CACHE_VERSION)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @cached_property
    def _source(self) -> PoseSource:
        return self._config.build()


def _length(clip: ClipRecord, root: Path) -> int:
    """Return a clip's number of frames; 0 where it cannot be read, which `read` reports."""
    try:
        return probe(inside(root, clip.path)).frames
    except VideoError:
        return 0


def _join(parts: Sequence[Pose]) -> Pose:
    """Return the poses of consecutive parts of a clip as those of the clip."""
    people = max(part.scores.shape[1] for part in parts)
    padded = [_padded(part, people) for part in parts]
    return Pose(
        np.concatenate([part.keypoints for part in padded]),
        np.concatenate([part.scores for part in padded]),
    )


def _padded(pose: Pose, people: int) -> Pose:
    """Return poses with as many people, those that are added without any known joint."""
    more = (0, people - pose.scores.shape[1])
    return Pose(
        np.pad(pose.keypoints, [(0, 0), more, (0, 0), (0, 0)]),
        np.pad(pose.scores, [(0, 0), more, (0, 0)]),
    )
