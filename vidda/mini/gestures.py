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
"""Class names by RoCoG-v2's class id."""

TWO_ARMED = frozenset({"MoveForward", "MoveInReverse"})

REST = (np.array([0.16, 0.0, -1.0]), np.array([0.08, 0.2, -1.0]))


@dataclass(frozen=True)
class Style:
    """How one person performs a gesture once.

    start_s: when the arms leave the idle pose; raise_s: how long they take to reach the gesture;
    end_s: when they start back to idle; period_s: one repetition; amplitude: 1 is the textbook's.
    """

    start_s: float
    end_s: float
    raise_s: float
    period_s: float
    amplitude: float
    left_handed: bool


def arms(gesture: str, time_s: np.ndarray, style: Style) -> np.ndarray:
    """Arm directions at the given times (T,): (T, 2, 2, 3).

    Axis 1 is right and left arm, axis 2 upper arm and forearm, axis 3 outward, forward, up.
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
    """Return unit vectors (..., 3) on the arc from `start` to `end`, at `share` (...)
    of the way.
    """
    cosine = np.clip((start * end).sum(-1, keepdims=True), -0.9999, 0.9999)
    angle = np.arccos(cosine)
    share = share[..., None]
    mixed = np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end
    return _unit(mixed)


def _advance(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the raised arm swings overhead and forward until it is horizontal."""
    swing = _there_and_back(phase, rise=0.45)
    back, front = _pair((0.3, -0.45, 0.9), (0.12, 1.0, 0.1 + 0.3 * (1.0 - size)))
    arm = slerp(back, front, swing)
    return arm, arm


def _attention(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the arm, extended sideways slightly above the horizontal, waves to and
    over the head.
    """
    wave = _there_and_back(phase, rise=0.5) * size
    out, over = _pair((1.0, 0.05, 0.2), (0.75, 0.05, 0.75))
    low, high = _pair((1.0, 0.1, 0.3), (-0.9, 0.1, 0.75))
    return slerp(out, over, wave), slerp(low, high, wave)


def _rally(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the arm, raised vertically overhead, draws large horizontal circles."""
    angle = 2.0 * np.pi * phase
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    up = np.array([0.1, 0.05, 1.0])
    return _unit(up + 0.28 * size * circle), _unit(up + 0.75 * size * circle)


def _move_forward(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both arms at shoulder level, palms to the chest; the forearms beckon backward,
    quickly.
    """
    pull = _there_and_back(phase, rise=0.4) * size
    out, lifted = _pair((0.3, 1.0, -0.25), (0.35, 0.9, 0.1))
    flat, upright = _pair((0.1, 1.0, 0.0), (-0.1, -0.3, 1.0))
    return slerp(out, lifted, pull), slerp(flat, upright, pull)


def _halt(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the hand is raised to the full extent of the arm and held."""
    arm = np.broadcast_to(_unit(np.array([0.12 + 0.2 * (1.0 - size), 0.1, 1.0])), (len(phase), 3))
    return arm, arm


def _follow_me(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return one arm held out to the front, palm up, motions toward the body and the other
    shoulder.
    """
    pull = _there_and_back(phase, rise=0.4) * size
    out, drawn = _pair((0.6, 0.85, -0.2), (0.5, 0.9, -0.05))
    open_, closed = _pair((0.5, 0.9, 0.05), (-0.75, 0.0, 0.65))
    return slerp(out, drawn, pull), slerp(open_, closed, pull)


def _move_in_reverse(phase: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both hands at shoulder level, palms to the front, push forward and come back."""
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
    """0 to 1 and back once in a cycle; `rise` is the share of the cycle that the way up takes."""
    return _ease(np.where(phase < rise, phase / rise, (1.0 - phase) / (1.0 - rise)))


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3.0 - 2.0 * share)


def _pair(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    return _unit(np.array(first)), _unit(np.array(second))


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return unit
