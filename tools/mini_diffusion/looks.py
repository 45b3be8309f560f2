"""The look of samples in figures: clothes of one color, backgrounds with edges, moderate colors."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from tools.mini_diffusion import controls
from tools.mini_diffusion.cache import SceneImages
from vidda.control.keypoints import JOINTS

TORSO = tuple(
    JOINTS.index(name) for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
)
INNER = 0.6
"""The measured part of the torso's quadrilateral, around its center, so that no arm's or ground's
color at its edge counts."""
FEWEST = 12
"""Pixels of a torso below which it is not measured."""
PERSON_REACH = 12
"""Pixels around the person that are not background."""
VIVID_QUANTILE = 0.99


@dataclass(frozen=True)
class Looks:
    """Figures of the look of images, in CIELAB units; means over images.

    mottle: standard deviation of the hue and chroma (a*, b*) over the shirt, large where clothes
    are mottled. edges: gradient of L* per pixel in the background, small where it is smoke.
    chroma: 99th percentile of the chroma, large for neon colors.
    """

    mottle: float
    edges: float
    chroma: float


def measure_looks(images: SceneImages, frames: np.ndarray) -> Looks:
    """Return the looks of frames (N, S, S, 3) uint8, samples of the scenes in images or the images
    themselves; N at least 1.
    """
    near = controls.surroundings(torch.from_numpy(images.facts), PERSON_REACH)[:, 0].numpy() > 0
    mottles, edges, chromas = [], [], []
    for frame, person, points in zip(frames, near, images.keypoints, strict=True):
        lab = cv2.cvtColor(frame.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
        shirt = _torso(points, len(frame))
        if shirt.sum() >= FEWEST:
            mottles.append(float(np.sqrt(lab[shirt][:, 1:].var(axis=0).sum())))
        across, down = (
            cv2.Sobel(lab[..., 0], cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))
        )
        if not person.all():
            edges.append(float(np.hypot(across, down)[~person].mean()))
        chroma = np.hypot(lab[..., 1], lab[..., 2])
        chromas.append(float(np.quantile(chroma, VIVID_QUANTILE)))
    return Looks(*(float(np.mean(values)) for values in (mottles, edges, chromas)))


def _torso(points: np.ndarray, size: int) -> np.ndarray:
    """Return the mask (size, size) bool of the inner torso of keypoints (17, 3); empty if one of
    its corners is outside the image.
    """
    mask = np.zeros((size, size), np.uint8)
    corners = points[list(TORSO)]
    if corners[:, 2].all():
        middle = corners[:, :2].mean(axis=0)
        inner = middle + INNER * (corners[:, :2] - middle)
        cv2.fillConvexPoly(mask, np.rint(inner).astype(np.int32), 1)
    return mask > 0
