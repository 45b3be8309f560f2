"""The seven robot-control gestures of RoCoG-v2 as arm movements.

They follow the descriptions of US Army visual signals (TC 3-21.60) that RoCoG-v2 took its gestures
from. An arm is two unit directions, of the upper arm and of the forearm, in the person's own axes:
outward (away from the body on the arm's side), forward, up. Outward makes left and right alike, so
a left-handed gesture is the mirror image of a right-handed one.
"""

from dataclasses import dataclass

import numpy as np

GESTURES = (
    "Advance",
    "Attention",
    "Rally",
    "MoveForward",
    "Halt",
    "FollowMe",
    "MoveInReverse",
)
"""Class names in the order of RoCoG-v2's class ids."""

TWO_ARMED = frozenset({"MoveForward", "MoveInReverse"})

REST = (np.array([0.16, 0.0, -1.0]), np.array([0.08, 0.2, -1.0]))


@dataclass(frozen=True)
class Style:
    """The timing and extent of one performance of a gesture; times are in seconds.

    start_s: when the arms leave the idle pose; raise_s: how long they take to reach the gesture;
    end_s: when they start back to idle; period_s: of one repetition; amplitude: relative to the
    manual's, 1.
    """

    start_s: float
    end_s: float
    raise_s: float
    period_s: float
    amplitude: float
    left_handed: bool


def arms(gesture: str, time_s: np.ndarray, style: Style) -> np.ndarray:
    """Return arm directions of a gesture, (T, 2, 2, 3) unit vectors.

    Axis 1 is right and left arm, axis 2 upper arm and forearm, axis 3 outward, forward, up.
    gesture: a name of GESTURES. time_s: (T,) seconds from the clip's start.
    """
    since = np.maximum(time_s - style.start_s, 0.0)
    phase = (np.maximum(since - 0.6 * style.raise_s, 0.0) / style.period_s) % 1.0
    active = np.stack(_CYCLES[gesture](phase, style.amplitude), axis=1)
    lowered = np.clip((time_s - style.end_s) / style.raise_s, 0.0, 1.0)
    raised = _ease(np.clip(since / style.raise_s, 0.0, 1.0)) * (1.0 - _ease(lowered))
    rest = np.broadcast_to(_unit(np.stack(REST)), active.shape)
    moving = slerp(rest, active, raised[:, None])
    both = np.stack([moving, moving if gesture in TWO_ARMED else rest], axis=1)
    return both[:, ::-1] if style.left_handed else both


def slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate unit vectors (..., 3) along the arc from `start` to `end`.

    share: (...) of the way, 0..1.
    """
    cosine = np.clip((start * end).sum(-1, keepdims=True), -0.9999, 0.9999)
    angle = np.arccos(cosine)
    share = share[..., None]
    mixed = np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end
    return _unit(mixed)


def _advance(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Swing the raised arm overhead and forward until it is horizontal.

    Like the six below, it returns the directions (T, 3) of upper arm and forearm at each phase (T,)
    in 0..1 of the repetition; size is the amplitude.
    """
    swing = _there_and_back(phase, rise=0.45)
    back, front = _pair((0.3, -0.45, 0.9), (0.12, 1.0, 0.1 + 0.3 * (1.0 - size)))
    arm = slerp(back, front, swing)
    return arm, arm


def _attention(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Wave the arm from slightly above the horizontal, extended sideways, to over the head."""
    wave = _there_and_back(phase, rise=0.5) * size
    out, over = _pair((1.0, 0.05, 0.2), (0.75, 0.05, 0.75))
    low, high = _pair((1.0, 0.1, 0.3), (-0.9, 0.1, 0.75))
    return slerp(out, over, wave), slerp(low, high, wave)


def _rally(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Move the arm, raised vertically overhead, in large horizontal circles."""
    angle = 2.0 * np.pi * phase
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    up = np.array([0.1, 0.05, 1.0])
    return _unit(up + 0.28 * size * circle), _unit(up + 0.75 * size * circle)


def _move_forward(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Beckon backward with the forearms, quickly, arms at shoulder level, palms to the chest."""
    pull = _there_and_back(phase, rise=0.4) * size
    out, lifted = _pair((0.3, 1.0, -0.25), (0.35, 0.9, 0.1))
    flat, upright = _pair((0.1, 1.0, 0.0), (-0.1, -0.3, 1.0))
    return slerp(out, lifted, pull), slerp(flat, upright, pull)


def _halt(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Raise the hand to the full extent of the arm and hold it."""
    arm = np.broadcast_to(_unit(np.array([0.12 + 0.2 * (1.0 - size), 0.1, 1.0])), (len(phase), 3))
    return arm, arm


def _follow_me(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Hold one arm out to the front, palm up, and move it toward the body and other shoulder."""
    pull = _there_and_back(phase, rise=0.4) * size
    out, pulled = _pair((0.6, 0.85, -0.2), (0.5, 0.9, -0.05))
    open_, closed = _pair((0.5, 0.9, 0.05), (-0.75, 0.0, 0.65))
    return slerp(out, pulled, pull), slerp(open_, closed, pull)


def _move_in_reverse(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Push both hands forward from shoulder level, palms to the front, and take them back."""
    push = _there_and_back(phase, rise=0.4) * size
    elbow_in, elbow_out = _pair((0.5, -0.1, -0.8), (0.2, 1.0, -0.1))
    hand_in, hand_out = _pair((0.05, 0.45, 0.9), (0.0, 1.0, 0.12))
    return slerp(elbow_in, elbow_out, push), slerp(hand_in, hand_out, push)


_CYCLES = {
    "Advance": _advance,
    "Attention": _attention,
    "Rally": _rally,
    "MoveForward": _move_forward,
    "Halt": _halt,
    "FollowMe": _follow_me,
    "MoveInReverse": _move_in_reverse,
}


def _there_and_back(phase: np.ndarray, rise: float) -> np.ndarray:
    """Return 0 to 1 and back once in a cycle; `rise` is the share of the cycle that goes up."""
    return _ease(np.where(phase < rise, phase / rise, (1.0 - phase) / (1.0 - rise)))


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3.0 - 2.0 * share)


def _pair(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    return _unit(np.array(first)), _unit(np.array(second))


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return unit
