"""Colour statistics of a clip's frames, made those of its first."""

import numpy as np


def match_to_first(frames: np.ndarray) -> None:
    """Give every frame, in place, each channel's mean and deviation in frame 0.

    frames: (T, H, W, 3) uint8. Reinhard et al., Color Transfer between Images, 2001, in RGB; it
    takes away slow drift of brightness and colour, and also what of it is the source's own.
    """
    mean, deviation = _statistics(frames[0])
    for frame in frames[1:]:
        own_mean, own_deviation = _statistics(frame)
        gain = deviation / np.maximum(own_deviation, 1e-3)
        matched = (frame - own_mean) * gain + mean
        frame[:] = np.rint(matched.clip(0, 255)).astype(np.uint8)


def _statistics(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = frame.reshape(-1, 3).astype(np.float32)
    return pixels.mean(axis=0), pixels.std(axis=0)
