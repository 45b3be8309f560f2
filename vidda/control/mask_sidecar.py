"""The sidecar that `vidda mask` writes of a clip: masks, and poses and depth in the same decode.

Arrays of frames are written as they come, so that memory does not grow with the length of a clip.
"""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np

from vidda import video
from vidda.control.clip_estimators import ClipEstimators
from vidda.control.depth import DepthEstimator
from vidda.control.keypoints import JOINTS, THRESHOLD, Pose, known_joints
from vidda.control.mask_tracks import MaskTracker
from vidda.control.sidecar_poses import KEYPOINT_SCORES, VISIBLE
from vidda.control.track import main_person, track_people
from vidda.data.sidecar_headers import read_headers
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import ReportProgress
from vidda.sidecar import PERSON_REGIONS, UNKNOWN_MM, open_sidecar, sidecar_path
from vidda.types import ClipRecord
from vidda.video import VideoInfo

FOUND_ARRAY = "found"
"""The array of a sidecar with the frames in which someone was found."""


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """The settings of masks over a clip, fields of `mask_job.MaskJobConfig`."""

    people: Literal["all", "main"]
    threshold: float
    smooth: float
    longest_gap: int


def write_mask_sidecar(
    estimators: ClipEstimators,
    settings: MaskSettings,
    clip: ClipRecord,
    root: Path,
    report_progress: ReportProgress,
    path: Path,
) -> tuple[str, ...]:
    """Write the sidecar of one clip to `path`, with the other arrays of its older one.

    clip, root: the clip, and its manifest's root. report_progress: called with the number of frames
    done since the last call. Returns the paths of other files that it has written: none. Raises
    ViddaError where the clip or its older sidecar cannot be read.
    """
    info = video.probe(inside(root, clip.path))
    size = (info.frames, info.height, info.width)
    main = settings.people == "main"
    older = _older_arrays(clip, root, info.frames)
    tracker, joints = MaskTracker(info.height, info.width, settings.longest_gap), []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        depth = estimators.depth
        name, dtype = depth_array(depth) if depth else ("", np.dtype(np.uint8))
        with _open_rows(archive, name, size, dtype) if depth else nullcontext() as rows:
            for found in estimators.estimate(video.stream(info.path), clip, root):
                tracker.add(found.masks)
                if found.joints is not None:
                    joints.append(found.joints)
                if found.depth is not None and rows is not None:
                    rows.write(_depth_row(found.depth, dtype).tobytes())
                report_progress(1)
        with _open_rows(archive, "mask", size, np.dtype(np.uint8)) as stream:
            for row in tracker.masks(settings.threshold, settings.smooth, main=main):
                stream.write(row.astype(np.uint8).tobytes())
        arrays = {"regions": np.array(PERSON_REGIONS), FOUND_ARRAY: tracker.found(main=main)}
        if joints:
            arrays |= _pose_arrays(joints, info, main=main)
        for kept in sorted(older - {*arrays, "mask", name}):
            _copy_array(sidecar_path(clip, root), kept, archive)
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
    return ()


def depth_array(depth: DepthEstimator) -> tuple[str, np.dtype]:
    """Return the name and the type of a sidecar's array of estimated depth.

    Distances in meters are `depth`, in uint16 millimeters as a dataset's own; relative inverse
    depth, which has no unit, is `inverse_depth`, float16.
    """
    if depth.metric:
        return "depth", np.dtype(np.uint16)
    return "inverse_depth", np.dtype(np.float16)


def _depth_row(depth: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the depth of a frame (H, W) as it is written, see `depth_array`."""
    if dtype.kind == "f":
        limit = float(np.finfo(np.float16).max)
        return np.clip(depth, -limit, limit).astype(dtype)
    millimeters = np.rint(np.where(np.isnan(depth), np.inf, depth) * 1000.0)
    return np.clip(millimeters, 0, UNKNOWN_MM).astype(dtype)


def _pose_arrays(joints: list[np.ndarray], info: VideoInfo, *, main: bool) -> dict[str, np.ndarray]:
    """Return the arrays of a clip's poses, each person at the same index in all frames.

    joints: of each frame, (P, 17, 3) x, y, score. main: only the largest person.
    """
    padded = np.zeros((len(joints), max(map(len, joints)), len(JOINTS), 3), np.float32)
    for row, own in zip(padded, joints, strict=True):
        row[: len(own)] = own
    pose = track_people(Pose(padded[..., :2], padded[..., 2]))
    if main:
        pose = main_person(pose, info.height, info.width)
    corner = np.array([info.width, info.height]) - 0.5
    inside_image = np.all((pose.keypoints >= -0.5) & (pose.keypoints <= corner), axis=-1)
    known = known_joints(pose.scores, THRESHOLD) & inside_image
    visible = np.where(known, VISIBLE, 0).astype(np.float32)
    keypoints = np.concatenate([pose.keypoints, visible[..., None]], axis=-1)
    return {"keypoints": keypoints, KEYPOINT_SCORES: pose.scores}


@contextmanager
def _open_rows(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[IO[bytes]]:
    """Yield the stream of a new array in an archive, to which its rows are written one by one."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        yield stream


def _older_arrays(clip: ClipRecord, root: Path, frames: int) -> set[str]:
    """Return the names of the arrays in the sidecar that a clip has; none where it has no sidecar.

    frames: of the clip. Raises ViddaError where an array is not of these frames.
    """
    path = sidecar_path(clip, root)
    if not path.is_file():
        return set()
    headers = read_headers(path)
    for name, header in headers.items():
        rows = header.shape[0] if header.shape else 0
        if rows != frames and name not in ("mask", "regions"):
            raise ViddaError(f"{path}: {rows} rows of {name} for {frames} frames; correct it")
    return set(headers)


def _copy_array(source: Path, name: str, archive: zipfile.ZipFile) -> None:
    """Copy an array of another sidecar into an archive, piece by piece."""
    with open_sidecar(source) as content:
        older = cast(zipfile.ZipFile, content.zip)
        with (
            older.open(f"{name}.npy") as array,
            archive.open(f"{name}.npy", "w", force_zip64=True) as stream,
        ):
            shutil.copyfileobj(array, stream, 1 << 20)
