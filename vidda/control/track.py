"""Track people over time: one order in all frames, gaps in their joints filled, paths smoothed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import savgol_filter

from vidda.control.keypoints import THRESHOLD, Pose, known_joints, people_boxes

NEW_PERSON_DISTANCE = 1.0
"""Distance, relative to a person's size, from which a detection is taken for another person."""
MAX_EXTRAPOLATION = 5
"""Most frames over which a person who is not detected is expected to keep their speed."""


@dataclass
class _Track:
    """One person's track so far: the latest known joints, and their speed in pixels per frame.

    detections: the frame and the index in it of each time that the person was detected.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    speed: np.ndarray
    detections: list[tuple[int, int]]

    def expected(self, frame: int) -> np.ndarray:
        """Return the joints (17, 2) extrapolated to a later frame."""
        elapsed = min(frame - self.detections[-1][0], MAX_EXTRAPOLATION)
        return self.keypoints + elapsed * self.speed


def track_people(pose: Pose, shortest: int = 2) -> Pose:
    """Return the poses with each person at the same index in all frames.

    Frame by frame, people are assigned to the tracks so far, extrapolated at their speed, so that
    the sum of the mean distances of their joints, relative to the people's sizes, is smallest (the
    Hungarian algorithm). A person farther than `NEW_PERSON_DISTANCE` from every track starts a new
    one. A pose of one person at most is returned unchanged.

    shortest: people detected in fewer frames (of a longer clip) are taken for false detections and
    left out. Returns (T, Q, ...) for Q people in the order in which they appear; scores are 0 where
    a person is not detected.
    """
    frames, people = pose.scores.shape[:2]
    if people <= 1:
        return pose
    tracks: list[_Track] = []
    for t in range(frames):
        detected = np.flatnonzero(pose.scores[t].any(axis=1))
        _extend_tracks(tracks, t, detected, pose.keypoints[t], pose.scores[t])
    long_enough = [track for track in tracks if len(track.detections) >= min(shortest, frames)]
    keypoints = np.zeros((frames, len(long_enough), *pose.keypoints.shape[2:]), np.float32)
    scores = np.zeros(keypoints.shape[:3], np.float32)
    for person, track in enumerate(long_enough):
        for t, index in track.detections:
            keypoints[t, person] = pose.keypoints[t, index]
            scores[t, person] = pose.scores[t, index]
    return Pose(keypoints, scores)


def _extend_tracks(
    tracks: list[_Track], t: int, detected: np.ndarray, keypoints: np.ndarray, scores: np.ndarray
) -> None:
    """Add the people of frame `t` to their tracks, or to new ones.

    detected: indices of the people in `keypoints` (P, 17, 2) and `scores` (P, 17).
    """
    cost = np.full((len(tracks), len(detected)), NEW_PERSON_DISTANCE)
    for row, track in enumerate(tracks):
        for column, index in enumerate(detected):
            distance = _distance(track.expected(t), track.scores, keypoints[index], scores[index])
            cost[row, column] = min(distance, NEW_PERSON_DISTANCE)
    rows, columns = linear_sum_assignment(cost)
    assigned = dict(zip(columns, rows, strict=True))
    for column, index in enumerate(detected):
        joints, joint_scores = keypoints[index], scores[index]
        assigned_track = assigned.get(column)
        if assigned_track is None or cost[assigned_track, column] >= NEW_PERSON_DISTANCE:
            tracks.append(_Track(joints, joint_scores, np.zeros(2), [(t, int(index))]))
            continue
        track = tracks[assigned_track]
        expected, both = track.expected(t), (track.scores > 0) & (joint_scores > 0)
        elapsed = t - track.detections[-1][0]
        track.speed = np.median((joints - track.keypoints)[both], axis=0) / elapsed
        track.keypoints = np.where((joint_scores > 0)[:, None], joints, expected)
        track.scores = np.where(joint_scores > 0, joint_scores, track.scores)
        track.detections.append((t, int(index)))


def _distance(a: np.ndarray, a_scores: np.ndarray, b: np.ndarray, b_scores: np.ndarray) -> float:
    """Return the mean distance of the joints that both have, relative to the people's size."""
    weight = a_scores * b_scores
    if not weight.any():
        return NEW_PERSON_DISTANCE
    sizes = [
        np.ptp(joints[scores > 0], axis=0).max()
        for joints, scores in ((a, a_scores), (b, b_scores))
    ]
    distances = np.linalg.norm(a - b, axis=1)
    return float((weight * distances).sum() / weight.sum() / max(*sizes, 1.0))


def smooth_pose(
    pose: Pose, threshold: float = THRESHOLD, longest_gap: int | None = 15, window: int = 5
) -> Pose:
    """Return a pose with each joint's gaps in time filled, then its path smoothed without lag.

    Gaps are filled with a straight line between the known positions on both sides; before the first
    and after the last one, that position is held. Scores are filled alike, so a filled joint has
    the score of its neighbors in time. Then a Savitzky-Golay filter fits a parabola to the
    positions around each frame: it is symmetric in time, so nothing is delayed, and keeps the
    height of a fast gesture, which averaging would cut.

    pose: of people at the same index in all frames (see `track_people`). threshold: lowest score of
    a known joint. longest_gap: a gap of more frames stays unknown, with scores 0; None: every gap
    is filled. window: frames to smooth over, odd; fewer where a path is shorter, 1 or 2 for no
    smoothing. Joints that are known in no frame stay unknown.

    Source: Savitzky and Golay, Smoothing and Differentiation of Data by Simplified Least Squares
    Procedures, 1964.
    """
    keypoints = np.zeros_like(pose.keypoints)
    scores = np.zeros_like(pose.scores)
    for person, joint in np.ndindex(pose.scores.shape[1:]):
        joint_scores = pose.scores[:, person, joint]
        known = known_joints(joint_scores, threshold)
        for stretch in _runs(_close_gaps(known, longest_gap)):
            known_frames = np.flatnonzero(known[stretch]) + stretch.start
            wanted = np.arange(stretch.start, stretch.stop)
            scores[stretch, person, joint] = np.interp(
                wanted, known_frames, joint_scores[known_frames]
            )
            path = np.stack(
                [
                    np.interp(wanted, known_frames, axis[known_frames])
                    for axis in pose.keypoints[:, person, joint].T
                ],
                axis=1,
            )
            keypoints[stretch, person, joint] = _savitzky_golay(path, window)
    return Pose(keypoints, scores)


def _runs(flags: np.ndarray) -> list[slice]:
    """Return the stretches of frames in which `flags` (T,) is true."""
    steps = np.diff(flags.astype(np.int8), prepend=0, append=0)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def _close_gaps(known: np.ndarray, longest_gap: int | None) -> np.ndarray:
    """Return `known` (T,) bool with its gaps of at most `longest_gap` frames closed."""
    if not known.any():
        return known
    closed = known.copy()
    for gap in _runs(~known):
        closed[gap] = longest_gap is None or gap.stop - gap.start <= longest_gap
    return closed


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

    pose: of people at the same index in all frames. height, width: of the frames, in pixels.
    choice: `largest` has the largest box on average over all frames, `surest` the highest scores,
    `central` is nearest to the middle of the frame; frames in which a person is not detected count
    against them. A pose without people is returned unchanged.
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
        distance = np.linalg.norm((boxes[..., :2] + boxes[..., 2:]) / 2 - middle, axis=2)
        merit = -np.nan_to_num(distance, nan=float(np.hypot(width, height))).mean(axis=0)
    chosen = slice(best := int(merit.argmax()), best + 1)
    return Pose(pose.keypoints[:, chosen], pose.scores[:, chosen])
