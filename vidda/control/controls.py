"""The controls that condition a clip's translation, computed once and then read from a cache."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import Field, field_validator

from vidda.config import Config
from vidda.control.array_cache import ArrayCache
from vidda.control.clip_flow import FlowTarget, clip_flow, unpack_flow
from vidda.control.draw_pose import draw_openpose
from vidda.control.edges import CannyEdges, EdgeConfig
from vidda.control.flow import DisConfig, FlowConfig, FlowEstimator
from vidda.control.keypoints import THRESHOLD
from vidda.control.pose import Pose, PoseConfig, PoseSource
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.control.track import smooth_pose, track_people
from vidda.errors import ViddaError
from vidda.files import sha256
from vidda.progress import ReportProgress, ignore_progress
from vidda.sidecar import sidecar_path
from vidda.types import ClipRecord

CACHE_VERSION = 1
"""Version of what is computed; raising it makes old cache entries unused."""

SMALLEST_SIDE = 16
"""Fewest pixels a side of a frame; optical flow needs as many."""

NOT_IN_KEY = {"device", "download"}
"""Config keys that do not change the results, and so are left out of cache keys."""

CONFIG_SUFFIXES = (".py", ".json", ".yaml")
"""File name endings of mmpose configs that are the user's own files."""

MODEL_SUFFIXES = (".safetensors", ".json", ".tflite")
"""File name endings in a folder of a model."""


class Smoothing(Config):
    """Filling of missing joints and smoothing of their paths; see
    `vidda.control.track.smooth_pose`.
    """

    longest_gap: int | None = Field(
        default=15, ge=1, description="longest gap in frames that is filled; null: any length"
    )
    window: int = Field(
        default=5, ge=1, description="frames that a path is smoothed over, odd; 1: no smoothing"
    )

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError(f"{window} is even; take {window + 1}, which has a middle frame")
        return window


class ControlConfig(Config):
    """The controls to compute for a clip: edges, pose and optical flow."""

    edges: EdgeConfig | None = Field(default=CannyEdges(), description="edge maps; null: none")
    pose: PoseConfig | None = Field(default=None, description="source of the poses; null: no poses")
    flow: FlowConfig | None = Field(
        default=DisConfig(),
        description="optical flow to the previous and the first frame; null: none",
    )
    smoothing: Smoothing | None = Field(
        default=Smoothing(), description="smoothing of each person's joints over time; null: none"
    )
    threshold: float = Field(
        default=THRESHOLD,
        ge=0,
        le=1,
        description="lowest score of a known joint; others are left out of drawings, masks and PCK",
    )
    line_width: float = Field(
        default=1.0,
        gt=0,
        description="line width of the skeletons, relative to those that models were trained on",
    )


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of one clip of T frames; None where a control was not asked for.

    edges: (T, H, W) uint8. pose: people's keypoints in pixels of the frames. pose_maps: (T, H, W,
    3) uint8 RGB, skeletons in OpenPose's colors. flow_previous, flow_anchor: (T, H, W, 2) float16
    pixels, from frame t to frame t - 1 and to frame 0; row 0 is zero. occluded_previous,
    occluded_anchor: (T, H, W) bool, the pixels of frame t that have no counterpart there; row 0 is
    False.
    """

    edges: np.ndarray | None
    pose: Pose | None
    pose_maps: np.ndarray | None
    flow_previous: np.ndarray | None
    flow_anchor: np.ndarray | None
    occluded_previous: np.ndarray | None
    occluded_anchor: np.ndarray | None


class ControlReader:
    """A reader of clips' controls, which computes each control once and keeps it in a cache.

    config: the controls. cache: a folder that several processes and runs may share, or None. flows:
    frames that optical flow points to, where the config has flow. Models are loaded when a clip
    first needs them. Raises ViddaError where the cache cannot be written.
    """

    def __init__(
        self,
        config: ControlConfig,
        cache: Path | None,
        flows: Collection[FlowTarget] = ("previous", "anchor"),
    ) -> None:
        self.config = config
        self._targets = flows if config.flow is not None else ()
        self._cache = None if cache is None else ArrayCache(cache)

    def load(self) -> None:
        """Load the models now, so that a mistake is reported before the first clip.

        Raises ViddaError when a model or its device is not available.
        """
        if self.config.pose is not None:
            _ = self._pose_source
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
        frames done since the last call.

        Raises ViddaError when the frames are too small or the pose source fails.
        """
        height, width = frames.shape[1:3]
        if min(height, width) < SMALLEST_SIDE:
            raise ViddaError(
                f"clip {clip.id!r}: frames of {width}x{height} pixels; controls need at least"
                f" {SMALLEST_SIDE} a side"
            )
        content = "" if self._cache is None else _frames_digest(frames)
        edges = self._edges(content, frames)
        pose = self._pose(content, frames, clip, root, indices, report_progress)
        # Progress counts the slowest step: poses, else the first flow.
        counted = (
            report_progress if self.config.pose is None and flow_rows is None else ignore_progress
        )
        flow = {}
        for target in self._targets:
            flow[target] = self._flow_to(target, content, frames, flow_rows, counted)
            counted = ignore_progress
        (previous, hidden), (anchor, hidden_anchor) = (
            flow.get(target, (None, None)) for target in ("previous", "anchor")
        )
        config = self.config
        return Controls(
            edges=edges,
            pose=pose,
            pose_maps=None
            if pose is None
            else draw_openpose(pose, height, width, config.threshold, config.line_width),
            flow_previous=previous,
            flow_anchor=anchor,
            occluded_previous=hidden,
            occluded_anchor=hidden_anchor,
        )

    def _edges(self, content: str, frames: np.ndarray) -> np.ndarray | None:
        config = self.config.edges
        if config is None:
            return None
        key = ("edges", content, self._edges_identity)
        return self._cached(key, lambda: {"edges": config.edges(frames)})["edges"]

    def _pose(
        self,
        content: str,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None,
        report_progress: ReportProgress,
    ) -> Pose | None:
        if self.config.pose is None:
            return None

        def estimate() -> Mapping[str, np.ndarray]:
            found = self._pose_source.estimate(frames, None, clip, root, indices, report_progress)
            return {"keypoints": found.keypoints, "scores": found.scores}

        if isinstance(self.config.pose, SidecarPosesConfig):
            found = estimate()  # a file already, so not cached
        else:
            # Boxes may come from the manifest or the sidecar, so both are part of the key.
            beside = sidecar_path(clip, root)
            boxes = sha256(beside) if beside.is_file() else ""
            numbers = None if indices is None else indices.tolist()
            where = (clip.path, sorted(clip.meta.items()), boxes, numbers)
            found = self._cached(("pose", content, self._pose_identity, repr(where)), estimate)
        pose = track_people(Pose(found["keypoints"], found["scores"]))
        smoothing = self.config.smoothing
        if smoothing is None:
            return pose
        return smooth_pose(pose, self.config.threshold, smoothing.longest_gap, smoothing.window)

    def _flow_to(
        self,
        target: FlowTarget,
        content: str,
        frames: np.ndarray,
        wanted: np.ndarray | None,
        report_progress: ReportProgress,
    ) -> tuple[np.ndarray, np.ndarray]:
        key: tuple[str, ...] = (f"flow to {target}", content, self._flow_identity)
        if wanted is not None:
            key += (repr(wanted.tolist()),)
        kept = self._cached(
            key, lambda: clip_flow(self._flow, frames, target, wanted, report_progress)
        )
        return unpack_flow(kept["steps"]), kept["occluded"]

    def _cached(
        self, key: tuple[str, ...], make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        """Return the arrays of `make()`, from the cache where there is one."""
        if self._cache is None:
            return make()
        whole = repr((*key, CACHE_VERSION, cv2.__version__))
        return self._cache.get_or_compute(hashlib.sha256(whole.encode()).hexdigest(), make)

    @cached_property
    def _pose_source(self) -> PoseSource:
        assert self.config.pose is not None
        return self.config.pose.build()

    @cached_property
    def _flow(self) -> FlowEstimator:
        assert self.config.flow is not None
        return self.config.flow.build()

    @cached_property
    def _edges_identity(self) -> str:
        return config_identity(self.config.edges)

    @cached_property
    def _pose_identity(self) -> str:
        return config_identity(self.config.pose)

    @cached_property
    def _flow_identity(self) -> str:
        return config_identity(self.config.flow)


def config_identity(config: Config | None) -> str:
    """Return as JSON text all that decides a config's results: its values and its files' contents.

    The locations of the files and the device are left out.
    """
    return json.dumps(_plain(config), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return {name: _plain(item) for name, item in value if name not in NOT_IN_KEY}
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(CONFIG_SUFFIXES)):
        place = Path(value).expanduser()
        if place.is_dir():
            files = [one for one in sorted(place.iterdir()) if one.suffix in MODEL_SUFFIXES]
            return {one.name: sha256(one) for one in files} or str(value)
        return sha256(place) if place.is_file() else str(value)
    return value


def _frames_digest(frames: np.ndarray) -> str:
    """Return the SHA-256 of frames and their shape, as hex digits."""
    digest = hashlib.sha256(repr(frames.shape).encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()
