"""Simulation of a camera: shake, blur, exposure, noise and compression."""

from dataclasses import dataclass

import cv2
import numpy as np

GAMMA = 2.2
BLUR_SAMPLES = 3


@dataclass(frozen=True)
class Lens:
    """The parameters of the camera that took one clip.

    path: (T, 3) the image's shift in pixels, right and down, and its turn in radians, each frame;
    smear: (T, 2) pixels that it moves while the shutter is open; shutter_s: that time in seconds;
    focus: deviation of the blur in pixels; detail: resolution of the sensor's crop relative to the
    image, at most 1; gain: (3,) exposure and white balance; contrast: exponent around middle gray;
    haze: 0..1; shot, read: deviation of the noise that grows with light, and of that which does
    not; jpeg: quality 1..100, or 0 for no compression; crf: of the final H.264 file.
    """

    path: np.ndarray
    smear: np.ndarray
    shutter_s: float
    focus: float
    detail: float
    gain: np.ndarray
    contrast: float
    haze: float
    shot: float
    read: float
    jpeg: int
    crf: int


def draw_lens(
    seed: tuple[int, ...],
    factors: frozenset[str],
    frames: int,
    size: int,
    view: str,
    altitude_m: float | None,
) -> Lens:
    """Return a game engine's perfect camera, with random real values for the named factors.

    seed: of the clip's camera. factors: of `clip.FACTORS`. frames: T. size: pixels a side. view:
    ground or air. altitude_m: meters, None on the ground. Each factor has its own random stream:
    switching one off does not change the others.
    """
    shaking, exposing, sensing = (np.random.default_rng((*seed, n)) for n in range(3))
    shaky, exposed, noisy = (name in factors for name in ("camera", "exposure", "noise"))
    pixel = size / 112.0
    path, smear = np.zeros((frames, 3)), np.zeros((frames, 2))
    if shaky:
        strength = shaking.uniform(0.2, 0.7) * (1.2 if view == "air" else 0.9)
        path = shake(shaking, frames, strength * pixel)
        smear = np.gradient(path[:, :2], axis=0) * shaking.uniform(0.3, 0.7)
        smear += shaking.normal(0.0, 0.35 * strength * pixel, (frames, 2))
    high = altitude_m is not None and altitude_m > 20.0
    return Lens(
        path=path,
        smear=smear,
        shutter_s=shaking.uniform(0.01, 0.04) if shaky else 0.0,
        focus=shaking.uniform(0.3, 0.9) * pixel if shaky else 0.0,
        detail=shaking.uniform(0.65, 0.8) if high and shaky else 1.0,
        gain=2.0 ** exposing.uniform(-0.6, 0.6) * exposing.uniform(0.87, 1.15, 3)
        if exposed
        else np.ones(3),
        contrast=exposing.uniform(0.8, 1.2) if exposed else 1.0,
        haze=exposing.uniform(0.0, 0.15) if exposed else 0.0,
        shot=sensing.uniform(0.01, 0.035) if noisy else 0.0,
        read=sensing.uniform(0.004, 0.015) if noisy else 0.0,
        jpeg=int(sensing.integers(40, 85)) if noisy else 0,
        crf=int(sensing.integers(22, 29)) if noisy else 18,
    )


def shake(rng: np.random.Generator, frames: int, strength: float) -> np.ndarray:
    """Return the path of a hand-held or hovering camera, (T, 3): shift in pixels, turn in radians.

    It is drift and tremor. frames: T. strength: about the shift from frame to frame, in pixels.
    """
    drift = np.cumsum(rng.normal(0.0, 0.5 * strength, (frames, 2)), axis=0)
    tremor = rng.normal(0.0, 0.8 * strength, (frames, 2))
    shift = drift - drift.mean(0) + tremor
    limit = 5.0 * strength
    turn = np.cumsum(rng.normal(0.0, 0.003 * strength, (frames, 1)), axis=0)
    return np.concatenate([np.clip(shift, -limit, limit), np.clip(turn, -0.05, 0.05)], axis=1)


def to_image(step: np.ndarray, margin: int, size: int) -> np.ndarray:
    """Return the (2, 3) affine map from a canvas to the image that a shaken camera takes of it.

    step: (3,) shift and turn, a row of `Lens.path`. margin: pixels of the canvas around the image.
    size: pixels a side of the image.
    """
    shift_x, shift_y, turn = step
    middle = margin + (size - 1) / 2.0
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = np.array([[cosine, -sine], [sine, cosine]])
    center = np.array([(size - 1) / 2.0 + shift_x, (size - 1) / 2.0 + shift_y])
    return np.column_stack([turned, center - turned @ [middle, middle]])


def warp_labels(values: np.ndarray, map_: np.ndarray, size: int, outside: float) -> np.ndarray:
    """Return a canvas of labels or depths warped to the image, by nearest pixels, without mixing.

    values: (H, W) of the canvas. map_: (2, 3) affine map, from `to_image`. size: pixels a side of
    the image. outside: value beyond the canvas. Returns (size, size) of the type of `values`.
    """
    return cv2.warpAffine(
        values,
        map_,
        (size, size),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )


def capture_frames(
    rng: np.random.Generator, light: np.ndarray, by: Lens, margin: int
) -> np.ndarray:
    """Return the frames, (T, size, size, 3) uint8 RGB, that a camera takes.

    rng: decides the noise. light: (T, canvas, canvas, 3) linear RGB. by: the camera. margin: pixels
    of the canvas around the image, on each side.
    """
    size = light.shape[1] - 2 * margin
    frames = np.empty((len(light), size, size, 3), np.uint8)
    # Frame by frame: a frame stays in the processor's cache, a clip does not.
    for t, canvas in enumerate(light):
        frame = _smeared(canvas, by, t, margin, size)
        if by.focus or by.detail < 1.0:
            frame = _soft(frame, by)
        coded = _read_out(rng, frame, by)
        frames[t] = _compressed(coded, by.jpeg) if by.jpeg else coded
    return frames


def _read_out(rng: np.random.Generator, frame: np.ndarray, by: Lens) -> np.ndarray:
    """Return the light on the sensor, (H, W, 3), exposed, with noise, as uint8 RGB."""
    frame = frame * by.gain.astype(np.float32)
    if by.haze:
        frame = frame * (1.0 - by.haze) + 0.55 * by.haze
    if by.contrast != 1.0:
        frame = 0.25 * (np.maximum(frame, 0.0) / 0.25) ** by.contrast
    if by.read or by.shot:
        deviation = np.sqrt(by.read**2 + by.shot**2 * np.maximum(frame, 0.0))
        frame += deviation * rng.standard_normal(frame.shape, np.float32)
    coded = 255.0 * np.clip(frame, 0.0, 1.0) ** (1.0 / GAMMA)
    return np.rint(coded).astype(np.uint8)


def _smeared(canvas: np.ndarray, by: Lens, t: int, margin: int, size: int) -> np.ndarray:
    moving = np.hypot(*by.smear[t]) > 0.2
    shares = np.linspace(-0.5, 0.5, BLUR_SAMPLES) if moving else np.zeros(1)
    total = np.zeros((size, size, 3), np.float32)
    for share in shares:
        step = by.path[t] + np.append(share * by.smear[t], 0.0)
        map_ = to_image(step, margin, size)
        total += cv2.warpAffine(canvas, map_, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return total / len(shares)


def _soft(frame: np.ndarray, by: Lens) -> np.ndarray:
    size = len(frame)
    if by.detail < 1.0:
        small = round(size * by.detail)
        frame = cv2.resize(frame, (small, small), interpolation=cv2.INTER_AREA)
        frame = cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(frame, (0, 0), by.focus) if by.focus else frame


def _compressed(frame: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]
