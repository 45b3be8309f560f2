"""Attributes of the person in a frame: place, size, shape, posture, and contrast to the background.

Of several people it is the one with the largest box.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidda.data.manifest import BOX_COLUMNS, parse_number
from vidda.data.sidecar_checks import sidecar_faults
from vidda.data.sidecar_headers import chosen_rows
from vidda.errors import ViddaError
from vidda.gap.gray_attributes import gray_attributes
from vidda.sidecar import open_sidecar, sidecar_path
from vidda.types import ClipRecord
from vidda.video import VideoInfo

SHOULDERS, HIPS = (5, 6), (11, 12)
"""Indices of the left and the right joint, in COCO's order."""
NEIGHBORS = np.ones((3, 3), np.uint8)
"""The 3 x 3 dilation of `background_similarity`."""
PERSON_ARRAYS = ("box", "keypoints", "mask")
"""Arrays of a sidecar that show people."""


@dataclass(frozen=True, slots=True)
class PersonTruth:
    """The person in some frames of a clip, by its sidecar.

    boxes: (T, 4) x0, y0, x1, y1 as shares of the frame's width and height, NaN where nobody is.
    joints: (T, 17, 3) with x, y in pixels of the clip, None without keypoints. masks: (T, H, W)
    bool of any size, None without a mask.
    """

    boxes: np.ndarray
    joints: np.ndarray | None
    masks: np.ndarray | None


def read_person(
    clip: ClipRecord, root: Path, info: VideoInfo, numbers: np.ndarray
) -> PersonTruth | None:
    """Return the person in frames of a clip; None where nothing tells where people are.

    root: of the manifest. info: of the clip. numbers: (T,) those wanted, ascending. Boxes are the
    sidecar's, else around the visible joints, else around the mask; without a sidecar the one of
    the manifest's columns box_x0, box_y0, box_x1, box_y1, of all frames. Raises ViddaError where
    the sidecar is damaged or does not fit the clip, and where such a column holds no number.
    """
    path = sidecar_path(clip, root)
    if not path.is_file():
        return _column_box(clip, info, len(numbers))
    if faults := list(sidecar_faults(path, info)):
        raise ViddaError(f"clip {clip.id!r}: {path}: {faults[0]}")
    with open_sidecar(path) as content:
        rows = {
            name: chosen_rows(content, name, numbers) for name in PERSON_ARRAYS if name in content
        }
    if not rows:
        return None
    height, width = info.height, info.width
    masks = rows["mask"] > 0 if "mask" in rows else None
    joints, boxes = rows.get("keypoints"), rows.get("box")
    if joints is not None:
        joints = joints.reshape(len(joints), -1, 17, 3).astype(float)
    if boxes is not None:
        boxes = boxes.reshape(len(boxes), -1, 4).astype(float)
    elif joints is not None:
        boxes = _boxes_of_joints(joints)
    elif masks is not None:
        boxes = _boxes_of_masks(masks, height, width)
    assert boxes is not None, "one of the arrays is there"
    chosen, largest = _largest(boxes)
    if joints is not None:
        # Without a box of that index the joints are of nobody who is known.
        known = joints.shape[1] == boxes.shape[1]
        joints = joints[np.arange(len(joints)), chosen if known else 0]
    return PersonTruth(largest / [width, height, width, height], joints, masks)


def _column_box(clip: ClipRecord, info: VideoInfo, frames: int) -> PersonTruth | None:
    """Return the box of a clip's columns, in each of so many frames; None where it has none."""
    if not all(clip.meta.get(name) for name in BOX_COLUMNS):
        return None
    try:
        box = np.array([parse_number(name, clip.meta[name]) for name in BOX_COLUMNS])
    except ViddaError as error:
        raise ViddaError(f"clip {clip.id!r}: {error}; correct the manifest") from None
    _, boxes = _largest(np.tile(box, (frames, 1, 1)))
    return PersonTruth(boxes / np.tile([info.width, info.height], 2), None, None)


def _boxes_of_joints(joints: np.ndarray) -> np.ndarray:
    """Return the boxes (T, P, 4) of joints (T, P, 17, 3), 0 where none is visible."""
    seen = joints[..., 2:] > 0
    low = np.where(seen, joints[..., :2], np.inf).min(2)
    high = np.where(seen, joints[..., :2], -np.inf).max(2) + 1
    boxes = np.concatenate([low, high], axis=-1)
    return np.where(seen.any(2), boxes, 0.0)


def _boxes_of_masks(masks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the boxes (T, 1, 4) of masks (T, H, W), in pixels of a clip, 0 where one is empty."""
    boxes = np.zeros((len(masks), 1, 4))
    scale = np.array([width, height, width, height]) / np.tile(masks.shape[:0:-1], 2)
    for box, mask in zip(boxes, masks, strict=True):
        y, x = np.nonzero(mask)
        if len(x):
            box[0] = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) * scale
    return boxes


def _largest(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index (T,) of the largest of boxes (T, P, 4), and it (T, 4), NaN where empty."""
    sides = boxes[..., 2:] - boxes[..., :2]
    area = np.where((sides > 0).all(-1), sides.prod(-1), 0.0)
    chosen = area.argmax(1)
    rows = np.arange(len(boxes))
    largest = boxes[rows, chosen]
    return chosen, np.where(area[rows, chosen][:, None] > 0, largest, np.nan)


def place_attributes(truth: PersonTruth, aspect: float) -> dict[str, np.ndarray]:
    """Return attributes of a person's box, joints and mask by name, (T,) each, NaN where unknown.

    aspect: width of the frame divided by its height. See `clip_attributes.ATTRIBUTES`.
    """
    x0, y0, x1, y1 = truth.boxes.T
    found = {
        "box_area": (x1 - x0) * (y1 - y0),
        "box_aspect": (x1 - x0) / (y1 - y0) * aspect,
        "box_x": (x0 + x1) / 2,
        "box_y": (y0 + y1) / 2,
        "person_visible": np.isfinite(x0).astype(float),
    }
    nobody = ~np.isfinite(x0)
    if truth.joints is not None:
        found["occlusion"] = np.where(nobody, np.nan, (truth.joints[..., 2] < 2).mean(1))
        found["facing"] = np.where(nobody, np.nan, _facing(truth.joints))
    return found


def _facing(joints: np.ndarray) -> np.ndarray:
    """Return the shoulders' width over the torso's length (T,): positive seen from the front."""
    at = joints[..., :2]
    across = at[:, SHOULDERS[0], 0] - at[:, SHOULDERS[1], 0]
    torso = np.linalg.norm(at[:, SHOULDERS].mean(1) - at[:, HIPS].mean(1), axis=1)
    known = (joints[:, [*SHOULDERS, *HIPS], 2] > 0).all(1) & (torso > 0)
    return np.where(known, across / np.where(known, torso, 1.0), np.nan)


def look_attributes(
    frame: np.ndarray, gray: np.ndarray, box: np.ndarray, mask: np.ndarray | None
) -> Mapping[str, float]:
    """Return attributes of how the person looks in a frame; empty where nobody is in it.

    frame: (H, W, 3) uint8 RGB. gray: (H, W) uint8. box: (4,) as in `PersonTruth`. mask: (H', W')
    bool of any size, or None. See `clip_attributes.ATTRIBUTES`.
    """
    if not np.isfinite(box).all():
        return {}
    height, width = gray.shape
    low = np.floor(np.clip(box[:2], 0, 1) * [width, height]).astype(int)
    high = np.ceil(np.clip(box[2:], 0, 1) * [width, height]).astype(int)
    inner = gray[low[1] : high[1], low[0] : high[0]]
    if not inner.size:
        return {}
    person: np.ndarray = np.zeros(gray.shape, np.uint8)
    if mask is None:
        person[low[1] : high[1], low[0] : high[0]] = 1
    else:
        person = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    # All that is needed is near the box; the rest of a large frame would only cost time.
    near = (
        slice(max(0, low[1] - 3), min(height, high[1] + 3)),
        slice(max(0, low[0] - 3), min(width, high[0] + 3)),
    )
    found = {
        **{f"box_{name}": value for name, value in gray_attributes(inner).items()},
        "background_similarity": background_similarity(frame[near], person[near]),
    }
    if mask is not None:
        found["mask_share"] = float(person[low[1] : high[1], low[0] : high[0]].mean())
    return found


def background_similarity(frame: np.ndarray, person: np.ndarray) -> float:
    """Return the cosine of the mean colors on a person's boundary and just outside it.

    frame: (H, W, 3) uint8 RGB. person: (H, W) uint8, 1 inside. The boundary is dilated by 3 x 3
    pixels, and its neighbors outside are one dilation further (Zhang, 2023, minimizing gaps between
    synthetic and real datasets). 1 where a person has the background's color, NaN where one of both
    has no pixels, or is black.
    """
    edge = person - cv2.erode(person, NEIGHBORS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    boundary = cv2.dilate(edge, NEIGHBORS)
    outside = cv2.dilate(boundary, NEIGHBORS) & ~(boundary | person) & 1
    if not boundary.any() or not outside.any():
        return float("nan")
    first, second = (np.array(cv2.mean(frame, part)[:3]) for part in (boundary, outside))
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else float("nan")
