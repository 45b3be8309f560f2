"""The arms of a person who performs a gesture, as directions at each time."""

from dataclasses import dataclass

import numpy as np

from vidda.mini.gesture_file import Gesture, KeyPose, Movement, load_gestures, unit

ROCOG = load_gestures("rocog")
"""The seven robot-control gestures of RoCoG-v2, by name."""
GESTURES = tuple(ROCOG)
"""Class names in the order of RoCoG-v2's class ids."""
TWO_ARMED = frozenset(name for name, gesture in ROCOG.items() if gesture.both_arms)

REST = (np.array([0.16, 0.0, -1.0]), np.array([0.08, 0.2, -1.0]))
OWN_SHARE = 0.3
"""How far the two arms of one performance differ: the share of the pose that each has alone."""

SPREAD = 0.5
"""Of a Dirichlet distribution over listed poses: below 1 most performances are near one of them."""


@dataclass(frozen=True)
class Style:
    """The timing and extent of one performance of a gesture; times are in seconds.

    start_s: when the arms leave the idle pose; raise_s: how long they take to reach the gesture;
    end_s: when they start back to idle; period_s: of one repetition; amplitude: relative to the
    manual's, 1. left_handed: swaps the arms of a gesture of one arm.
    """

    start_s: float
    end_s: float
    raise_s: float
    period_s: float
    amplitude: float
    left_handed: bool


def draw_performance(rng: np.random.Generator, gesture: Gesture) -> Gesture:
    """Return a gesture with one held pose an arm, at random between those that it lists."""
    right, left = gesture.movements
    listed = max(len(movement.hold) for movement in (right, left) if movement)
    if listed < 2:
        return gesture
    common = rng.dirichlet(np.full(listed, SPREAD))
    held: dict[str, Movement | None] = {"one_arm": None, "both_arms": None}
    for name, movement in (("right_arm", right), ("left_arm", left)):
        own = rng.dirichlet(np.full(listed, SPREAD))
        share = (1.0 - OWN_SHARE) * common + OWN_SHARE * own
        held[name] = movement and _between(movement, share)
    if gesture.one_arm:
        held = {"one_arm": held["right_arm"]}
    return gesture.model_copy(update=held)


def _between(movement: Movement, share: np.ndarray) -> Movement:
    """Return a movement that holds a mixture of its poses. share: of the first poses, at least."""
    if len(movement.hold) < 2:
        return movement
    share = share[: len(movement.hold)]
    poses = np.stack([unit(pose.directions) for pose in movement.hold])
    upper, forearm = np.einsum("p,pij->ij", share / share.sum(), poses).tolist()
    return Movement(hold=(KeyPose(upper=tuple(upper), forearm=tuple(forearm)),))


def arms(gesture: Gesture, time_s: np.ndarray, style: Style) -> np.ndarray:
    """Return arm directions of a gesture, (T, 2, 2, 3) unit vectors.

    Axis 1 is right and left arm, axis 2 upper arm and forearm, axis 3 outward, forward, up.
    gesture: of several held poses the first is taken, see `draw_performance`. time_s: (T,) seconds
    from the clip's start.
    """
    since = np.maximum(time_s - style.start_s, 0.0)
    phase = (np.maximum(since - 0.6 * style.raise_s, 0.0) / style.period_s) % 1.0
    lowered = np.clip((time_s - style.end_s) / style.raise_s, 0.0, 1.0)
    raised = _ease(np.clip(since / style.raise_s, 0.0, 1.0)) * (1.0 - _ease(lowered))
    rest = np.broadcast_to(unit(np.stack(REST)), (len(time_s), 2, 3))
    both = np.stack(
        [
            slerp(rest, _directions(movement, phase, style.amplitude), raised[:, None])
            if movement
            else rest
            for movement in gesture.movements
        ],
        axis=1,
    )
    return both[:, ::-1] if style.left_handed and gesture.one_arm else both


def slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate unit vectors (..., 3) along the arc from `start` to `end`.

    share: (...) of the way, 0..1.
    """
    cosine = np.clip((start * end).sum(-1, keepdims=True), -0.9999, 0.9999)
    angle = np.arccos(cosine)
    share = share[..., None]
    mixed = np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end
    return unit(mixed)


def _directions(movement: Movement, phase: np.ndarray, amplitude: float) -> np.ndarray:
    """Return the directions (T, 2, 3) of upper arm and forearm at each phase (T,) in 0..1."""
    poses = movement.repeat or movement.hold[:1]
    keys = np.stack([_sized(pose, amplitude) for pose in poses])
    if movement.circle:
        angle = 2.0 * np.pi * phase
        around = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
        radius = np.array([movement.circle.upper, movement.circle.forearm])
        return unit(keys[0] + (radius * amplitude)[:, None] * around[:, None])
    keys = unit(keys)
    if movement.hold:
        return np.broadcast_to(keys[0], (len(phase), 2, 3))
    if not any(pose.small for pose in poses):
        keys = slerp(np.broadcast_to(keys[0], keys.shape), keys, np.full((len(keys), 2), amplitude))
    at = np.array([pose.at for pose in poses] + [1.0])
    before = np.searchsorted(at, phase, side="right") - 1
    share = _ease((phase - at[before]) / (at[before + 1] - at[before]))
    return slerp(keys[before], keys[(before + 1) % len(keys)], share[:, None])


def _sized(pose: KeyPose, amplitude: float) -> np.ndarray:
    """Return the directions (2, 3) of a pose at an amplitude; see `KeyPose.small`."""
    if pose.small is None:
        return pose.directions
    return amplitude * pose.directions + (1.0 - amplitude) * pose.small.directions


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3.0 - 2.0 * share)
