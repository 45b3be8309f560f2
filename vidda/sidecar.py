"""Sidecars: ground truth that a dataset keeps beside a clip (keypoints, boxes, masks, depth).

A sidecar is an .npz with a row for each frame of the clip, in pixels of the clip's own size. As
MiniRoCoG writes it: `keypoints` (T, 17, 3) or (T, P, 17, 3), x, y and 2 where a joint is visible, 1
where it is hidden, 0 where it is outside the image; `box` (T, 4) or (T, P, 4), x0, y0, x1, y1, all
0 where nobody is visible; `mask` (T, H, W); and `depth` (T, H, W) uint16 millimeters along the
camera's axis, 65535 where not known. Floats `inverse_depth` (T, H, W) have no unit: larger is
nearer. `keypoints_3d` (T, 17, 3) float32 are the same joints in meters, in the world: x to the
right and y to the front of a person who has not turned, z up, the ground at 0. docs/sidecars.md has
the others.

In a mask 0 is the background, and every other value is a region of people. `regions` (N,) has the
names of the values 0..N-1; it is the one array without a row for each frame. A mask without it has
MiniRoCoG's `REGIONS`, but `PERSON_REGIONS` where its only values are 0 and 1, as of a binary mask.
"""

import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

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
"""Names of the regions in MiniRoCoG's masks; a pixel's value is the index of its region."""

PERSON_REGIONS = ("background", "person")
"""Names of the regions in a mask of whole people."""

UNKNOWN_MM = 65535
"""Value of the array `depth` where the distance is not known, or is 65.535 m or more; what vidda
reads takes 0 for it too."""

DEPTH_ARRAYS = ("depth", "inverse_depth")
"""The arrays of depth: millimeters, and that without a unit, of which larger is nearer."""

REMEDIES = {
    "keypoints": "take pose.name=mmpose, onnx, blazepose or vitpose",
    "box": "take another source of boxes, such as boxes.name=detector",
    "depth": "take depth.name=depth_anything",
    "mask": "let `vidda mask` make one",
}
"""How to do without an array of a sidecar, for messages."""


def default_sidecar(path: str) -> str:
    """Return MiniRoCoG's sidecar path of a clip. path: of the clip; both relative to the root."""
    return f"sidecar/{path.removesuffix('.mp4')}.npz"


def sidecar_path(clip: ClipRecord, root: Path) -> Path:
    """Return the path of a clip's sidecar: the manifest's column `sidecar`, else MiniRoCoG's path.

    root: of the manifest. The file need not exist.
    """
    return inside(root, clip.meta.get("sidecar") or default_sidecar(clip.path))


def sidecar_arrays(clips: Iterable[ClipRecord], root: Path) -> frozenset[str]:
    """Return the names of the arrays in the first sidecar that is there, empty where none is.

    clips: of one dataset, so that their sidecars hold the same. root: of their manifest. Raises
    ViddaError where that sidecar is damaged.
    """
    # Most datasets have none: no file is looked for, clip by clip, where there cannot be one.
    usual = (root / default_sidecar("")).parent.is_dir()
    paths = (sidecar_path(clip, root) for clip in clips if usual or "sidecar" in clip.meta)
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        return frozenset()
    with open_sidecar(found) as content:
        return frozenset(content.files)


def read_rows(
    clip: ClipRecord, root: Path, name: str, count: int, indices: np.ndarray | None
) -> np.ndarray:
    """Return an array of a clip's sidecar, a row for each of `count` frames.

    root: of the manifest. name: of the array, such as `mask`. indices: (count,) frame numbers in
    the clip, from 0; None for all. Raises ViddaError where the file, the array or a row is missing.
    """
    path = _existing_path(clip, root, name)
    with open_sidecar(path) as content:
        rows = _array(content, name, path)
    return _select_rows(rows, name, path, clip, count, indices)


def require_one_of(clip: ClipRecord, root: Path, names: Sequence[str]) -> str:
    """Return the first of some names of which a clip's sidecar has an array, without reading it.

    clip, root: the clip, and its manifest's root. Raises ViddaError, as `read_rows` does, where
    there is none.
    """
    path = _existing_path(clip, root, names[0])
    with open_sidecar(path) as content:
        found = next((name for name in names if name in content), names[0])
        _require_array(content, found, path)
    return found


def read_mask(
    clip: ClipRecord, root: Path, count: int, indices: np.ndarray | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the mask (T, H, W) of a clip's sidecar, and the names of its values.

    Arguments as for `read_rows`. Raises ViddaError as that does, and where a value has no name.
    """
    path = _existing_path(clip, root, "mask")
    with open_sidecar(path) as content:
        mask, regions = named_mask(content, path)
    return _select_rows(mask, "mask", path, clip, count, indices), regions


def mask_regions(clip: ClipRecord, root: Path) -> tuple[str, ...]:
    """Return the names of the values in the mask of a clip's sidecar.

    clip, root: the clip, and its manifest's root. The mask itself is read only where the sidecar
    has no names. Raises ViddaError where there is no mask, and where its names cannot be right.
    """
    path = _existing_path(clip, root, "mask")
    with open_sidecar(path) as content:
        if {"mask", "regions"} <= set(content):
            return _names(content["regions"], path)
        return named_mask(content, path)[1]


@contextmanager
def open_sidecar(path: Path) -> Iterator[NpzFile]:
    """Yield the arrays of a sidecar, by name; raises ViddaError where the file is damaged."""
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, NpzFile):
            raise ValueError("one array, not an archive of several by name")
        with content:
            yield content
    # An archive with a password is a RuntimeError.
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{path}: damaged ({error}); write it again by numpy.savez") from None


def _existing_path(clip: ClipRecord, root: Path, name: str) -> Path:
    """Return the path of a clip's sidecar; ViddaError where it is not there.

    name: of the array that is read, for the remedy.
    """
    path = sidecar_path(clip, root)
    if not path.is_file():
        raise ViddaError(
            f"clip {clip.id!r} has no sidecar: {path} is not there; name the file in a manifest"
            f" column 'sidecar', or {REMEDIES[name]}"
        )
    return path


def _require_array(content: Mapping[str, np.ndarray], name: str, path: Path) -> None:
    if name not in content:
        raise ViddaError(f"{path}: has no array {name!r}; write one, or {REMEDIES[name]}")


def _array(content: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    _require_array(content, name, path)
    rows: np.ndarray = content[name]
    return rows


def named_mask(content: Mapping[str, np.ndarray], path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the mask (T, H, W) of a sidecar's arrays, and the names of its values.

    path: of the sidecar, for messages. Raises ViddaError where there is no mask, or a value has no
    name.
    """
    mask = _array(content, "mask", path)
    if mask.dtype.kind not in "bui" or mask.ndim != 3:
        raise ViddaError(f"{path}: mask of {mask.dtype}{mask.shape}; write integers of (T, H, W)")
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if "regions" in content:
        names = _names(content["regions"], path)
    else:
        names = PERSON_REGIONS if high <= 1 else REGIONS
    if low < 0 or high >= len(names):
        raise ViddaError(
            f"{path}: mask has the value {low if low < 0 else high}, but its regions are"
            f" 0..{len(names) - 1}, {', '.join(names)}; name each value in the array 'regions'"
        )
    return mask, names


def _names(array: np.ndarray, path: Path) -> tuple[str, ...]:
    """Return the names of regions in an array; ViddaError unless they are different texts."""
    names = tuple(map(str, array.ravel()))
    texts = array.ndim == 1 and array.dtype.kind == "U"
    if not texts or len(set(names)) < len(names) or names[:1] != PERSON_REGIONS[:1]:
        raise ViddaError(
            f"{path}: regions are {', '.join(names)[:80]!r}; write different names as text,"
            f" {PERSON_REGIONS[0]!r} first"
        )
    return names


def _select_rows(
    rows: np.ndarray,
    name: str,
    path: Path,
    clip: ClipRecord,
    count: int,
    indices: np.ndarray | None,
) -> np.ndarray:
    """Return the rows of `indices`, or all of them if there are `count`; see `read_rows`."""
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
    pixels of `frames`; masks and the like keep their own size, keypoints_3d their meters. Raises
    ViddaError when the source's sidecar is damaged or lacks a row of a frame.
    """
    source = sidecar_path(clip, root)
    if not source.is_file():
        return False
    scale = size_ratio(frames, clip, root)
    with open_sidecar(source) as content:
        arrays = {name: content[name] for name in content.files}
    # The names of a mask's values have no row for each frame.
    named = {"regions": arrays.pop("regions")} if "regions" in arrays else {}
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
            np.savez_compressed(file, **kept, **named)  # type: ignore[arg-type]
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
