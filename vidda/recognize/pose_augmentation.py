"""Random changes of a clip's joints in training: other cameras, and the errors of estimators."""

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from vidda.config import Config
from vidda.control.keypoints import JOINTS
from vidda.mini.cameras import Viewpoint, aim_camera
from vidda.recognize.pose_normalization import HIPS, body_size

MIRRORED = [
    JOINTS.index(name.replace("left", "right") if "left" in name else name.replace("right", "left"))
    for name in JOINTS
]
"""The index of each joint's counterpart on the other side of the body."""

LIMBS = tuple(
    [JOINTS.index(f"{side}_{joint}") for joint in joints]
    for joints in (("elbow", "wrist"), ("knee", "ankle"))
    for side in ("left", "right")
)
"""Joints of the parts that estimators miss as a whole: the arms and the legs."""

ARMS = 2
"""Number of the `LIMBS` that are arms; they come first."""

MISPLACED = 0.4
"""Deviation of the joints of a misplaced arm, in torsos."""


class RandomCameras(Config):
    """Views of the 3-D joints by random cameras, so that what was seen from the ground is also seen
    from the air.

    The joints are the sidecar's `keypoints_3d`, and the cameras those of MiniRoCoG. Neither the
    focal length nor the shift of the image is drawn, as normalization removes both; hidden joints
    are not found out, so all joints are known.
    """

    share: float = Field(
        default=1.0, gt=0, le=1, description="share of the clips seen by a random camera"
    )
    azimuth: float = Field(
        default=60.0,
        ge=0,
        le=180,
        description="largest angle around the person from in front of them, in degrees",
    )
    elevation: tuple[float, float] = Field(
        default=(0.0, 60.0),
        description="lowest and highest angle of the camera above the person, in degrees",
    )
    distance: tuple[float, float] = Field(
        default=(3.0, 30.0), description="shortest and longest distance to the person, in meters"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high = self.elevation
        if not -90 < low <= high < 90:
            raise ValueError(f"elevation {low:g}, {high:g}: give two angles in order, within 90")
        near, far = self.distance
        if not 1 <= near <= far:
            raise ValueError(f"distance {near:g}, {far:g}: give two distances in order, from 1 m")
        return self

    def project(self, world: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return joints as one random camera sees them, (T, 17, 2) x, y, y downward.

        world: (T, 17, 3) in meters, the ground at z = 0.
        """
        azimuth = np.radians(rng.uniform(-self.azimuth, self.azimuth))
        elevation = np.radians(rng.uniform(*self.elevation))
        distance = float(np.exp(rng.uniform(*np.log(self.distance))))
        middle = world[:, HIPS].mean((0, 1))
        height = float(middle[2] + distance * np.sin(elevation))
        return view_joints(world, Viewpoint(azimuth, height, distance))


def view_joints(world: np.ndarray, view: Viewpoint) -> np.ndarray:
    """Return joints as a camera sees them that is aimed at the person's hips, (T, 17, 2) x, y.

    world: (T, 17, 3) in meters. view: its azimuth is around the person's position in the middle of
    the clip. The unit is about 1/1000 of the person's height.
    """
    middle = world[:, HIPS].mean((0, 1))
    camera = aim_camera(view, float(middle[2]), 2.0, 2000, (0.0, 0.0))
    pixels, _ = camera.project(world.astype(np.float64) - [middle[0], middle[1], 0.0])
    return pixels


class PoseAugmentation(Config):
    """Random changes of a training clip's joints; lengths are relative to the torso's.

    The noise is about that of the built-in pose model on MiniRoCoG's real test clips (every seventh
    of them): half of the joints are within 0.06 torsos, but on the ground 10% are off by more than
    0.26, which are elbows and wrists. It swapped no sides and missed 0.4% of the joints; those
    defaults are for estimators on real people, and are not measured.
    """

    cameras: RandomCameras | None = Field(
        default=None,
        description="views of the sidecars' 3-D joints by random cameras; null: their own cameras",
    )
    rotation: float = Field(
        default=8.0, ge=0, le=180, description="largest turn in the image plane, in degrees"
    )
    flip: bool = Field(
        default=False,
        description="mirror half of the clips, with sides swapped; leave off where handedness"
        " distinguishes classes",
    )
    noise: float = Field(
        default=0.05, ge=0, description="deviation of each joint's position in each frame"
    )
    offset: float = Field(
        default=0.04, ge=0, description="deviation of each joint's position in a whole clip"
    )
    dropout: float = Field(
        default=0.05, ge=0, lt=1, description="share of joints that are not found, frame by frame"
    )
    misplaced: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of clips in which an arm is found in wrong places for some time",
    )
    limbs: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of clips in which an arm or a leg is not found for some time",
    )
    swap: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of clips in which left and right are mistaken for some time",
    )

    def apply(
        self, keypoints: np.ndarray, scores: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a clip's joints (T, 17, 2) and their scores (T, 17), changed at random.

        keypoints: (T, 17, 2) in pixels. scores: (T, 17), 0 where a joint is unknown. This is all
        but the view from another camera, which needs the 3-D joints, see `RandomCameras`.
        """
        frames, size = len(keypoints), body_size(keypoints, scores > 0)
        angle = np.radians(rng.uniform(-self.rotation, self.rotation))
        cos, sin = np.cos(angle), np.sin(angle)
        points = keypoints @ np.array([[cos, sin], [-sin, cos]])
        scores = scores.copy()
        if self.flip and rng.random() < 0.5:
            points, scores = points[:, MIRRORED] * [-1.0, 1.0], scores[:, MIRRORED]
        if rng.random() < self.swap:
            rows = _stretch(frames, rng)
            points[rows], scores[rows] = points[rows][:, MIRRORED], scores[rows][:, MIRRORED]
        points = points + size * rng.normal(0.0, self.noise, points.shape)
        points += size * rng.normal(0.0, self.offset, points.shape[1:])
        if rng.random() < self.misplaced:
            arm = points[_stretch(frames, rng)]
            limb = LIMBS[:ARMS][rng.integers(ARMS)]
            arm[:, limb] += size * rng.normal(0.0, MISPLACED, (len(arm), len(limb), 2))
        scores[rng.random(scores.shape) < self.dropout] = 0
        if rng.random() < self.limbs:
            scores[_stretch(frames, rng)][:, LIMBS[rng.integers(len(LIMBS))]] = 0
        return points, scores


def _stretch(frames: int, rng: np.random.Generator) -> slice:
    """Return a random stretch of at least one of so many frames."""
    first, last = sorted(rng.integers(frames, size=2).tolist())
    return slice(first, last + 1)
