"""Attributes of a gray image: brightness, contrast, entropy, sharpness."""

import cv2
import numpy as np


def gray_attributes(gray: np.ndarray) -> dict[str, float]:
    """Return brightness, contrast, entropy and sharpness of an image (H, W) uint8, by name."""
    counts = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel()
    shares = counts[counts > 0] / counts.sum()
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(gray))
    _, edges = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
    return {
        "brightness": mean,
        "contrast": deviation,
        "entropy": float(-(shares * np.log2(shares)).sum()),
        "sharpness": float(np.log1p(edges[0, 0] ** 2)),
    }
