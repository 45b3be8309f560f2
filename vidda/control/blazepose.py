"""BlazePose as a source of poses, of people's boxes and of their masks, on the CPU.

It finds people by their faces and torsos, so small people and those seen from above need a detector
first: `boxes.name=detector`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, tee
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
from vidda.control.blazepose_networks import BlazePerson, BlazePoseNetworks, box_region
from vidda.control.blazepose_people import PersonScore, follow_people
from vidda.control.boxes import BoxConfig
from vidda.control.keypoints import JOINTS, NobodyError, Pose
from vidda.progress import ReportProgress, ignore_progress
from vidda.types import ClipRecord

COCO_POINTS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Of BlazePose's 33 points, those that are COCO's joints, in COCO's order."""


class BlazePoseConfig(Config):
    """BlazePose (arXiv 2006.10204) in TensorFlow Lite, on the CPU; also gives people's masks."""

    name: Literal["blazepose"] = Field(default="blazepose", description="BlazePose")
    weights: Path = Field(
        default=Path("weights/blazepose"),
        description="folder of its two .tflite files, which vidda weights blazepose fetches",
    )
    boxes: BoxConfig | None = Field(
        default=None, description="source of the people's boxes; null: its own detector"
    )
    people: Count = Field(
        default=1, description="most people per frame by its own detector; the surest are kept"
    )
    detected: PersonScore = Field(default=0.5, description="lowest score of a detected person")
    followed: PersonScore = Field(
        default=0.5, description="lowest score of a person in a crop, else they count as absent"
    )
    threads: Count = Field(default=1, description="threads of each network")

    def build(self) -> "BlazePose":
        """Return the loaded estimator; raises ViddaError where ai-edge-litert or a file is not
        there.
        """
        return BlazePose(self)


class BlazePose:
    """BlazePose, opened for inference."""

    def __init__(self, config: BlazePoseConfig) -> None:
        self.config = config
        self._boxes = None if config.boxes is None else config.boxes.build()
        self._networks = BlazePoseNetworks(config.weights, config.threads)

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

        A joint's score is the probability that it is in the picture and not hidden.
        """
        if boxes is None and self._boxes is not None:
            boxes = self._boxes.find(frames, clip, root, indices)
        inspected: Iterator[Sequence[BlazePerson | None]] = (
            self._followed(frames, count() if indices is None else indices.tolist())
            if boxes is None
            else (
                [self._in_box(frame, box) for box in row]
                for frame, row in zip(frames, boxes, strict=True)
            )
        )
        found = []
        for people in inspected:
            # Of each person only the joints are kept: the masks of a long clip would fill memory.
            found.append([_coco_joints(person) for person in people])
            report_progress(1)
        joints = np.zeros(
            (len(frames), max(map(len, found), default=0), len(JOINTS), 3), np.float32
        )
        for row, own in zip(joints, found, strict=True):
            row[: len(own)] = np.reshape(own, (-1, len(JOINTS), 3))
        if not joints[..., 2].any():
            raise NobodyError(
                f"clip {clip.id!r}: BlazePose finds nobody in {len(frames)} frames; small people"
                " need a detector first: pose.boxes.name=detector"
            )
        return Pose(joints[..., :2], joints[..., 2])

    def find_masks(
        self,
        frames: Iterable[np.ndarray],
        clip: ClipRecord,
        root: Path,
        indices: Iterable[int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the masks of the people in each frame, (P, H, W) float32.

        Arguments and result as in `vidda.control.mask_source.MaskSource.find_masks`.
        """
        for masks, _ in self.find_people(frames, clip, root, indices):
            yield masks

    def stream_joints(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path
    ) -> Iterator[np.ndarray]:
        """Yield the joints of the people in each frame, (P, 17, 3) float32 x, y, score.

        Arguments as in `vidda.control.clip_estimators.JointSource.stream_joints`.
        """
        for people in self._inspect(frames, clip, root):
            yield _joints_of(people)

    def find_people(
        self,
        frames: Iterable[np.ndarray],
        clip: ClipRecord,
        root: Path,
        indices: Iterable[int] | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the masks and the joints of the people in each frame, by one run of the networks.

        Arguments as in `find_masks`. The masks are (P, H, W), the joints (P, 17, 3), as there and
        in `stream_joints`.
        """
        frames, inspected = tee(frames)
        for frame, people in zip(
            frames, self._inspect(inspected, clip, root, indices), strict=True
        ):
            masks = [person.mask(*frame.shape[:2]) for person in people]
            yield np.array(masks, np.float32).reshape(-1, *frame.shape[:2]), _joints_of(people)

    def _inspect(
        self,
        frames: Iterable[np.ndarray],
        clip: ClipRecord,
        root: Path,
        indices: Iterable[int] | None = None,
    ) -> Iterator[list[BlazePerson]]:
        """Yield the people who are found in each frame."""
        numbers = count() if indices is None else indices
        found = (
            self._in_boxes(frames, clip, root, numbers)
            if self._boxes
            else self._followed(frames, numbers)
        )
        for people in found:
            yield [person for person in people if person is not None]

    def _followed(
        self, frames: Iterable[np.ndarray], numbers: Iterable[int]
    ) -> Iterator[Sequence[BlazePerson | None]]:
        config = self.config
        return follow_people(
            self._networks, frames, numbers, config.people, config.detected, config.followed
        )

    def _in_boxes(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path, indices: Iterable[int]
    ) -> Iterator[Sequence[BlazePerson | None]]:
        """Yield the people in the boxes of each frame, of which boxes are asked one by one.

        indices: numbers of the frames in the clip, as many or more.
        """
        assert self._boxes is not None
        for frame, t in zip(frames, indices, strict=False):
            try:
                boxes = self._boxes.find(frame[None], clip, root, np.array([t]))[0]
            except NobodyError:
                boxes = np.empty((0, 4))
            yield [self._in_box(frame, box) for box in boxes]

    def _in_box(self, frame: np.ndarray, box: np.ndarray) -> BlazePerson | None:
        if not np.isfinite(box).all():
            return None
        # A box is a guess of the region: the points that it gives show where the person is.
        guess = self._networks.person(frame, box_region(box))
        found = self._networks.person(frame, guess.next_region)
        best = max(guess, found, key=lambda person: person.score)
        return best if best.score >= self.config.followed else None


def _coco_joints(person: BlazePerson | None) -> np.ndarray:
    """Return COCO's joints of a person, (17, 3) x, y, visibility; all 0 for nobody."""
    if person is None:
        return np.zeros((len(JOINTS), 3), np.float32)
    return np.column_stack([person.points, person.visibility])[list(COCO_POINTS)]


def _joints_of(people: Sequence[BlazePerson]) -> np.ndarray:
    """Return COCO's joints of people, (P, 17, 3) float32 x, y, visibility."""
    joints = np.array([_coco_joints(person) for person in people], np.float32)
    return joints.reshape(-1, len(JOINTS), 3)
