"""Random motions of the arms for pre-training, none of which is a gesture that vidda ships.

A motion is a `Gesture` of random key poses. One that is near a gesture of RoCoG-v2 or of the
thirteen drone commands is drawn anew, see `distance_deg`.
"""

from functools import cache

import numpy as np

from vidda.mini.gesture_file import (
    BUILT_IN,
    WIDEST_DEG,
    Circle,
    Gesture,
    KeyPose,
    Movement,
    load_gestures,
    unit,
)
from vidda.mini.gestures import Style, arms, draw_performance

NEAREST_DEG = 30.0
"""Smallest distance of a motion to a gesture; a performance of the gesture itself is nearer."""

PHASES = 16
"""Times of a cycle at which motions and gestures are compared."""

PERFORMANCES = 24
"""Random performances of a gesture whose held pose varies, to which motions are compared."""

EXTENTS = (0.75, 0.95, 1.15)
"""Amplitudes of the gestures to which motions are compared; MiniRoCoG's are 0.7 to 1.15."""


def draw_motion(rng: np.random.Generator) -> Gesture:
    """Return a random motion of one arm, of both alike, or of each, that is no known gesture."""
    while True:
        arms_moved = rng.choice(["one_arm", "both_arms", "each"], p=[0.4, 0.3, 0.3])
        if arms_moved == "each":
            motion = Gesture(right_arm=_movement(rng), left_arm=_movement(rng))
        else:
            motion = Gesture(**{str(arms_moved): _movement(rng)})
        if distance_deg(motion_poses(motion)) >= NEAREST_DEG:
            return motion


def motion_poses(motion: Gesture, amplitude: float = 1.0) -> np.ndarray:
    """Return the arms over one cycle of a motion or gesture, (PHASES, 2, 2, 3), see `arms`.

    motion: of several held poses the first is taken. amplitude: relative to the full extent.
    """
    steady = Style(-1.0, 99.0, 0.5, 1.0, amplitude, left_handed=False)
    # The cycle starts when the arm is nearly raised, 0.6 of raise_s after start_s.
    return arms(motion, -0.7 + (np.arange(PHASES) / PHASES) + 2.0, steady)


def distance_deg(poses: np.ndarray) -> float:
    """Return the distance of arms (T, 2, 2, 3) to the nearest gesture that vidda ships, in degrees.

    For each time it is the angle of the limb that differs most from the most similar pose of the
    gesture, performed with either hand; the distance is its mean over the times.
    """
    return min(float(_angles(poses, own).mean()) for own in _gesture_poses().values())


def _angles(poses: np.ndarray, gesture: np.ndarray) -> np.ndarray:
    """Return the angle (T,) to the nearest pose of a gesture (M, 2, 2, 3), of the farthest limb."""
    cosine = np.einsum("taij,maij->tmai", poses, gesture).clip(-1.0, 1.0)
    farthest: np.ndarray = np.degrees(np.arccos(cosine.min(axis=(2, 3)))).min(axis=1)
    return farthest


@cache
def _gesture_poses() -> dict[str, np.ndarray]:
    """Return the poses (M, 2, 2, 3) of every gesture that vidda ships, with either hand."""
    rng = np.random.default_rng(0)
    found = {}
    for file in BUILT_IN:
        for name, gesture in load_gestures(file).items():
            varies = any(movement and len(movement.hold) > 1 for movement in gesture.movements)
            performed = [draw_performance(rng, gesture) for _ in range(PERFORMANCES * varies or 1)]
            poses = np.concatenate(
                [motion_poses(one, amplitude) for one in performed for amplitude in EXTENTS]
            )
            poses = np.unique(poses.round(6), axis=0)  # a held pose is the same at all times
            found[f"{file}/{name}"] = np.concatenate([poses, poses[:, ::-1]])
    return found


def _movement(rng: np.random.Generator) -> Movement:
    """Return a random movement of an arm: a held pose, circles, or a cycle of two or three."""
    kind = rng.choice(["hold", "circle", "two", "three"], p=[0.12, 0.2, 0.43, 0.25])
    first = _pose(rng)
    if kind == "hold":
        return Movement(hold=(_key(first),))
    if kind == "circle":
        upper, forearm = rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.9)
        return Movement(hold=(_key(first),), circle=Circle(upper=upper, forearm=forearm))
    count = 2 if kind == "two" else 3
    poses = [first]
    while len(poses) < count:
        changed = _pose(rng)
        if rng.random() < 0.4:  # from the elbow alone
            changed[0] = poses[-1][0]
            changed[1] = _bent(rng, changed[0])
        if all(_angle_deg(changed, other) < WIDEST_DEG - 5.0 for other in poses):
            poses.append(changed)
    later = np.sort(rng.uniform(0.25, 0.75, count - 1)) if count == 2 else (0.33, 0.66)
    times = (0.0, *(float(time) for time in later))
    return Movement(repeat=tuple(_key(p, t) for p, t in zip(poses, times, strict=True)))


def _key(pose: np.ndarray, at: float = 0.0) -> KeyPose:
    upper, forearm = pose.tolist()
    return KeyPose(at=at, upper=tuple(upper), forearm=tuple(forearm))


def _pose(rng: np.random.Generator) -> np.ndarray:
    """Return random directions (2, 3) of upper arm and forearm that a shoulder can reach."""
    while True:
        upper = unit(rng.normal((0.5, 0.25, 0.1), 1.0))
        if upper[0] > -0.3 and upper[1] > -0.5:
            return np.stack([upper, _bent(rng, upper)])


def _bent(rng: np.random.Generator, upper: np.ndarray) -> np.ndarray:
    """Return a random direction (3,) of the forearm that an elbow can reach."""
    while True:
        forearm = unit(upper + rng.uniform(0.0, 2.2) * unit(rng.normal(0.0, 1.0, 3)))
        if forearm[1] > -0.6 and forearm @ upper > -0.85:
            return forearm


def _angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((first * second).sum(-1), -1.0, 1.0))).max())
