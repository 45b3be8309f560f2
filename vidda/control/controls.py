"""All that conditions the translation of a clip, computed once and then read from a cache."""

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
from vidda.control.clip_flow import Target, clip_flow, unpacked
from vidda.control.draw_pose import draw_openpose
from vidda.control.edges import CannyEdges, EdgeConfig
from vidda.control.flow import DisConfig, Flow, FlowConfig
from vidda.control.keypoints import THRESHOLD
from vidda.control.pose import Pose, PoseConfig, PoseSource
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.control.track import smooth, track
from vidda.errors import ViddaError
from vidda.files import sha256
from vidda.progress import Passed, unseen
from vidda.sidecar import path_of
from vidda.types import ClipRecord

VERSION = 1
"""Of what is computed; a higher one leaves everything in old caches aside."""

SMALLEST = 16
"""Pixels a side, below which there is no optical flow."""

NOT_IN_KEY = {"device", "download"}
"""Keys of configs that change how a thing is computed, but not what it is."""

CONFIG_SUFFIXES = (".py", ".json", ".yaml")
"""Of a model of mmpose that is a file of the user's."""


class Smoothing(Config):
    """How missing joints are filled and paths smoothed; see `vidda.control.track.smooth`."""

    longest_gap: int | None = Field(
        default=15, ge=1, description="most frames that a joint is filled over; null: any number"
    )
    window: int = Field(default=5, ge=1, description="frames smoothed over; 1: none")

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError(f"{window} is even; take {window + 1}, which has a middle frame")
        return window


class ControlConfig(Config):
    """Which controls are computed, and how."""

    edges: EdgeConfig | None = Field(default=CannyEdges(), description="edge maps; null: none")
    pose: PoseConfig | None = Field(
        default=None, description="where the poses come from; null: no poses"
    )
    flow: FlowConfig | None = Field(
        default=DisConfig(),
        description="optical flow to the previous and the first frame; null: none",
    )
    smoothing: Smoothing | None = Field(
        default=Smoothing(), description="of each person's track over time; null: none"
    )
    threshold: float = Field(
        default=THRESHOLD,
        ge=0,
        le=1,
        description="joints with a lower score are unknown: not drawn, not in masks, not judged",
    )
    line_width: float = Field(
        default=1.0,
        gt=0,
        description="of the skeletons, relative to what models were trained on",
    )


@dataclass(frozen=True, slots=True)
class Controls:
    """What conditions the translation of one clip of T frames; None where it was not asked for.

    edges: (T, H, W) uint8. pose: people's keypoints in pixels of the frames. pose_maps: (T, H, W,
    3) uint8 RGB, drawn in OpenPose's way. flow_previous, flow_anchor: (T, H, W, 2) float16 pixels,
    from frame f to frame f - 1 and to frame 0; row 0 is zero. occluded_previous, occluded_anchor:
    (T, H, W) bool, the pixels of frame f that have no counterpart there; row 0 is False.
    """

    edges: np.ndarray | None
    pose: Pose | None
    pose_maps: np.ndarray | None
    flow_previous: np.ndarray | None
    flow_anchor: np.ndarray | None
    occluded_previous: np.ndarray | None
    occluded_anchor: np.ndarray | None


class ControlReader:
    """Computes the controls of clips, each once.

    config: which ones. cache: a folder that several processes and runs may share, or None. flows:
    which optical flow, where the config has any. Models are loaded when a clip first needs them.
    Raises ViddaError where the cache cannot be written.
    """

    def __init__(
        self,
        config: ControlConfig,
        cache: Path | None,
        flows: Collection[Target] = ("previous", "anchor"),
    ) -> None:
        self.config = config
        self._targets = flows if config.flow is not None else ()
        self._cache = None if cache is None else ArrayCache(cache)

    def load(self) -> None:
        """Load the models now, so that what is wrong with them is said before the first clip.

        Raises ViddaError.
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
        passed: Passed = unseen,
    ) -> Controls:
        """Return the controls of frames of a clip, at the frames' size.

        frames: (T, H, W, 3) uint8 RGB, T at least 1, the whole picture. clip, root: which clip of
        which manifest's root they are of. indices: (T,) which of the clip's frames, from 0; None:
        all of them, in order. flow_rows: which of the frames have their flow computed, the others'
        being zero; None: all. passed: called with how many frames more are done.
        Raises ViddaError when the frames are too small or the pose source
        fails.
        """
        height, width = frames.shape[1:3]
        if min(height, width) < SMALLEST:
            raise ViddaError(
                f"clip {clip.id!r}: frames of {width}x{height} pixels; controls need at least"
                f" {SMALLEST} a side"
            )
        content = "" if self._cache is None else _digest(frames)
        edges = self._edges(content, frames)
        pose = self._pose(content, frames, clip, root, indices, passed)
        # Poses take longest; without them it is the flow whose frames are counted.
        counted = passed if self.config.pose is None and flow_rows is None else unseen
        flow = {}
        for target in self._targets:
            flow[target] = self._flow_to(target, content, frames, flow_rows, counted)
            counted = unseen
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
        return self._kept(key, lambda: {"edges": config.edges(frames)})["edges"]

    def _pose(
        self,
        content: str,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None,
        passed: Passed,
    ) -> Pose | None:
        if self.config.pose is None:
            return None

        def estimate() -> Mapping[str, np.ndarray]:
            found = self._pose_source.estimate(frames, None, clip, root, indices, passed)
            return {"keypoints": found.keypoints, "scores": found.scores}

        if isinstance(self.config.pose, SidecarPosesConfig):
            found = estimate()  # is a file already
        else:
            # Boxes may come from the manifest or the sidecar.
            beside = path_of(clip, root)
            boxes = sha256(beside) if beside.is_file() else ""
            numbers = None if indices is None else indices.tolist()
            where = (clip.path, sorted(clip.meta.items()), boxes, numbers)
            found = self._kept(("pose", content, self._pose_identity, repr(where)), estimate)
        pose = track(Pose(found["keypoints"], found["scores"]))
        how = self.config.smoothing
        if how is None:
            return pose
        return smooth(pose, self.config.threshold, how.longest_gap, how.window)

    def _flow_to(
        self,
        target: Target,
        content: str,
        frames: np.ndarray,
        wanted: np.ndarray | None,
        passed: Passed,
    ) -> tuple[np.ndarray, np.ndarray]:
        key: tuple[str, ...] = (f"flow to {target}", content, self._flow_identity)
        if wanted is not None:
            key += (repr(wanted.tolist()),)
        kept = self._kept(key, lambda: clip_flow(self._flow, frames, target, wanted, passed))
        return unpacked(kept["steps"]), kept["occluded"]

    def _kept(
        self, key: tuple[str, ...], make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        if self._cache is None:
            return make()
        whole = repr((*key, VERSION, cv2.__version__))
        return self._cache.arrays(hashlib.sha256(whole.encode()).hexdigest(), make)

    @cached_property
    def _pose_source(self) -> PoseSource:
        assert self.config.pose is not None
        return self.config.pose.build()

    @cached_property
    def _flow(self) -> Flow:
        assert self.config.flow is not None
        return self.config.flow.build()

    @cached_property
    def _edges_identity(self) -> str:
        return identity(self.config.edges)

    @cached_property
    def _pose_identity(self) -> str:
        return identity(self.config.pose)

    @cached_property
    def _flow_identity(self) -> str:
        return identity(self.config.flow)


def identity(config: Config | None) -> str:
    """What decides the results of a config, as text: its values, and its files' contents.

    Where the files are does not enter, nor the device.
    """
    return json.dumps(_plain(config), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return {name: _plain(below) for name, below in value if name not in NOT_IN_KEY}
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(CONFIG_SUFFIXES)):
        file = Path(value).expanduser()
        return sha256(file) if file.is_file() else str(value)
    return value


def _digest(frames: np.ndarray) -> str:
    """Return hex digest of frames and their size."""
    digest = hashlib.sha256(repr(frames.shape).encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()
