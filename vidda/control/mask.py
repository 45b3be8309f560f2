"""Where the people of a clip are: the dataset's own mask, or what a skeleton suggests."""

import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from vidda import video
from vidda.control.draw_pose import BODY, LIMBS, openpose
from vidda.control.keypoints import THRESHOLD, Pose, known, people_boxes
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.sidecar import path_of, rows_of
from vidda.types import ClipRecord

# Relative to the length of a torso, from the neck to the middle of the hips.
LIMB_RADIUS = 0.15
HEAD_RADIUS = 0.32
TORSO_OF_EXTENT = 0.3
"""A torso's length relative to the longer side of the box around all joints."""

# A hand or foot reaches beyond the wrist or ankle by this share of the forearm or shin.
EXTREMITY = 0.45
ENDS = {
    "right_wrist": "right_elbow",
    "left_wrist": "left_elbow",
    "right_ankle": "right_knee",
    "left_ankle": "left_knee",
}
TORSO = ("right_shoulder", "left_shoulder", "left_hip", "right_hip")
HEAD = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")


def has_mask(clip: ClipRecord, root: Path) -> bool:
    """Return whether a clip has a sidecar with a mask in it."""
    try:
        with np.load(path_of(clip, root), allow_pickle=False) as content:
            return "mask" in content
    except FileNotFoundError:
        return False
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return True  # reading it says what is wrong


def person_mask(
    clip: ClipRecord,
    root: Path,
    pose: Pose | None,
    height: int,
    width: int,
    indices: np.ndarray | None = None,
    grow: int = 0,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """Return the pixels of people, (T, height, width) bool: the sidecar's mask, else from the
    skeletons.

    clip, root: which clip of which manifest's root. pose: its poses in pixels of height x width,
    needed where there is no sidecar. indices: (T,) which of the clip's frames, from 0; None: all.
    grow: pixels by which the mask is widened. threshold: see `skeleton_mask`. Raises ViddaError
    when there is neither a mask nor a pose, and when the sidecar does not fit the clip.
    """
    if has_mask(clip, root):
        if indices is None:
            frames = (
                video.probe(inside(root, clip.path)).frames if pose is None else len(pose.scores)
            )
        else:
            frames = len(indices)
        regions = rows_of(clip, root, "mask", frames, indices)
        mask = np.stack([_resized(rows > 0, height, width) for rows in regions])
    elif pose is not None:
        mask = skeleton_mask(pose, height, width, threshold)
    else:
        raise ViddaError(
            f"clip {clip.id!r}: neither a mask in a sidecar nor a pose to draw one from; choose a"
            " source of poses"
        )
    return grown(mask, grow)


def skeleton_mask(pose: Pose, height: int, width: int, threshold: float = THRESHOLD) -> np.ndarray:
    """Return the pixels that people with such skeletons may cover, (T, height, width) bool.

    Limbs get the thickness of an average build for the length of the person's torso, the head a
    disc, and hands and feet the place beyond wrists and ankles. threshold: joints with a lower
    score are left out.
    """
    body = openpose(pose)
    boxes = people_boxes(pose, threshold)
    extents = np.nan_to_num(boxes[..., 2:] - boxes[..., :2]).max(axis=2)
    mask = np.zeros((len(body.scores), height, width), np.uint8)
    for canvas, people, scores, extent in zip(
        mask, body.keypoints, body.scores, extents, strict=True
    ):
        for joints, sure, longest in zip(people, known(scores, threshold), extent, strict=True):
            _draw_person(canvas, joints, sure, float(longest))
    return mask.astype(bool)


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return a mask (T, H, W) bool widened by so many pixels in every direction."""
    if pixels == 0:
        return mask
    side = 2 * pixels + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.stack([cv2.dilate(one.astype(np.uint8), disc) > 0 for one in mask])


def _draw_person(canvas: np.ndarray, joints: np.ndarray, sure: np.ndarray, extent: float) -> None:
    """Fill in one person. joints: (18, 2) in pixels, sure: (18,) bool, in the order of BODY."""
    place = {name: joints[n] for n, name in enumerate(BODY) if sure[n]}
    if not place:
        return
    torso = _torso_length(place) or TORSO_OF_EXTENT * extent
    thickness = max(1, round(2 * LIMB_RADIUS * torso))
    lines = [(place[a], place[b]) for a, b in LIMBS if a in place and b in place]
    for end, before in ENDS.items():
        if end in place and before in place:
            lines.append((place[end], place[end] + EXTREMITY * (place[end] - place[before])))
    for start, stop in lines:
        cv2.line(canvas, _pixel(start), _pixel(stop), 1, thickness)
    corners = [place[name] for name in TORSO if name in place]
    if len(corners) >= 3:
        cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 1)
    face = [place[name] for name in HEAD if name in place]
    if face:
        cv2.circle(canvas, _pixel(np.mean(face, axis=0)), round(HEAD_RADIUS * torso), 1, cv2.FILLED)


def _torso_length(place: dict[str, np.ndarray]) -> float:
    """From the neck to the middle of the hips in pixels; 0 where they are not known."""
    hips = [place[name] for name in ("right_hip", "left_hip") if name in place]
    if "neck" not in place or not hips:
        return 0.0
    return float(np.linalg.norm(np.mean(hips, axis=0) - place["neck"]))


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(point).astype(int).tolist()
    return x, y


def _resized(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a mask (H, W) bool at another size: what at least half of a pixel's area says."""
    shrinks = height <= mask.shape[0] and width <= mask.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=interpolation)
    return np.asarray(share >= 0.5)
