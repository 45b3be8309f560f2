"""Camera shake: how the whole image moves from frame to frame, and moving it so.

The movement is a shift and a turn about the image's middle. It is found by robust alignment of the
pixels themselves, so that a person who moves in front of a still scene counts as an outlier.
"""

from itertools import pairwise

import cv2
import numpy as np

WORKING_SIDE = 160
COARSEST_SIDE = 24
SMOOTHING = 1.0
ITERATIONS = 12
CONVERGED_PX = 1e-2
SHORTEST_SMEAR_PX = 0.1


def working_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width at which movement is measured: a shorter side of WORKING_SIDE at
    most.
    """
    scale = max(1.0, min(height, width) / WORKING_SIDE)
    return round(height / scale), round(width / scale)


def steps(gray: np.ndarray) -> np.ndarray:
    """Return the image's movement from each frame to the next, without the people in it.

    gray: (T, H, W) float32, 0..255. Returns (T - 1, 3) float64: pixels to the right and down at the
    image's middle, and radians from right toward down.
    """
    found = [align(first, second) for first, second in pairwise(gray)]
    return np.array(found).reshape(-1, 3)


def align(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Shift and turn (3,) that carry `first` to `second`, both (H, W) float32, 0..255.

    Inverse-residual weights (Geman-McClure, as in Black and Anandan 1996, doi
    10.1006/cviu.1996.0006) in Lucas and Kanade's iteration from coarse to fine. The difference in
    brightness is left free. Where nothing has structure the movement is zero.
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
        motion = _refined(*levels[depth], motion)
        if depth:
            motion = motion * [2.0, 2.0, 1.0]
    return motion


def moved(image: np.ndarray, motion: np.ndarray, *, back: bool = False) -> np.ndarray:
    """Return an image (H, W) or (H, W, C) float32 whose content moved by `motion` (3,), or came
    `back`.

    Lanczos: linear and cubic kernels misplace fractions of a pixel by some tenths. What comes in
    over the edge mirrors the inside.
    """
    height, width = image.shape[:2]
    flags = cv2.INTER_LANCZOS4 | (cv2.WARP_INVERSE_MAP if back else 0)
    return cv2.warpAffine(
        image,
        _affine(motion, height, width),
        (width, height),
        flags=flags,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def camera_shaken(frames: np.ndarray, path: np.ndarray, smear: np.ndarray) -> np.ndarray:
    """Return frames as a camera takes them that moves while its shutter is open, (T, H, W, C)
    float32.

    frames: (T, H, W, C) uint8 or float32. path: (T, 3) where the content is in the middle of each
    exposure, pixels right and down and radians; smear: (T, 3) how far it moves during the exposure,
    evenly.
    """
    taken = np.empty(frames.shape, np.float32)
    for one, frame, place, blur in zip(taken, frames, path, smear, strict=True):
        length = float(np.hypot(blur[0], blur[1]))
        count = 1 if length < SHORTEST_SMEAR_PX else 2 + int(np.ceil(length))
        # The middles of equal parts: the ends themselves would make the smear longer than it is.
        shares = (np.arange(count) + 0.5) / count - 0.5
        still = frame.astype(np.float32)
        one[:] = np.mean([moved(still, place + share * blur) for share in shares], axis=0)
    return taken


def _affine(motion: np.ndarray, height: int, width: int) -> np.ndarray:
    cosine, sine = np.cos(motion[2]), np.sin(motion[2])
    turned = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    return np.column_stack([turned, middle + motion[:2] - turned @ middle])


def _inside(image: np.ndarray) -> np.ndarray:
    margin = 1 + min(image.shape) // 24
    return image[margin:-margin, margin:-margin]


def _misfit(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> float:
    difference = _inside(first - moved(second, motion, back=True))
    return float(np.abs(difference - np.median(difference)).mean())


def _refined(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Return one level of the pyramid."""
    first, second = (cv2.GaussianBlur(image, (0, 0), SMOOTHING) for image in (first, second))
    height, width = first.shape
    down, right = np.mgrid[:height, :width].astype(np.float32)
    right, down = right - (width - 1) / 2.0, down - (height - 1) / 2.0
    # A gradient of a hundredth of a gray level everywhere: keeps the flattest images solvable.
    radius = min(height, width) / 4.0
    ridge = 1e-4 * np.diag([1.0, 1.0, radius * radius])
    for _ in range(ITERATIONS):
        warped = moved(second, motion, back=True)
        middle = (first + warped) / 2.0
        along_x = cv2.Scharr(middle, cv2.CV_32F, 1, 0) / 32.0
        along_y = cv2.Scharr(middle, cv2.CV_32F, 0, 1) / 32.0
        slopes = np.stack(
            [_inside(s).ravel() for s in (along_x, along_y, along_y * right - along_x * down)],
            axis=1,
        ).astype(np.float64)
        error = _inside(first - warped).ravel().astype(np.float64)
        error -= np.median(error)
        spread = 1.4826 * np.median(np.abs(error)) + 0.3
        weight = (1.0 + (error / (2.0 * spread)) ** 2) ** -2
        weighted = slopes * weight[:, None]
        normal = weighted.T @ slopes + len(error) * ridge
        change = np.linalg.solve(normal, weighted.T @ error)
        motion = motion + change
        if np.abs(change * [1.0, 1.0, 2.0 * radius]).max() < CONVERGED_PX:
            break
    return motion
