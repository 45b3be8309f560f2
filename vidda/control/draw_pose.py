"""Draw poses as the colored skeletons that `control_v11p_sd15_openpose` was trained on.

OpenPose has 18 body joints: COCO's and a neck between the shoulders. ControlNet 1.1 draws the limbs
as ellipses 8 pixels wide into images whose shorter side is 512, darkens them to 0.6, and then draws
the joints as circles of radius 4. Here positions are not rounded to whole pixels, because jumps of
a pixel from frame to frame become flicker in small images.
"""

import cv2
import numpy as np

from vidda.control.keypoints import JOINTS, THRESHOLD, Pose, known_joints

OPENPOSE_JOINTS = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
"""OpenPose's joints in its order."""

LIMBS = (
    ("neck", "right_shoulder"),
    ("neck", "left_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("neck", "right_hip"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
    ("neck", "left_hip"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("neck", "nose"),
    ("nose", "right_eye"),
    ("right_eye", "right_ear"),
    ("nose", "left_eye"),
    ("left_eye", "left_ear"),
)
"""Limbs in drawing order: later ones cover earlier ones."""

COLORS = (
    (255, 0, 0),
    (255, 85, 0),
    (255, 170, 0),
    (255, 255, 0),
    (170, 255, 0),
    (85, 255, 0),
    (0, 255, 0),
    (0, 255, 85),
    (0, 255, 170),
    (0, 255, 255),
    (0, 170, 255),
    (0, 85, 255),
    (0, 0, 255),
    (85, 0, 255),
    (170, 0, 255),
    (255, 0, 255),
    (255, 0, 170),
    (255, 0, 85),
)
"""RGB of each joint of OPENPOSE_JOINTS, and of each limb of LIMBS by the same index."""

LIMB_BRIGHTNESS = 0.6
RADIUS = 4.0
TRAINED_SIDE = 512

_SUBPIXEL_BITS = 4
_CORNERS = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)


def to_openpose(pose: Pose) -> Pose:
    """Return the same people with OpenPose's 18 joints: keypoints (T, P, 18, 2), scores (T, P, 18).

    The neck is the middle of the shoulders; its score is the lower one of theirs.
    """
    index = [JOINTS.index(name) for name in OPENPOSE_JOINTS if name != "neck"]
    sides = [JOINTS.index("left_shoulder"), JOINTS.index("right_shoulder")]
    neck = OPENPOSE_JOINTS.index("neck")
    return Pose(
        np.insert(
            pose.keypoints[:, :, index], neck, pose.keypoints[:, :, sides].mean(axis=2), axis=2
        ),
        np.insert(pose.scores[:, :, index], neck, pose.scores[:, :, sides].min(axis=2), axis=2),
    )


def draw_openpose(
    pose: Pose, height: int, width: int, threshold: float = THRESHOLD, line_width: float = 1.0
) -> np.ndarray:
    """Draw the skeletons of every frame on black, (T, height, width, 3) uint8 RGB.

    pose: COCO-17 keypoints in pixels of the images to draw, where whole numbers are the centers of
    pixels. threshold: joints with a lower score are left out, and the limbs at them. line_width:
    relative to the width in ControlNet's training images; it scales with the shorter side.
    """
    body = to_openpose(pose)
    radius = line_width * RADIUS * min(height, width) / TRAINED_SIDE
    frames = [
        _draw_frame(keypoints, known_joints(scores, threshold), height, width, radius)
        for keypoints, scores in zip(body.keypoints, body.scores, strict=True)
    ]
    return np.stack(frames)


def _draw_frame(
    people: np.ndarray, known: np.ndarray, height: int, width: int, radius: float
) -> np.ndarray:
    """Draw one frame. people: (P, 18, 2) in pixels; known: (P, 18) bool, the joints to draw."""
    canvas = np.zeros((height, width, 3), np.uint8)
    for limb, color in zip(LIMBS, COLORS, strict=False):
        start, end = (OPENPOSE_JOINTS.index(name) for name in limb)
        for person in np.flatnonzero(known[:, start] & known[:, end]):
            outline = _ellipse(people[person, start], people[person, end], radius)
            cv2.fillConvexPoly(canvas, _fixed_point(outline), color, shift=_SUBPIXEL_BITS)
    canvas = (canvas * LIMB_BRIGHTNESS).astype(np.uint8)
    fixed_radius = int(_fixed_point(np.array(radius)))
    for joint, color in enumerate(COLORS):
        for person in np.flatnonzero(known[:, joint]):
            x, y = _fixed_point(people[person, joint]).tolist()
            cv2.circle(canvas, (x, y), fixed_radius, color, cv2.FILLED, shift=_SUBPIXEL_BITS)
    return canvas


def _ellipse(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """Return the outline of the ellipse along a limb, (64, 2) in pixels."""
    half = (end - start) / 2
    length = float(np.hypot(*half))
    along = half / length if length > 0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    outline: np.ndarray = (
        (start + end) / 2
        + np.cos(_CORNERS)[:, None] * half
        + np.sin(_CORNERS)[:, None] * radius * across
    )
    return outline


def _fixed_point(values: np.ndarray) -> np.ndarray:
    """Return positions in OpenCV's fixed-point format, as int32."""
    return np.rint(values * 2**_SUBPIXEL_BITS).astype(np.int32)
