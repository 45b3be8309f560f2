"""Camera shake: measure the movement of the whole image from frame to frame, and add movement.

Movement is a shift and a rotation about the image's center. It is found by robust alignment of the
pixels themselves, so that a person who moves in front of a still scene counts as an outlier.
"""

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from vidda.camera.light import median

WORKING_SIDE = 160
"""Most pixels of the shorter side at which movement is measured."""
COARSEST_SIDE = 24
"""Fewest pixels of a side on the coarsest level of the pyramid."""
SMOOTHING = 1.0
"""Standard deviation in pixels of the blur before alignment."""
ITERATIONS = 12
"""Most iterations on each level."""
CONVERGED_PX = 1e-2
"""Change in pixels below which the iteration stops."""
ENLARGED = 3
"""Times that an image is enlarged before it is moved."""
SHORTEST_SMEAR_PX = 0.1
"""Shortest smear that is rendered, in pixels."""


def motion_steps(gray: np.ndarray) -> np.ndarray:
    """Return the image's movement from each frame to the next, moving people left aside.

    gray: (T, H, W) float32, 0..255. Returns (T - 1, 3) float64: pixels right and down at the
    image's center, and radians clockwise.
    """
    movements = [align_frames(first, second) for first, second in pairwise(gray)]
    return np.array(movements).reshape(-1, 3)


def align_frames(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the movement (3,) from `first` to `second`, both (H, W) float32, 0..255.

    The movement is a shift right and down in pixels and a clockwise rotation in radians. Lucas and
    Kanade's iteration from coarse to fine, with inverse-residual weights (Geman-McClure, as in
    Black and Anandan 1996, doi 10.1006/cviu.1996.0006). A difference in brightness does not matter.
    Where nothing has structure the movement is zero.
    """
    levels = [(first, second)]
    while min(levels[-1][0].shape) >= 2 * COARSEST_SIDE:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    # Large movements are out of reach of the iteration, small ones are lost on the correlation.
    window = cv2.createHanningWindow(levels[-1][0].shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(*levels[-1], window)
    starts = [np.zeros(3), np.array([*shift, 0.0])]
    motion = min(starts, key=lambda start: _misfit(*levels[-1], start))
    for depth in range(len(levels) - 1, -1, -1):
        motion = _refine_motion(*levels[depth], motion)
        if depth:
            motion = motion * [2.0, 2.0, 1.0]
    return motion


class Movable:
    """An image to move by fractions of a pixel, any number of times.

    image: (H, W) or (H, W, C) float32. Linear interpolation alone would blur it, and OpenCV's cubic
    kernel misplaces fractions of a pixel by some tenths. On an image that Lanczos' kernel has
    enlarged once, linear interpolation is as exact as Lanczos' kernel, and ten times as fast.
    """

    def __init__(self, image: np.ndarray) -> None:
        self._image = image
        self._height, self._width = image.shape[:2]
        size = (ENLARGED * self._width, ENLARGED * self._height)
        self._large = cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4)

    def moved(self, motion: np.ndarray, *, back: bool = False) -> np.ndarray:
        """Return the image moved by `motion` (3,), or moved back by it; past its edge it is
        mirrored.

        motion: pixels right and down, and radians clockwise.
        """
        if not motion.any():
            return self._image
        map_ = _affine(motion, self._height, self._width)
        wanted = ENLARGED * (map_ if back else cv2.invertAffineTransform(map_))
        wanted[:, 2] += (ENLARGED - 1) / 2.0  # the center of the first pixel is 0 in both sizes
        return cv2.warpAffine(
            self._large,
            wanted,
            (self._width, self._height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )


def shake_frames(frames: np.ndarray, path: np.ndarray, smear: np.ndarray) -> np.ndarray:
    """Return frames as a moving camera takes them, (T, H, W, C) float32.

    frames: (T, H, W, C) uint8 or float32. path: (T, 3) position of the content in the middle of
    each exposure, pixels right and down, and radians. smear: (T, 3) its movement during the
    exposure, at constant speed.
    """
    shaken = np.empty(frames.shape, np.float32)
    for output, frame, position, movement in zip(shaken, frames, path, smear, strict=True):
        length = float(np.hypot(movement[0], movement[1]))
        count = 1 if length < SHORTEST_SMEAR_PX else 2 + int(np.ceil(length))
        # The middles of equal intervals: with the end points the smear would be too long.
        offsets = (np.arange(count) + 0.5) / count - 0.5
        image = Movable(frame.astype(np.float32))
        output[:] = 0.0
        for offset in offsets:
            output += image.moved(position + offset * movement)
        output /= count
    return shaken


def _affine(motion: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the affine matrix (2, 3) of a movement (3,) about the image's center."""
    cosine, sine = np.cos(motion[2]), np.sin(motion[2])
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    return np.column_stack([rotation, middle + motion[:2] - rotation @ middle])


def _crop_margin(image: np.ndarray) -> np.ndarray:
    """Return an image without its margin, where mirrored content may enter."""
    margin = 1 + min(image.shape) // 24
    return image[margin:-margin, margin:-margin]


def _misfit(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> float:
    """Return the mean absolute difference in gray levels that remains after undoing `motion`."""
    difference = _crop_margin(first - Movable(second).moved(motion, back=True))
    return float(np.abs(difference - median(difference.ravel())).mean())


@lru_cache(maxsize=8)
def _from_center(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's distance from the center to the right and downward, (H, W) float32."""
    down, right = np.mgrid[:height, :width].astype(np.float32)
    return right - (width - 1) / 2.0, down - (height - 1) / 2.0


def _refine_motion(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Return the movement (3,) refined on one level of the pyramid."""
    first, second = (cv2.GaussianBlur(image, (0, 0), SMOOTHING) for image in (first, second))
    movable = Movable(second)
    height, width = first.shape
    right, down = _from_center(height, width)
    # A gradient of a hundredth of a gray level everywhere: keeps the flattest images solvable.
    radius = min(height, width) / 4.0
    ridge = 1e-4 * np.diag([1.0, 1.0, radius * radius])
    for _ in range(ITERATIONS):
        warped = movable.moved(motion, back=True)
        middle = (first + warped) / 2.0
        along_x = cv2.Scharr(middle, cv2.CV_32F, 1, 0) / 32.0
        along_y = cv2.Scharr(middle, cv2.CV_32F, 0, 1) / 32.0
        turning = along_y * right - along_x * down
        slopes = np.stack([_crop_margin(s).ravel() for s in (along_x, along_y, turning)])
        error = _crop_margin(first - warped).ravel()
        error -= median(error)
        spread = 1.4826 * median(np.abs(error)) + 0.3
        weighted = slopes / np.square(1.0 + np.square(error / (2.0 * spread)))
        normal = weighted @ slopes.T + len(error) * ridge
        change = np.linalg.solve(normal, weighted @ error)
        motion = motion + change
        if np.abs(change * [1.0, 1.0, 2.0 * radius]).max() < CONVERGED_PX:
            break
    return motion
