"""People ordered alike in all frames, the gaps in their joints filled, and their paths smoothed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import savgol_filter

from vidda.control.keypoints import THRESHOLD, Pose, known, people_boxes

NEW = 1.0
"""A person who would have jumped by this share of their size is another one."""
MOVES_ON = 5
"""For how many frames an unseen person is expected to keep their speed."""


@dataclass
class _Track:
    """One person so far: where they were last, and their speed in pixels a frame.

    places: the frame and the place in it, of each time they were seen.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    speed: np.ndarray
    places: list[tuple[int, int]]

    def expected(self, frame: int) -> np.ndarray:
        """Where the joints (17, 2) would be in a later frame."""
        passed = min(frame - self.places[-1][0], MOVES_ON)
        return self.keypoints + passed * self.speed


def track(pose: Pose, shortest: int = 2) -> Pose:
    """Give each person the same place in all frames.

    Frame by frame the people are assigned to the ones so far, as they would stand had they moved on
    at their speed, so that the joints' mean distances, as shares of the people's sizes, have the
    least sum (the Hungarian algorithm). Who is farther than `NEW` from everybody is a new person.
    One person alone is given back as they are.

    shortest: who is seen in fewer frames (of a longer clip) is a false detection and left out.
    Gives (T, Q, ...) for Q people in the order in which they appear; scores are 0 where one is not
    seen.
    """
    frames, people = pose.scores.shape[:2]
    if people <= 1:
        return pose
    tracks: list[_Track] = []
    for t in range(frames):
        there = np.flatnonzero(pose.scores[t].any(axis=1))
        _extend(tracks, t, there, pose.keypoints[t], pose.scores[t])
    kept = [one for one in tracks if len(one.places) >= min(shortest, frames)]
    keypoints = np.zeros((frames, len(kept), *pose.keypoints.shape[2:]), np.float32)
    scores = np.zeros(keypoints.shape[:3], np.float32)
    for number, one in enumerate(kept):
        for t, place in one.places:
            keypoints[t, number] = pose.keypoints[t, place]
            scores[t, number] = pose.scores[t, place]
    return Pose(keypoints, scores)


def _extend(
    tracks: list[_Track], t: int, there: np.ndarray, keypoints: np.ndarray, scores: np.ndarray
) -> None:
    """Add the people of frame `t`, those at the places `there`, to their tracks or to new ones."""
    cost = np.full((len(tracks), len(there)), NEW)
    for row, one in enumerate(tracks):
        for column, place in enumerate(there):
            distance = _distance(one.expected(t), one.scores, keypoints[place], scores[place])
            cost[row, column] = min(distance, NEW)
    rows, columns = linear_sum_assignment(cost)
    assigned = dict(zip(columns, rows, strict=True))
    for column, place in enumerate(there):
        at, sure = keypoints[place], scores[place]
        who = assigned.get(column)
        if who is None or cost[who, column] >= NEW:
            tracks.append(_Track(at, sure, np.zeros(2), [(t, int(place))]))
            continue
        one = tracks[who]
        expected, both = one.expected(t), (one.scores > 0) & (sure > 0)
        passed = t - one.places[-1][0]
        one.speed = np.median((at - one.keypoints)[both], axis=0) / passed
        one.keypoints = np.where((sure > 0)[:, None], at, expected)
        one.scores = np.where(sure > 0, sure, one.scores)
        one.places.append((t, int(place)))


def _distance(a: np.ndarray, a_scores: np.ndarray, b: np.ndarray, b_scores: np.ndarray) -> float:
    """Return mean distance of the joints that both have, as a share of the people's size."""
    weight = a_scores * b_scores
    if not weight.any():
        return NEW
    sizes = [np.ptp(at[sure > 0], axis=0).max() for at, sure in ((a, a_scores), (b, b_scores))]
    apart = np.linalg.norm(a - b, axis=1)
    return float((weight * apart).sum() / weight.sum() / max(*sizes, 1.0))


def smooth(
    pose: Pose, threshold: float = THRESHOLD, longest_gap: int | None = 15, window: int = 5
) -> Pose:
    """Fill each joint's gaps in time, then smooth its path without lag.

    Gaps are filled with a straight line between the known places on both sides; before the first
    and after the last one, that place is held. Scores are filled alike, so a joint that was filled
    is as sure as its neighbors in time. Then a Savitzky-Golay filter fits a parabola to the places
    around each frame: it is symmetric in time, so nothing is delayed, and keeps the height of a
    fast gesture, which averaging would cut.

    pose: of people in the same order in all frames (see `track`). threshold: a joint scored lower
    is unknown. longest_gap: a gap of more frames stays unknown, with scores 0, None: none does.
    window: frames that are smoothed over, odd; fewer where a path is shorter, 1 or 2 for no
    smoothing at all. Joints that are known in no frame stay unknown.

    Source: Savitzky and Golay, Smoothing and Differentiation of Data by Simplified Least Squares
    Procedures, 1964.
    """
    keypoints = np.zeros_like(pose.keypoints)
    scores = np.zeros_like(pose.scores)
    for person, joint in np.ndindex(pose.scores.shape[1:]):
        seen = pose.scores[:, person, joint]
        sure = known(seen, threshold)
        for run in _runs(_within_reach(sure, longest_gap)):
            frames = np.flatnonzero(sure[run]) + run.start
            asked = np.arange(run.start, run.stop)
            scores[run, person, joint] = np.interp(asked, frames, seen[frames])
            path = np.stack(
                [
                    np.interp(asked, frames, axis[frames])
                    for axis in pose.keypoints[:, person, joint].T
                ],
                axis=1,
            )
            keypoints[run, person, joint] = _savitzky_golay(path, window)
    return Pose(keypoints, scores)


def _runs(flags: np.ndarray) -> list[slice]:
    """Return the stretches of frames in which `flags` (T,) is true."""
    steps = np.diff(flags.astype(np.int8), prepend=0, append=0)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def _within_reach(sure: np.ndarray, longest_gap: int | None) -> np.ndarray:
    """`sure` (T,) with its gaps of at most `longest_gap` frames closed."""
    if not sure.any():
        return sure
    reached = sure.copy()
    for gap in _runs(~sure):
        reached[gap] = longest_gap is None or gap.stop - gap.start <= longest_gap
    return reached


def _savitzky_golay(path: np.ndarray, window: int) -> np.ndarray:
    """Return a path (T, 2) smoothed over an odd window of at most its length."""
    length = min(window, len(path))
    length -= 1 - length % 2
    smoothed: np.ndarray = path if length <= 2 else savgol_filter(path, length, 2, axis=0)
    return smoothed


def main_person(
    pose: Pose,
    height: int,
    width: int,
    choice: Literal["largest", "surest", "central"] = "largest",
) -> Pose:
    """Return the one person that a clip is about, (T, 1, ...).

    pose: of people in the same order in all frames. height, width: of the frames, in pixels.
    choice: `largest` has the largest box on average over all frames, `surest` the highest scores,
    `central` is nearest to the middle of the frame; a frame in which a person is not seen counts
    against them. A pose of nobody is given back.
    """
    if pose.scores.shape[1] <= 1:
        return pose
    boxes = people_boxes(pose).astype(np.float64)
    if choice == "surest":
        merit = pose.scores.mean(axis=(0, 2))
    elif choice == "largest":
        area = (boxes[..., 2:] - boxes[..., :2]).prod(axis=2)
        merit = np.nan_to_num(area).mean(axis=0)
    else:
        middle = (np.array([width, height]) - 1) / 2
        away = np.linalg.norm((boxes[..., :2] + boxes[..., 2:]) / 2 - middle, axis=2)
        merit = -np.nan_to_num(away, nan=float(np.hypot(width, height))).mean(axis=0)
    who = slice(best := int(merit.argmax()), best + 1)
    return Pose(pose.keypoints[:, who], pose.scores[:, who])
