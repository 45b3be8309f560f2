"""The input of recognizers of poses: a person's joints over time, relative to the body."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidda.control.control_config import Smoothing
from vidda.control.keypoints import JOINTS, known_joints
from vidda.control.pose import PoseConfig
from vidda.control.sidecar_poses import VISIBLE
from vidda.data.dataset import DrawnClips
from vidda.data.frame_sampling import FrameSamplingConfig, clip_rng
from vidda.data.transforms import TransformConfig
from vidda.recognize.clip_input import OnError, Use, rendered_example
from vidda.recognize.pose_augmentation import PoseAugmentation
from vidda.recognize.pose_normalization import normalize_pose
from vidda.recognize.pose_tracks import PoseReader, PoseTrack
from vidda.recognize.window_clips import window_frames
from vidda.types import ClipRecord, Manifest
from vidda.video import VideoError


@dataclass(frozen=True, slots=True)
class PoseView:
    """Makes a view of a clip's joints, (T, 17, 3) float32: x, y and the score.

    x and y are relative to the body, see `normalize_pose`, and 0 where a joint is unknown.
    threshold: lowest score of a known joint. scores: whether the third value is the joint's score,
    or 1 where it is known; 0 where it is not. augment: random changes, or None.
    """

    threshold: float
    scores: bool
    augment: PoseAugmentation | None = None

    def __call__(
        self,
        points: np.ndarray,
        world: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> torch.Tensor:
        """Return the view of joints.

        points: (T, 17, 3) x, y in pixels, and score. world: (T, 17, 3) in meters, for random
        cameras. rng: decides the random changes; needed with `augment` alone.
        """
        keypoints, scores = points[..., :2].astype(np.float64), points[..., 2]
        scores = np.where(known_joints(scores, self.threshold), scores, 0)
        if self.augment is not None:
            assert rng is not None
            cameras = self.augment.cameras
            if cameras is not None and world is not None and rng.random() < cameras.share:
                keypoints, scores = cameras.project(world, rng), np.ones_like(scores)
            keypoints, scores = self.augment.apply(keypoints, scores, rng)
        third = scores if self.scores else scores > 0
        view = np.concatenate([normalize_pose(keypoints, scores > 0), third[..., None]], axis=2)
        return torch.from_numpy(view.astype(np.float32))


class PoseDataset(DrawnClips):
    """The pose tracks of a manifest's clips.

    manifest, seed, repeats: see `DrawnClips`. sampling: picks the frames of each clip. tracks: of
    the clips, in order, or what is wrong with one.
    """

    def __init__(
        self,
        manifest: Manifest,
        sampling: FrameSamplingConfig,
        tracks: Sequence[PoseTrack | str],
        view: PoseView,
        *,
        seed: int,
        repeats: int,
    ) -> None:
        super().__init__(manifest, seed=seed, repeats=repeats)
        self._sampling = sampling
        self._view = view
        self._faults = {n: one for n, one in enumerate(tracks) if isinstance(one, str)}
        known = [one for one in tracks if isinstance(one, PoseTrack)]
        lengths = [0 if isinstance(one, str) else len(one.scores) for one in tracks]
        self._ends = np.cumsum([0, *lengths])
        # Two tensors, which all workers share, instead of two for each clip.
        self._points = torch.from_numpy(np.concatenate([_points(one) for one in known] or [EMPTY]))
        worlds = [one.world for one in known if one.world is not None]
        self._world = torch.from_numpy(np.concatenate(worlds)) if worlds else None

    def views(self, number: int, draw: int) -> torch.Tensor:
        if number in self._faults:
            raise VideoError(self._faults[number])
        clip, rows = self.manifest.clips[number], slice(*self._ends[number : number + 2].tolist())
        points = self._points[rows].numpy()
        world = None if self._world is None else self._world[rows].numpy()
        windows = self._sampling.pick(len(points), clip_rng(self.seed, draw, clip.id, "frames"))
        rng = clip_rng(self.seed, draw, clip.id, "transform")
        return torch.stack(
            [self._view(points[w], None if world is None else world[w], rng) for w in windows]
        )


EMPTY = np.zeros((0, len(JOINTS), 3), np.float32)


def _points(track: PoseTrack) -> np.ndarray:
    """Return a track's joints as (T, 17, 3) x, y, score."""
    return np.concatenate([track.keypoints, track.scores[..., None]], axis=2)


@dataclass(frozen=True, slots=True)
class PoseInput:
    """Clips as the joints of their main person: a view is (T, 17, 3) float32, see `PoseView`.

    poses: source of the poses. source_poses: that of labeled training clips. smoothing: of each
    joint over time, or None. threshold, scores, augment: see `PoseView`; clips of the target are
    not seen by random cameras, as they have no 3-D joints.
    """

    poses: PoseConfig
    source_poses: PoseConfig
    smoothing: Smoothing | None
    threshold: float
    scores: bool
    augment: PoseAugmentation | None
    name = "poses"
    pixels = False

    def shape(self, sampling: FrameSamplingConfig, transform: TransformConfig) -> tuple[int, ...]:
        return sampling.frames, len(JOINTS), 3

    def dataset(
        self,
        manifest: Manifest,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
        *,
        use: Use = "test",
        seed: int = 0,
        cache: Path | None = None,
        repeats: int = 1,
        on_error: OnError = "error",
    ) -> PoseDataset:
        augment = None if use == "test" else self.augment
        if augment is not None and use == "target":
            augment = augment.model_copy(update={"cameras": None})
        reader = self._reader(
            self.source_poses if use == "source" else self.poses,
            cache,
            world=augment is not None and augment.cameras is not None,
        )
        tracks = reader.read_all(manifest, skip=on_error == "skip")
        view = PoseView(self.threshold, self.scores, augment)
        return PoseDataset(manifest, sampling, tracks, view, seed=seed, repeats=repeats)

    def windows(
        self,
        clip: ClipRecord,
        root: Path,
        spans: np.ndarray,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
    ) -> Iterator[torch.Tensor]:
        one = Manifest(root, (), (clip,))
        (track,) = self._reader(self.poses, None).read_all(one, skip=False)
        assert isinstance(track, PoseTrack)
        for numbers in window_frames(spans, sampling):
            yield self._views(track, numbers)

    def of_frames(
        self,
        frames: np.ndarray,
        name: str,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
    ) -> torch.Tensor:
        track = self._reader(self.poses, None).of_frames(frames, name)
        return self._views(track, sampling.pick(len(frames), clip_rng(0, 0, name, "frames")))

    def example(self, sampling: FrameSamplingConfig, transform: TransformConfig) -> torch.Tensor:
        joints = rendered_example(64).keypoints
        track = PoseTrack(joints[..., :2], joints[..., 2] / VISIBLE)
        return self._views(track, sampling.pick(len(joints), np.random.default_rng(0)))

    def facts(self, transform: TransformConfig) -> dict[str, Any]:
        third = "score" if self.scores else "1"
        return {
            "layout": f"batch, frame, joint, (x, y, {third}); all 0 where the joint is unknown",
            "joints": JOINTS,
            "threshold": self.threshold,
            "normalization": "y downward; x and y minus the middle of the hips in each frame,"
            " divided by the clip's torso length; see vidda.recognize.pose_normalization",
        }

    def _views(self, track: PoseTrack, numbers: np.ndarray) -> torch.Tensor:
        """Return the views of a track's frames, numbers (V, T)."""
        view, points = PoseView(self.threshold, self.scores), _points(track)
        return torch.stack([view(points[window]) for window in numbers])

    def _reader(self, source: PoseConfig, cache: Path | None, *, world: bool = False) -> PoseReader:
        return PoseReader(source, self.smoothing, self.threshold, world=world, cache=cache)
