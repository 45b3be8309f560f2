"""Sidecars: ground truth that a dataset keeps beside a clip (keypoints, boxes, masks, depth).

A sidecar is an .npz with a row for each frame of the clip, in pixels of the clip's own size. As
MiniRoCoG writes it: `keypoints` (T, 17, 3) or (T, P, 17, 3), x, y and 2 where a joint is visible, 1
where it is hidden, 0 where it is outside the image; `box` (T, 4) or (T, P, 4), x0, y0, x1, y1, all
0 where nobody is visible; `mask` (T, H, W) and `depth` (T, H, W).
"""

import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vidda import video
from vidda.errors import ViddaError
from vidda.files import atomic, inside
from vidda.types import ClipRecord

COCO_17 = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""Keypoint names in COCO's order."""

REGIONS = ("background", "skin", "upper", "lower", "shoes", "hair")
"""Names of the regions in a sidecar's mask; a pixel's value is the index of its region."""


def default_sidecar(path: str) -> str:
    """Return MiniRoCoG's sidecar path of a clip. path: of the clip; both relative to the root."""
    return f"sidecar/{path.removesuffix('.mp4')}.npz"


def sidecar_path(clip: ClipRecord, root: Path) -> Path:
    """Return the path of a clip's sidecar: the manifest's column `sidecar`, else MiniRoCoG's path.

    root: of the manifest. The file need not exist.
    """
    return inside(root, clip.meta.get("sidecar") or default_sidecar(clip.path))


def read_rows(
    clip: ClipRecord, root: Path, name: str, count: int, indices: np.ndarray | None
) -> np.ndarray:
    """Return an array of a clip's sidecar, a row for each of `count` frames.

    root: of the manifest. name: of the array, such as `mask`. indices: (count,) frame numbers in
    the clip, from 0; None for all. Raises ViddaError where the file, the array or a row is missing.
    """
    path = sidecar_path(clip, root)
    if not path.is_file():
        raise ViddaError(
            f"clip {clip.id!r} has no sidecar: {path} is not there; name the file in a manifest"
            " column 'sidecar', or take pose.name=mmpose, onnx, blazepose or vitpose"
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
                f"{path}: {len(rows)} rows of {name} for {count} frames of clip {clip.id!r}; give"
                " their frame numbers (indices)"
            )
    outside = indices[(indices < 0) | (indices >= len(rows))]
    if len(outside):
        raise ViddaError(
            f"{path}: {name} has no row for frame {outside[0]} of clip {clip.id!r}, only"
            f" 0..{len(rows) - 1}; write the sidecar again"
        )
    return rows[indices]


def size_ratio(frames: np.ndarray, clip: ClipRecord, root: Path) -> np.ndarray:
    """Return the size of frames divided by that of their clip's video, (2,) in x and y.

    frames: (T, H, W, 3). clip, root: the clip that they are of, and its manifest's root.
    """
    info = video.probe(inside(root, clip.path))
    height, width = frames.shape[1:3]
    return np.array([width / info.width, height / info.height])


def write_sidecar(
    clip: ClipRecord, root: Path, numbers: np.ndarray, frames: np.ndarray, path: Path
) -> bool:
    """Write the sidecar of a translated clip, from its source's; False where the source has none.

    clip, root: the source and the root of its manifest. numbers: (T,) the source's frames that
    became `frames` (T, H, W, 3). path: the file to write. Keypoints and boxes are scaled to the
    pixels of `frames`; masks and the like keep their own size. Raises ViddaError when the source's
    sidecar is damaged or lacks a row of a frame.
    """
    source = sidecar_path(clip, root)
    if not source.is_file():
        return False
    scale = size_ratio(frames, clip, root)
    try:
        with np.load(source, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{source}: damaged ({error}); write it again") from None
    short = [name for name, rows in arrays.items() if rows.ndim == 0 or len(rows) <= numbers[-1]]
    if short:
        raise ViddaError(
            f"{source}: {short[0]} has no row for frame {numbers[-1]} of clip {clip.id!r};"
            " write it again"
        )
    same = (scale == 1).all() and all(len(rows) == len(numbers) for rows in arrays.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        if same:
            shutil.copyfile(source, temporary)
            return True
        kept = {name: _scaled(name, rows[numbers], scale) for name, rows in arrays.items()}
        with temporary.open("wb") as file:
            np.savez_compressed(file, **kept)  # type: ignore[arg-type]
    return True


def _scaled(name: str, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return rows of a sidecar for frames that are `scale` (x, y) times as large."""
    if name == "keypoints":
        # The center of the first pixel is 0 at both sizes.
        at = (rows[..., :2] + 0.5) * scale - 0.5
        return np.concatenate([at, rows[..., 2:]], axis=-1).astype(rows.dtype)
    if name == "box":
        return (rows * np.tile(scale, 2)).astype(rows.dtype)
    return rows
