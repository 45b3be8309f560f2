"""Batched top-down pose estimation over all people in all frames of a clip."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, tee
from pathlib import Path

import numpy as np

from vidda.control.blazepose_people import BlazePoseDetector
from vidda.control.boxes import BoxConfig
from vidda.control.detected_people import pad_boxes
from vidda.control.keypoints import JOINTS, NobodyError, Pose
from vidda.progress import ReportProgress, ignore_progress
from vidda.types import ClipRecord

PosePredictor = Callable[[list[np.ndarray], np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A function of N frames (H, W, 3) and a box in each (N, 4), which returns joints (N, 17, 2) in
pixels of the frames and their scores (N, 17)."""

WINDOW = 8
"""Frames of a streamed clip that are inspected together, and so are in memory at a time."""


class TopDownPoses(ABC):
    """A source of poses that looks at each person's box: the base of the top-down models.

    boxes: source of the boxes. batch: people that the model takes at a time.
    """

    def __init__(self, boxes: BoxConfig, batch: int) -> None:
        self._boxes = boxes.build()
        self._batch = batch

    def estimate(
        self,
        frames: np.ndarray,
        boxes: np.ndarray | None,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> Pose:
        """Return the poses in frames of a clip; arguments as in
        `vidda.control.pose.PoseSource.estimate`.
        """
        if boxes is None:
            boxes = self._boxes.find(frames, clip, root, indices)
        return estimate_people(frames, boxes, self._batch, self._predict, report_progress)

    def stream_joints(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path
    ) -> Iterator[np.ndarray]:
        """Yield the joints of the people in each frame, (P, 17, 3) float32 x, y, score.

        Arguments as in `vidda.control.clip_estimators.JointSource.stream_joints`.
        """
        boxes: Iterator[np.ndarray] | None = None
        if isinstance(self._boxes, BlazePoseDetector):
            # It follows people from frame to frame, so windows would lose them.
            frames, followed = tee(frames)
            boxes = self._boxes.follow(followed)
        remaining, start = iter(frames), 0
        while window := list(islice(remaining, WINDOW)):
            stacked, numbers = np.stack(window), np.arange(start, start + len(window))
            if boxes is not None:
                found = pad_boxes(list(islice(boxes, len(window))))
            else:
                found = self._window_boxes(stacked, clip, root, numbers)
            pose = estimate_people(stacked, found, self._batch, self._predict, ignore_progress)
            yield from np.concatenate([pose.keypoints, pose.scores[..., None]], axis=3)
            start += len(window)

    def _window_boxes(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, numbers: np.ndarray
    ) -> np.ndarray:
        """Return the boxes (T, P, 4) in some frames of a clip, of nobody where nobody is found."""
        try:
            return self._boxes.find(frames, clip, root, numbers)
        except NobodyError:
            return np.empty((len(frames), 0, 4), np.float32)

    @abstractmethod
    def _predict(
        self, frames: list[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return COCO's joints (N, 17, 2) in pixels and their scores (N, 17) of one person in each
        of N frames.
        """
        ...


def estimate_people(
    frames: np.ndarray,
    boxes: np.ndarray,
    batch: int,
    predict: PosePredictor,
    report_progress: ReportProgress,
) -> Pose:
    """Return the poses of all people, predicted `batch` at a time, across frames.

    frames: (T, H, W, 3) uint8 RGB. boxes: (T, P, 4) in pixels, NaN where a person is absent, whose
    scores are 0. predict: the model. report_progress: called with the number of frames done since
    the last call.
    """
    keypoints = np.zeros((*boxes.shape[:2], len(JOINTS), 2), np.float32)
    scores = np.zeros(keypoints.shape[:3], np.float32)
    done = 0
    frame_numbers, people = np.nonzero(np.isfinite(boxes).all(axis=2))
    for start in range(0, len(frame_numbers), batch):
        t, p = frame_numbers[start : start + batch], people[start : start + batch]
        keypoints[t, p], predicted = predict([frames[frame] for frame in t], boxes[t, p])
        # RTMPose's scores may lie a little outside [0, 1].
        scores[t, p] = np.clip(predicted, 0.0, 1.0)
        report_progress(int(t[-1]) - done)
        done = int(t[-1])
    report_progress(len(frames) - done)
    return Pose(keypoints, scores)
