"""Masks of the people in a clip: the dataset's own, or drawn from their skeletons."""

import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from vidda import video
from vidda.control.draw_pose import LIMBS, OPENPOSE_JOINTS, to_openpose
from vidda.control.keypoints import THRESHOLD, Pose, known_joints, people_boxes
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.sidecar import read_mask, sidecar_path
from vidda.types import ClipRecord

# Shares of the torso's length, from the neck to the middle of the hips.
LIMB_RADIUS = 0.15
HEAD_RADIUS = 0.32
TORSO_SHARE = 0.3
"""A torso's length relative to the longer side of the box around all joints."""

# A hand or foot reaches beyond the wrist or ankle by this share of the forearm or shin.
EXTREMITY_SHARE = 0.45
PRECEDING_JOINT = {
    "right_wrist": "right_elbow",
    "left_wrist": "left_elbow",
    "right_ankle": "right_knee",
    "left_ankle": "left_knee",
}
TORSO = ("right_shoulder", "left_shoulder", "left_hip", "right_hip")
HEAD = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")


def has_mask(clip: ClipRecord, root: Path) -> bool:
    """Return whether a clip has a sidecar with a mask in it.

    clip, root: the clip, and its manifest's root. A damaged sidecar counts as having one, so that
    reading it reports the error.
    """
    try:
        with np.load(sidecar_path(clip, root), allow_pickle=False) as content:
            return "mask" in content
    except FileNotFoundError:
        return False
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return True  # reading it later reports the error


def person_mask(
    clip: ClipRecord,
    root: Path,
    pose: Pose | None,
    height: int,
    width: int,
    indices: np.ndarray | None = None,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """Return the pixels of people, (T, height, width) bool: the sidecar's mask, else from the
    skeletons.

    clip, root: the clip, and its manifest's root. pose: its poses in pixels of height x width,
    needed where the sidecar has no mask. indices: (T,) numbers of the frames in the clip, from 0;
    None: all. threshold: see `skeleton_mask`.

    Raises ViddaError when there is neither a mask nor a pose, and when the sidecar does not fit the
    clip.
    """
    if has_mask(clip, root):
        if indices is None:
            frames = (
                video.probe(inside(root, clip.path)).frames if pose is None else len(pose.scores)
            )
        else:
            frames = len(indices)
        return sidecar_mask(clip, root, frames, height, width, indices)
    if pose is not None:
        return skeleton_mask(pose, height, width, threshold)
    raise ViddaError(
        f"clip {clip.id!r}: no mask in a sidecar, and no pose to draw one from; choose a source of"
        " poses or masks"
    )


def sidecar_mask(
    clip: ClipRecord,
    root: Path,
    count: int,
    height: int,
    width: int,
    indices: np.ndarray | None = None,
) -> np.ndarray:
    """Return the pixels of people in the mask of a clip's sidecar, (count, height, width) bool.

    clip, root: the clip, and its manifest's root. count: number of frames. indices: (count,)
    numbers of the frames in the clip, from 0; None: all. Raises ViddaError when the sidecar has no
    mask, or one that does not fit the clip.
    """
    regions, _ = read_mask(clip, root, count, indices)
    return np.stack([_resize_mask(rows > 0, height, width) for rows in regions])


def skeleton_mask(pose: Pose, height: int, width: int, threshold: float = THRESHOLD) -> np.ndarray:
    """Return the pixels that people with these skeletons may cover, (T, height, width) bool.

    pose: COCO-17 keypoints in pixels of the mask. Limbs get the thickness of an average build for
    the length of the person's torso, the head a disc, and hands and feet the area beyond wrists and
    ankles. threshold: joints with a lower score are left out.
    """
    body = to_openpose(pose)
    boxes = people_boxes(pose, threshold)
    extents = np.nan_to_num(boxes[..., 2:] - boxes[..., :2]).max(axis=2)
    mask = np.zeros((len(body.scores), height, width), np.uint8)
    for canvas, people, scores, extent in zip(
        mask, body.keypoints, body.scores, extents, strict=True
    ):
        for joints, known, longest in zip(
            people, known_joints(scores, threshold), extent, strict=True
        ):
            _draw_person(canvas, joints, known, float(longest))
    return mask.astype(bool)


def dilate_mask(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return a mask (T, H, W) bool widened by `pixels` in every direction."""
    if pixels == 0:
        return mask
    side = 2 * pixels + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.stack([cv2.dilate(one.astype(np.uint8), disc) > 0 for one in mask])


def _draw_person(canvas: np.ndarray, joints: np.ndarray, known: np.ndarray, extent: float) -> None:
    """Fill one person's pixels in `canvas` (H, W) uint8 with 1.

    joints: (18, 2) in pixels and known: (18,) bool, in the order of OPENPOSE_JOINTS. extent: longer
    side of the box around the joints, in pixels.
    """
    positions = {name: joints[n] for n, name in enumerate(OPENPOSE_JOINTS) if known[n]}
    if not positions:
        return
    torso = _torso_length(positions) or TORSO_SHARE * extent
    thickness = max(1, round(2 * LIMB_RADIUS * torso))
    lines = [(positions[a], positions[b]) for a, b in LIMBS if a in positions and b in positions]
    for end, previous in PRECEDING_JOINT.items():
        if end in positions and previous in positions:
            lines.append(
                (
                    positions[end],
                    positions[end] + EXTREMITY_SHARE * (positions[end] - positions[previous]),
                )
            )
    for start, stop in lines:
        cv2.line(canvas, _pixel(start), _pixel(stop), 1, thickness)
    corners = [positions[name] for name in TORSO if name in positions]
    if len(corners) >= 3:
        cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 1)
    face = [positions[name] for name in HEAD if name in positions]
    if face:
        cv2.circle(canvas, _pixel(np.mean(face, axis=0)), round(HEAD_RADIUS * torso), 1, cv2.FILLED)


def _torso_length(positions: dict[str, np.ndarray]) -> float:
    """Return the pixels from the neck to the middle of the hips; 0 where they are not known."""
    hips = [positions[name] for name in ("right_hip", "left_hip") if name in positions]
    if "neck" not in positions or not hips:
        return 0.0
    return float(np.linalg.norm(np.mean(hips, axis=0) - positions["neck"]))


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(point).astype(int).tolist()
    return x, y


def _resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a mask (H, W) bool at another size: pixels of which it covers at least half
    the area.
    """
    shrinks = height <= mask.shape[0] and width <= mask.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=interpolation)
    return np.asarray(share >= 0.5)
