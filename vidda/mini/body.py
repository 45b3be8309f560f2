"""A person as 3-D joints and the round limbs between them.

World axes in meters: x to the right, y to the front and z up, for a person at the origin who has
not turned; the ground is z = 0.
"""

from dataclasses import dataclass

import numpy as np

from vidda.sidecar import REGIONS


@dataclass(frozen=True)
class Body:
    """A person's shape: height in meters, and widths relative to the average build.

    build: factor of the body's widths. shoulders: factor of the shoulders' width. reach: factor of
    the arms' length. 1 is average.
    """

    height_m: float
    build: float
    shoulders: float
    short_sleeves: bool
    short_trousers: bool
    long_hair: bool
    reach: float = 1.0


@dataclass(frozen=True)
class Posture:
    """A person's posture at T times, each array (T,), angles in radians.

    yaw: turn of the body to the person's left. lean_side, lean_front: lean of the torso to the
    right and forward. head_turn: turn of the head to the left, besides yaw. stance_m: distance
    between the feet in meters.
    """

    yaw: np.ndarray
    lean_side: np.ndarray
    lean_front: np.ndarray
    head_turn: np.ndarray
    stance_m: np.ndarray


@dataclass(frozen=True)
class Limbs:
    """P round cones at T times, which make up a body.

    start, end: (T, P, 3) world positions of both ends, in meters. start_radius, end_radius: (P,)
    radii there, in meters. region: (P,) index into `sidecar.REGIONS`.
    """

    start: np.ndarray
    end: np.ndarray
    start_radius: np.ndarray
    end_radius: np.ndarray
    region: np.ndarray


def joints(body: Body, posture: Posture, arms: np.ndarray) -> dict[str, np.ndarray]:
    """Return world positions, (T, 3) in meters, of the COCO-17 joints and a few more, by name.

    arms: (T, 2, 2, 3) directions, as `gestures.arms` returns them.
    """
    h = body.height_m
    arm_m = h * body.reach
    right, front, up = _torso_axes(posture)
    flat_right, flat_front = right_and_front(posture.yaw)
    pelvis = np.zeros_like(up)
    pelvis[:, 2] = 0.52 * h
    neck = pelvis + 0.31 * h * up
    head = neck + 0.085 * h * up + 0.015 * h * front
    face_right, face_front = right_and_front(posture.yaw + posture.head_turn)
    points = {"pelvis": pelvis, "neck": neck, "head": head, "crown": head + 0.05 * h * up}
    points["nose"] = head + 0.075 * h * face_front
    for side, name, arm in ((1.0, "right", arms[:, 0]), (-1.0, "left", arms[:, 1])):
        outward = side * right
        points[f"{name}_eye"] = head + h * (
            0.02 * side * face_right + 0.062 * face_front + 0.015 * up
        )
        points[f"{name}_ear"] = head + h * (0.055 * side * face_right + 0.005 * up)
        shoulder = neck + 0.112 * h * body.shoulders * outward - 0.015 * h * up
        axes = np.stack([outward, front, up], axis=1)
        elbow = shoulder + 0.175 * arm_m * np.einsum("ti,tij->tj", arm[:, 0], axes)
        forearm = np.einsum("ti,tij->tj", arm[:, 1], axes)
        wrist = elbow + 0.15 * arm_m * forearm
        hip = pelvis + 0.055 * h * outward
        ankle = hip + side * (0.5 * posture.stance_m - 0.055 * h)[:, None] * flat_right
        ankle[:, 2] = 0.045 * h
        knee = 0.5 * (hip + ankle) + 0.012 * h * flat_front
        points |= {
            f"{name}_shoulder": shoulder,
            f"{name}_elbow": elbow,
            f"{name}_wrist": wrist,
            f"{name}_hand": wrist + 0.075 * arm_m * forearm,
            f"{name}_hip": hip,
            f"{name}_knee": knee,
            f"{name}_ankle": ankle,
            f"{name}_toe": ankle + 0.1 * h * flat_front + [0.0, 0.0, -0.025 * h],
        }
    return points


def limbs(body: Body, points: dict[str, np.ndarray]) -> Limbs:
    """Return the round cones that make up the body's surface.

    points: world positions of the joints by name, (T, 3) in meters, from `joints`.
    """
    w = body.height_m * body.build
    torso_top = points["neck"] - 0.05 * (points["neck"] - points["pelvis"])
    middle = 0.5 * (points["neck"] + points["pelvis"])
    chin = points["head"] - 0.5 * (points["crown"] - points["head"])
    hem = points["pelvis"] + 0.25 * (points["neck"] - points["pelvis"])
    face = points["nose"] - points["head"]
    scalp = points["head"] + 0.3 * (points["crown"] - points["head"]) - 0.35 * face
    cones: list[tuple[str, np.ndarray, np.ndarray, float, float]] = [
        ("upper", middle, torso_top, 0.07 * w, 0.066 * w),
        ("upper", hem, middle, 0.066 * w, 0.07 * w),
        ("skin", points["neck"], points["head"], 0.034 * w, 0.034 * w),
        ("skin", chin, points["head"], 0.05 * w, 0.058 * w),
        ("hair", scalp, points["crown"] - 0.25 * face, 0.054 * w, 0.045 * w),
    ]
    if body.long_hair:
        back = points["head"] - 0.4 * face
        cones.append(("hair", back, back - [0.0, 0.0, 0.12 * w], 0.05 * w, 0.035 * w))
    shin = "skin" if body.short_trousers else "lower"
    forearm = "skin" if body.short_sleeves else "upper"
    for side in ("right", "left"):
        p = {name: points[f"{side}_{name}"] for name in _SIDE_JOINTS}
        flank = 0.55 * p["shoulder"] + 0.45 * torso_top
        waist = 0.5 * (p["hip"] + points["pelvis"]) + [0.0, 0.0, 0.03 * w]
        cones += [
            ("upper", waist, flank, 0.056 * w, 0.058 * w),
            ("lower", p["hip"], points["pelvis"], 0.064 * w, 0.066 * w),
            ("lower", p["hip"], p["knee"], 0.058 * w, 0.042 * w),
            (shin, p["knee"], p["ankle"], 0.04 * w, 0.026 * w),
            ("shoes", p["ankle"], p["toe"], 0.032 * w, 0.026 * w),
            ("upper", p["shoulder"], p["elbow"], 0.042 * w, 0.033 * w),
            (forearm, p["elbow"], p["wrist"], 0.031 * w, 0.023 * w),
            ("skin", p["wrist"], p["hand"], 0.025 * w, 0.026 * w),
        ]
    names, start, end, start_radius, end_radius = zip(*cones, strict=True)
    return Limbs(
        start=np.stack(start, axis=1),
        end=np.stack(end, axis=1),
        start_radius=np.array(start_radius),
        end_radius=np.array(end_radius),
        region=np.array([REGIONS.index(name) for name in names]),
    )


_SIDE_JOINTS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe")


def right_and_front(yaw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the horizontal unit vectors, (T, 3) each, to a person's right and front.

    yaw: (T,) turn to the person's left, in radians.
    """
    zero = np.zeros_like(yaw)
    right = np.stack([np.cos(yaw), np.sin(yaw), zero], axis=-1)
    front = np.stack([-np.sin(yaw), np.cos(yaw), zero], axis=-1)
    return right, front


def _torso_axes(posture: Posture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    right, front = right_and_front(posture.yaw)
    up = (
        np.array([0.0, 0.0, 1.0])
        + np.tan(posture.lean_side)[:, None] * right
        + np.tan(posture.lean_front)[:, None] * front
    )
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    right = np.cross(front, up)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    return right, np.cross(up, right), up
