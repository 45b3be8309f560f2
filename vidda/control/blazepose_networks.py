"""BlazePose's two networks in TensorFlow Lite: a person detector, and 33 points of one person.

The detector finds the middle of a person's hips and a circle around the person; the second network
gets a square crop of that circle, turned upright, and gives the points in the picture and in
meters, and a mask. Positions are in pixels, whole numbers at the centers of pixels.

Source: Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020 (arXiv
2006.10204), and the model cards of the two files, which the package mediapipe 0.10.21 carries.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.special import expit

from vidda.errors import ViddaError

DETECTOR, LANDMARKS = "pose_detection.tflite", "pose_landmark_full.tflite"

DETECTOR_SIDE, LANDMARK_SIDE = 224, 256
"""Pixels a side of the two networks' inputs."""

GRIDS = ((28, 2), (14, 2), (7, 6))
"""The detector's outputs: cells a side of each grid, and candidates of each cell."""

CIRCLE_SCALE = 1.25
"""Side of the crop relative to the diameter of the circle around a person."""

SAME_PERSON = 0.3
"""Overlap of two candidates' boxes (intersection over union) from which they are one person."""

POINTS = 33
HIPS_POINT, CIRCLE_POINT = 33, 34
"""Two further points of the second network: the circle's center and a point on it, for the next
crop."""


@dataclass(frozen=True, slots=True)
class CropRegion:
    """A square region of a picture. center: (2,) x, y in pixels. side: in pixels.

    angle: by which its upright is turned, in radians, clockwise in the picture.
    """

    center: np.ndarray
    side: float
    angle: float

    @property
    def matrix(self) -> np.ndarray:
        """Return the affine map, (2, 3), from pixels of the network's input to the picture's."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cosine, -sine], [sine, cosine]]) * self.side / LANDMARK_SIDE
        middle = (LANDMARK_SIDE - 1) / 2
        return np.column_stack([turn, self.center - turn @ [middle, middle]])


@dataclass(frozen=True, slots=True)
class BlazePerson:
    """One person in one picture.

    points: (33, 2) x, y in pixels. visibility: (33,) in [0, 1], whether each point is in the
    picture and not hidden. meters: (33, 3) x to the picture's right, y down, z away from the
    camera, from the middle of the hips. score: that the crop holds a person, in [0, 1]. region: the
    crop. crop_mask: (256, 256) float32, share of the person in each pixel of the crop. next_region:
    where the person is expected in the next picture.
    """

    points: np.ndarray
    visibility: np.ndarray
    meters: np.ndarray
    score: float
    region: CropRegion
    crop_mask: np.ndarray
    next_region: CropRegion

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the person's share of each pixel of the picture, (height, width) float32."""
        return cv2.warpAffine(
            self.crop_mask, self.region.matrix, (width, height), flags=cv2.INTER_LINEAR
        )


class BlazePoseNetworks:
    """The two networks, opened for inference on the CPU.

    folder: with the files `pose_detection.tflite` and `pose_landmark_full.tflite`. threads: that
    each network uses. Raises ViddaError where the interpreter or a file is not there.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._detector = _open(folder / DETECTOR, threads)
        self._landmarks = _open(folder / LANDMARKS, threads)

    def detect(self, picture: np.ndarray, threshold: float = 0.5) -> list[CropRegion]:
        """Return the regions around the people in a picture, the surest first.

        picture: (H, W, 3) uint8 RGB. threshold: lowest score of a person, in [0, 1].
        """
        height, width = picture.shape[:2]
        side = max(height, width)
        scale = side / DETECTOR_SIDE
        # From pixels of the square input to the picture's, with bars where it is not square.
        offset = np.array([width, height]) / 2 - side / 2 + scale / 2 - 0.5
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        square = _warp(picture, matrix, DETECTOR_SIDE)
        boxes, scores = _invoke(self._detector, square / 127.5 - 1.0)
        candidates = boxes[0].reshape(len(self._anchors), 6, 2) / DETECTOR_SIDE
        probability = expit(scores[0, :, 0].astype(np.float64))
        # Of each candidate: the face's box (center, size), and four points.
        candidates[:, [0, 2, 3, 4, 5]] += self._anchors[:, None]
        kept = _one_of_each(candidates, probability, threshold)
        at = (candidates[kept] * DETECTOR_SIDE - 0.5) * scale + offset
        return [_region(points[2], points[3]) for points in at]

    def person(self, picture: np.ndarray, region: CropRegion) -> BlazePerson:
        """Return the points and the mask of the person in a region of a picture.

        picture: (H, W, 3) uint8 RGB.
        """
        crop = _warp(picture, region.matrix, LANDMARK_SIDE) / 255.0
        points, score, mask, _, meters = _invoke(self._landmarks, crop)
        found = points.reshape(-1, 5).astype(np.float64)
        # In the crop's continuous coordinates, in which the center of the first pixel is at 0.5.
        at = (found[:, :2] - 0.5) @ region.matrix[:, :2].T + region.matrix[:, 2]
        visible, present = expit(found[:POINTS, 3]), expit(found[:POINTS, 4])
        return BlazePerson(
            at[:POINTS].astype(np.float32),
            np.minimum(visible, present).astype(np.float32),
            meters.reshape(-1, 3)[:POINTS],
            float(score.item()),
            region,
            expit(mask[0, ..., 0]),
            _region(at[HIPS_POINT], at[CIRCLE_POINT]),
        )

    @cached_property
    def _anchors(self) -> np.ndarray:
        """Return the centers of the detector's candidates, (2254, 2), as shares of its input."""
        found = []
        for side, candidates in GRIDS:
            steps = (np.arange(side) + 0.5) / side
            y, x = np.meshgrid(steps, steps, indexing="ij")
            found.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), candidates, axis=0))
        return np.concatenate(found)


def box_region(box: np.ndarray) -> CropRegion:
    """Return the upright region of a person's box. box: (4,) x0, y0, x1, y1 in pixels."""
    side = float((box[2:] - box[:2]).max())
    return CropRegion((box[:2] + box[2:]) / 2 - 0.5, CIRCLE_SCALE * side, 0.0)


def _region(center: np.ndarray, edge: np.ndarray) -> CropRegion:
    """Return the region of a circle, from its center and its point above the person's head."""
    x, y = edge - center
    side = 2 * CIRCLE_SCALE * float(np.hypot(x, y))
    return CropRegion(center, side, float(np.arctan2(x, -y)))


def _one_of_each(candidates: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Return the indices of the surest candidate of each person, the surest first.

    candidates: (N, 6, 2), of which the first two are the center and the size of a box.
    """
    above = np.flatnonzero(scores >= threshold)
    corner = candidates[above, 0] - candidates[above, 1] / 2
    boxes = np.concatenate([corner, candidates[above, 1]], axis=1)
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores[above].tolist(), threshold, SAME_PERSON)
    return [int(above[index]) for index in np.ravel(kept).astype(int)]


def _warp(picture: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """Return a square crop, (side, side, 3) float32 in 0..255. matrix: (2, 3), crop to picture."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (side, side), flags=flags).astype(np.float32)


def _open(file: Path, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ViddaError(
            "ai-edge-litert is not installed, which runs BlazePose: pip install 'vidda[blazepose]'"
        ) from None
    if not file.is_file():
        raise ViddaError(
            f"{file}: no such file; `vidda weights blazepose out={file.parent}` fetches it"
        )
    try:
        interpreter = Interpreter(model_path=str(file), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ViddaError(
            f"{file}: cannot be read as TensorFlow Lite ({reason}); fetch it again by `vidda"
            f" weights blazepose out={file.parent}`"
        ) from None
    return interpreter


def _invoke(interpreter: Any, picture: np.ndarray) -> list[np.ndarray]:
    """Return a network's outputs for one picture (S, S, 3) float32.

    One at a time: the detector's outputs for two together are wrong.
    """
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
