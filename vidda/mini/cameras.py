"""Perspective cameras aimed at a person, and the crop around that person."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Viewpoint:
    """The position of a camera relative to the person's feet.

    azimuth: radians around the person, 0 in front of them; height_m: meters above ground;
    distance_m: meters straight to the person's middle; orbit: radians per second around the person;
    roll: tilt to its right, in radians.
    """

    azimuth: float
    height_m: float
    distance_m: float
    orbit: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. rotation: (3, 3) rows are its right, down and forward axes in the world.

    position: (3,) meters; focal: pixels; center: (2,) principal point (x, y) in pixels.
    """

    rotation: np.ndarray
    position: np.ndarray
    focal: float
    center: np.ndarray

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (..., 2) and depths (...) in meters of world points (..., 3) in meters."""
        local = (points - self.position) @ self.rotation.T
        depth = local[..., 2]
        return local[..., :2] * (self.focal / depth)[..., None] + self.center, depth

    def ground(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the ground point x, y (H, W, 2) and depth (H, W) of each pixel, in meters.

        Pixels at or above the horizon have infinite depth and coordinates 0.
        """
        row, column = np.mgrid[:height, :width].astype(np.float64)
        right = (column - self.center[0]) / self.focal
        down = (row - self.center[1]) / self.focal
        ray = np.stack([right, down, np.ones_like(right)], axis=-1) @ self.rotation
        falls = ray[..., 2] < -1e-4
        depth = np.where(falls, -self.position[2] / np.where(falls, ray[..., 2], 1.0), np.inf)
        reach = np.where(falls, depth, 0.0)[..., None]
        met = self.position[:2] + reach * ray[..., :2]
        return np.where(falls[..., None], met, 0.0), depth


def aim_camera(
    view: Viewpoint,
    middle_m: float,
    side_m: float,
    size: int,
    offset: tuple[float, float],
    time_s: float = 0.0,
) -> Camera:
    """Return a camera whose square image of `size` pixels covers `side_m` meters at the person.

    view: the camera's position. middle_m: height on the person, in meters, of the image's center;
    offset: shift of that center to the right and downward, as shares of the image; time_s: seconds
    since the clip's start, for a camera in orbit.
    """
    rise = view.height_m - middle_m
    along = np.sqrt(max(view.distance_m**2 - rise**2, 0.0))
    azimuth = view.azimuth + view.orbit * time_s
    position = np.array([along * np.sin(azimuth), along * np.cos(azimuth), view.height_m])
    forward = np.array([0.0, 0.0, middle_m]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(view.roll), np.sin(view.roll)
    rotation = np.stack([cosine * right + sine * down, cosine * down - sine * right, forward])
    focal = size * view.distance_m / side_m
    center = (size - 1) / 2.0 - size * np.array(offset)
    return Camera(rotation, position, focal, center)
