"""The controls that condition a clip's translation, computed once and then read from a cache."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from vidda.control.array_cache import ArrayCache
from vidda.control.cache_keys import clip_identity, config_identity, frames_digest
from vidda.control.clip_flow import FlowTarget, clip_flow, unpack_flow
from vidda.control.clip_size import SMALLEST_SIDE
from vidda.control.control_config import ControlConfig as ControlConfig
from vidda.control.depth_maps import build_depth_maps
from vidda.control.draw_pose import draw_openpose
from vidda.control.flow import FlowEstimator
from vidda.control.mask import skeleton_mask
from vidda.control.people_masks import SkeletonMasksConfig, build_people_masks
from vidda.control.pose import Pose, PoseSource
from vidda.control.segmentation_maps import build_segmentation_maps
from vidda.control.track import smooth_pose, track_people
from vidda.errors import ViddaError
from vidda.progress import ReportProgress, ignore_progress, share_progress
from vidda.types import ClipRecord

CACHE_VERSION = 2
"""Version of what is computed; raising it makes old cache entries unused."""

NEED_BOXES = ("pose", "mask")
"""Controls for which people's boxes may be read from a clip's manifest row or sidecar."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of one clip of T frames; None where a control was not asked for.

    edges: (T, H, W) uint8. pose: people's keypoints in pixels of the frames. pose_maps: (T, H, W,
    3) uint8 RGB, skeletons in OpenPose's colors. flow_previous, flow_anchor: (T, H, W, 2) float16
    pixels, from frame t to frame t - 1 and to frame 0; row 0 is zero. occluded_previous,
    occluded_anchor: (T, H, W) bool, the pixels of frame t that have no counterpart there; row 0 is
    False. depth: (T, H, W) uint8, 255 is nearest, see `vidda.control.depth_maps.depth_image`.
    segmentation: (T, H, W, 3) uint8 RGB in ADE20K's colors. mask: (T, H, W) bool, the pixels of
    people.
    """

    edges: np.ndarray | None
    pose: Pose | None
    pose_maps: np.ndarray | None
    flow_previous: np.ndarray | None
    flow_anchor: np.ndarray | None
    occluded_previous: np.ndarray | None
    occluded_anchor: np.ndarray | None
    depth: np.ndarray | None = None
    segmentation: np.ndarray | None = None
    mask: np.ndarray | None = None


class MapSource(Protocol):
    """A source of depth images, segmentation images or masks."""

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> np.ndarray:
        """Return one image for each frame, (T, H, W) or (T, H, W, 3).

        Arguments as of `ControlReader.read`. Raises ViddaError where there are none.
        """
        ...


BUILDERS: dict[str, Callable[[Any], MapSource]] = {
    "depth": build_depth_maps,
    "segmentation": build_segmentation_maps,
    "mask": build_people_masks,
}
"""The function that builds a source from its config, by the key of `ControlConfig`."""


@dataclass(frozen=True, slots=True)
class _ClipFrames:
    """Frames of a clip; arguments as of `ControlReader.read`. content: their digest for the cache,
    empty where there is none.
    """

    frames: np.ndarray
    clip: ClipRecord
    root: Path
    indices: np.ndarray | None
    content: str


class ControlReader:
    """A reader of clips' controls, which computes each control once and keeps it in a cache.

    config: the controls. cache: a folder that several processes and runs may share, or None. flows:
    frames that optical flow points to, where the config has flow. Models are loaded when a clip
    first needs them. Raises ViddaError where the cache cannot be written, and where skeletons are
    to be drawn without poses.
    """

    def __init__(
        self,
        config: ControlConfig,
        cache: Path | None,
        flows: Collection[FlowTarget] = ("previous", "anchor"),
    ) -> None:
        if isinstance(config.mask, SkeletonMasksConfig) and config.pose is None:
            raise ViddaError(
                "mask.name skeleton is drawn from poses, and pose is null; choose pose.name"
            )
        self.config = config
        self._targets = flows if config.flow is not None else ()
        self._cache = None if cache is None else ArrayCache(cache)
        self._map_sources: dict[str, MapSource] = {}
        self._identities: dict[str, str] = {}

    def load(self) -> None:
        """Load the models now, so that a mistake is reported before the first clip.

        Raises ViddaError when a model or its device is not available.
        """
        if self.config.pose is not None:
            _ = self._pose_source
        for kind in BUILDERS:
            if self._reads(kind):
                self._map_source(kind)
        if self.config.flow is not None:
            _ = self._flow

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        *,
        flow_rows: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> Controls:
        """Return the controls of frames of a clip, at the frames' size.

        frames: (T, H, W, 3) uint8 RGB, T at least 1, uncropped. clip, root: the clip that the
        frames are of, and its manifest's root. indices: (T,) numbers of the frames in the clip,
        from 0; None: all of them, in order. flow_rows: numbers in 0..T-1 of the frames whose flow
        is computed, the others' being zero; None: all. report_progress: called with the number of
        frames done since the last call; a frame is done when all slow steps are done with it.

        Raises ViddaError when the frames are too small, and when a source has nothing for them.
        """
        height, width = frames.shape[1:3]
        if min(height, width) < SMALLEST_SIDE:
            raise ViddaError(
                f"clip {clip.id!r}: frames of {width}x{height} pixels; controls need at least"
                f" {SMALLEST_SIDE} a side"
            )
        config = self.config
        content = "" if self._cache is None else frames_digest(frames)
        given = _ClipFrames(frames, clip, root, indices, content)
        whole_flow = flow_rows is None and bool(self._targets)
        counted = share_progress(report_progress, len(config.estimated) + whole_flow)
        pose = self._pose(given, counted)
        maps = {kind: self._map(kind, given, counted) for kind in BUILDERS if self._reads(kind)}
        if pose is not None and isinstance(config.mask, SkeletonMasksConfig):
            maps["mask"] = skeleton_mask(pose, height, width, config.threshold)
        flow: dict[FlowTarget, tuple[np.ndarray, np.ndarray]] = {}
        for target in self._targets:
            # The first flow is counted alone; that of some rows takes little time.
            reported = counted if whole_flow and not flow else ignore_progress
            flow[target] = self._flow_to(target, given, flow_rows, reported)
        (previous, hidden), (anchor, hidden_anchor) = (
            flow.get(target, (None, None)) for target in ("previous", "anchor")
        )
        return Controls(
            edges=self._edges(given),
            pose=pose,
            pose_maps=None
            if pose is None
            else draw_openpose(pose, height, width, config.threshold, config.line_width),
            flow_previous=previous,
            flow_anchor=anchor,
            occluded_previous=hidden,
            occluded_anchor=hidden_anchor,
            **maps,
        )

    def _edges(self, given: _ClipFrames) -> np.ndarray | None:
        config = self.config.edges
        if config is None:
            return None
        key = self._key("edges", given)
        return self._cached(key, lambda: {"edges": config.edges(given.frames)})["edges"]

    def _pose(self, given: _ClipFrames, report_progress: ReportProgress) -> Pose | None:
        if self.config.pose is None:
            return None

        def estimate() -> Mapping[str, np.ndarray]:
            found = self._pose_source.estimate(
                given.frames, None, given.clip, given.root, given.indices, report_progress
            )
            return {"keypoints": found.keypoints, "scores": found.scores}

        if "pose" in self.config.from_sidecars:
            found = estimate()  # a file already, so not cached
        else:
            found = self._cached(self._key("pose", given), estimate)
        pose = track_people(Pose(found["keypoints"], found["scores"]))
        smoothing = self.config.smoothing
        if smoothing is None:
            return pose
        return smooth_pose(pose, self.config.threshold, smoothing.longest_gap, smoothing.window)

    def _map(self, kind: str, given: _ClipFrames, report_progress: ReportProgress) -> np.ndarray:
        """Return depth images, segmentation images or masks; kind: the key of the config."""

        def make() -> Mapping[str, np.ndarray]:
            source = self._map_source(kind)
            return {
                kind: source.read(
                    given.frames, given.clip, given.root, given.indices, report_progress
                )
            }

        if kind in self.config.from_sidecars:
            return make()[kind]
        return self._cached(self._key(kind, given), make)[kind]

    def _flow_to(
        self,
        target: FlowTarget,
        given: _ClipFrames,
        wanted: np.ndarray | None,
        report_progress: ReportProgress,
    ) -> tuple[np.ndarray, np.ndarray]:
        key: tuple[str, ...] = (f"flow to {target}", given.content, self._identity("flow"))
        if wanted is not None:
            key += (repr(wanted.tolist()),)
        kept = self._cached(
            key, lambda: clip_flow(self._flow, given.frames, target, wanted, report_progress)
        )
        return unpack_flow(kept["steps"]), kept["occluded"]

    def _key(self, kind: str, given: _ClipFrames) -> tuple[str, ...]:
        """Return all that decides a control. kind: its key in the config."""
        key = (kind, given.content, self._identity(kind))
        if kind not in NEED_BOXES:
            return key
        return (*key, clip_identity(given.clip, given.root, given.indices))

    def _cached(
        self, key: tuple[str, ...], make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        """Return the arrays of `make()`, from the cache where there is one."""
        if self._cache is None:
            return make()
        whole = repr((*key, CACHE_VERSION, cv2.__version__))
        return self._cache.get_or_compute(hashlib.sha256(whole.encode()).hexdigest(), make)

    def _reads(self, kind: str) -> bool:
        """Return whether the config has a source of a kind in `BUILDERS`."""
        config = getattr(self.config, kind)
        return not (config is None or isinstance(config, SkeletonMasksConfig))

    def _map_source(self, kind: str) -> MapSource:
        if kind not in self._map_sources:
            self._map_sources[kind] = BUILDERS[kind](getattr(self.config, kind))
        return self._map_sources[kind]

    def _identity(self, kind: str) -> str:
        """Return the identity of a control's config, whose files are read once."""
        if kind not in self._identities:
            self._identities[kind] = config_identity(getattr(self.config, kind))
        return self._identities[kind]

    @cached_property
    def _pose_source(self) -> PoseSource:
        assert self.config.pose is not None
        return self.config.pose.build()

    @cached_property
    def _flow(self) -> FlowEstimator:
        assert self.config.flow is not None
        return self.config.flow.build()
