"""The truth about a clip that its dataset keeps beside it: key points, boxes, masks.

A sidecar is an .npz with a row for each frame of the clip, in pixels of the clip's own size. As
MiniRoCoG writes it: `keypoints` (T, 17, 3) or (T, P, 17, 3), x, y and 2 where a joint is visible, 1
where it is hidden, 0 where it is outside the image; `box` (T, 4) or (T, P, 4), x0, y0, x1, y1, all
0 where nobody is seen; `mask` (T, H, W) and `depth` (T, H, W).
"""

import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from vidda import video
from vidda.config import Config
from vidda.control.keypoints import JOINTS, Pose
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.mini.job import sidecar
from vidda.progress import Passed, unseen
from vidda.types import ClipRecord

VISIBLE = 2
"""What stands for a visible joint. Scores are shares of it: 1, 0.5 where hidden, 0 outside."""


class Sidecar(Config):
    """Key points that the dataset itself keeps beside its clips, as MiniRoCoG does."""

    name: Literal["sidecar"] = Field(default="sidecar", description="key points of the dataset")

    def build(self) -> "SidecarPoses":
        """The source of poses."""
        return SidecarPoses()


class SidecarPoses:
    """Reads poses instead of estimating them."""

    def estimate(
        self,
        frames: np.ndarray,
        boxes: np.ndarray | None,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        passed: Passed = unseen,
    ) -> Pose:
        """The poses in frames of a clip; see `vidda.control.pose.PoseSource`. boxes: not used.

        Raises ViddaError when the clip has no sidecar, or one that does not fit it.
        """
        truth = rows_of(clip, root, "keypoints", len(frames), indices)
        joints = (len(JOINTS), 3)
        if truth.shape[-2:] != joints or truth.ndim not in (3, 4):
            raise ViddaError(
                f"{path_of(clip, root)}: keypoints of shape {truth.shape}, not (T, 17, 3) or"
                " (T, P, 17, 3); write COCO's 17 joints as x, y, visibility"
            )
        people = truth.reshape(len(frames), -1, *joints)
        # The centre of the first pixel is 0 at both sizes.
        at = (people[..., :2] + 0.5) * scale_to(frames, clip, root) - 0.5
        scores = people[..., 2] / VISIBLE
        return Pose(at.astype(np.float32), scores.astype(np.float32))


def path_of(clip: ClipRecord, root: Path) -> Path:
    """Where a clip's sidecar is: its manifest column `sidecar`, else MiniRoCoG's place for it."""
    return inside(root, clip.meta.get("sidecar") or sidecar(clip.path))


def rows_of(
    clip: ClipRecord, root: Path, name: str, count: int, indices: np.ndarray | None
) -> np.ndarray:
    """An array of a clip's sidecar, a row for each of `count` frames.

    indices: (count,) which frames of the clip, from 0; None: all of them. Raises ViddaError.
    """
    path = path_of(clip, root)
    if not path.is_file():
        raise ViddaError(
            f"clip {clip.id!r} has no sidecar: {path} is not there; name the file in a manifest"
            " column 'sidecar', or take pose.name=mmpose or onnx"
        )
    try:
        with np.load(path, allow_pickle=False) as content:
            rows: np.ndarray = content[name]
    except KeyError:
        raise ViddaError(
            f"{path}: has no array {name!r}; write one, or take another source"
        ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{path}: damaged ({error}); write it again") from None
    if indices is None:
        indices = np.arange(count)
        if len(rows) != count:
            raise ViddaError(
                f"{path}: {len(rows)} rows of {name} for {count} frames of clip {clip.id!r}; say"
                " which of its frames they are (indices)"
            )
    outside = indices[(indices < 0) | (indices >= len(rows))]
    if len(outside):
        raise ViddaError(
            f"{path}: {name} has no row for frame {outside[0]} of clip {clip.id!r}, only"
            f" 0..{len(rows) - 1}; write the sidecar again"
        )
    return rows[indices]


def scale_to(frames: np.ndarray, clip: ClipRecord, root: Path) -> np.ndarray:
    """How much wider and higher frames (T, H, W, 3) are than the clip's own, (2,) for x and y."""
    info = video.probe(inside(root, clip.path))
    height, width = frames.shape[1:3]
    return np.array([width / info.width, height / info.height])
