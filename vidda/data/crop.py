"""`vidda crop INPUT OUT`: cut clips to a square around their people; manifest in, manifest out.

OUT/manifest.csv  the clips, with the labels and columns of their sources
OUT/videos/       <path>.mp4, or .png for an image
OUT/sidecar/      <path>.npz: the source's arrays, of the square
OUT/records/      size and hash of each file, by which a resumed job finds what is done

People who are small in the frame get more of a recognizer's pixels, and of a diffusion model's. The
sidecars, the dataset's own or those of `vidda mask`, tell where people are. A clip keeps one square
for all its frames, so that motion stays; the column `crop` has its left and upper edge and its
side, in pixels of the source; where the sidecar has nobody it is the middle of the frame.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from vidda import video
from vidda.config import Config, Count, Processes
from vidda.data import load_manifest
from vidda.data.crop_clip import (
    CropSquare,
    Whereabouts,
    crop_frames,
    crop_sidecar,
    people_bounds,
    square_around,
)
from vidda.data.derived import SIDECARS, DerivedFiles
from vidda.data.manifest import BOX_COLUMNS, first_problems
from vidda.data.sidecar_checks import sidecar_faults
from vidda.data.versions import (
    IdSuffix,
    Version,
    manifest_written,
    missing,
    path_clashes,
    plan_versions,
    write_all,
)
from vidda.errors import ViddaError
from vidda.files import atomic, inside
from vidda.progress import track
from vidda.run import RunFolder
from vidda.sidecar import open_sidecar, read_rows, sidecar_arrays, sidecar_path
from vidda.types import ClipRecord, Manifest
from vidda.video import VideoInfo

ARRAYS: tuple[Whereabouts, ...] = ("box", "keypoints", "mask")


class CropJobConfig(Config):
    """The config of `vidda crop`: the clips, and how large the square around people is."""

    # A job that ran out of memory has to continue with fewer processes.
    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    input: Path = Field(description="manifest of clips with sidecars")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    name: IdSuffix = "cropped"
    people: Whereabouts | None = Field(
        default=None,
        description="array of the sidecars that tells where people are; null: the first that is"
        " there; the same for all domains of an experiment makes their squares alike",
    )
    margin: float = Field(
        default=1.3,
        ge=1,
        description="side of the square divided by the longer side of what holds everyone in all"
        " frames",
    )
    size: Count = Field(default=128, description="height and width of the new clips, in pixels")
    crf: int = Field(
        default=18, ge=0, le=51, description="quality of the H.264 videos, lower is better"
    )
    jobs: Processes = 0


def run(config: CropJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Write every clip that is not there yet, then the manifest; return 0 when finished, else 1.

    dry_run: only print the plan. resume: continue an unfinished run. Raises ViddaError for mistakes
    in the config or the manifest, before anything is written.
    """
    manifest = load_manifest(config.input)
    manifest = replace(manifest, root=manifest.root.absolute())
    versions = plan_versions(manifest, 1)
    squares, empty = _find_squares(config, manifest, versions)
    waiting = missing(versions, config.out)
    print(f"{len(manifest)} clips, {len(waiting)} to be made, of {config.size} pixels a side")
    if empty:
        print(
            f"note: nobody is in {empty} of {len(manifest)} clips, of which the middle is cut out"
        )
    if dry_run:
        return 0
    facts = {"input": manifest.fingerprint()}
    whole = not waiting and manifest_written(config.out)
    with RunFolder.open(config.out, config, facts, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        return write_all(
            versions,
            waiting,
            manifest.classes,
            folder,
            partial(_write, config, manifest.root, squares),
            partial(_record, config, squares),
            jobs=config.jobs,
            label="cropping",
        )


def _find_squares(
    config: CropJobConfig, manifest: Manifest, versions: list[Version]
) -> tuple[dict[str, CropSquare], int]:
    """Return the square around the people of each clip, by its id, and the number of clips with
    nobody.

    Raises ViddaError for every mistake that can be known before the first clip, a line each.
    """
    problems, squares, empty = path_clashes(versions, config.input), {}, 0
    if not manifest.clips:
        problems.append(f"{config.input}: no clips in it; give a manifest of clips")
    for clip in track(manifest.clips, label="finding people", total=len(manifest), unit="clips"):
        try:
            info = video.probe(inside(manifest.root, clip.path))
            bounds = _bounds(config, clip, manifest.root, info)
        except ViddaError as error:
            problems.append(str(error))
            continue
        empty += bounds is None
        around = np.array([0, 0, info.width, info.height]) if bounds is None else bounds
        squares[clip.id] = square_around(around, config.margin, info.height, info.width)
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    return squares, empty


def _bounds(
    config: CropJobConfig, clip: ClipRecord, root: Path, info: VideoInfo
) -> np.ndarray | None:
    """Return what holds everyone in a clip, (4,) in pixels; None where nobody is.

    Raises ViddaError where the clip's sidecar does not tell, or is not as it should be.
    """
    wanted = ARRAYS if config.people is None else (config.people,)
    arrays = sidecar_arrays([clip], root)
    name = next((one for one in wanted if one in arrays), None)
    path = sidecar_path(clip, root)
    if name is None:
        raise ViddaError(
            f"clip {clip.id!r}: {path} has no {' or '.join(wanted)}, or is not there; `vidda mask`"
            " makes masks, and with pose.name keypoints"
        )
    if faults := list(sidecar_faults(path, info)):
        raise ViddaError(f"{path}: {faults[0]}")
    rows = read_rows(clip, root, name, info.frames, None)
    bounds = people_bounds(name, rows)
    if bounds is not None and name == "mask":
        bounds *= np.tile([info.width / rows.shape[2], info.height / rows.shape[1]], 2)
    return bounds


def _write(
    config: CropJobConfig,
    root: Path,
    squares: dict[str, CropSquare],
    version: Version,
    path: Path,
) -> tuple[str, ...]:
    """Write a cropped clip at `path`, and its sidecar; return the sidecar's path."""
    clip, source = version.clip, inside(root, version.clip.path)
    frames = video.read(source)
    square = squares[clip.id]
    cropped = crop_frames(frames, square, config.size)
    video.write_clip(path, cropped, video.probe(source).fps, config.crf)
    with open_sidecar(sidecar_path(clip, root)) as content:
        arrays = crop_sidecar(dict(content), square, config.size, *frames.shape[1:3])
    sidecar = _sidecar_path(version)
    target = inside(config.out, sidecar)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return (sidecar,)


def _record(
    config: CropJobConfig, squares: dict[str, CropSquare], version: Version, _: DerivedFiles
) -> ClipRecord:
    """Return the record of a cropped clip, without columns of boxes, which would not fit it."""
    new = version.record(config.name, domain=version.clip.domain, sidecar=_sidecar_path(version))
    square = squares[version.clip.id]
    kept = {key: value for key, value in new.meta.items() if key not in BOX_COLUMNS}
    return replace(new, meta={**kept, "crop": f"{square.left} {square.top} {square.side}"})


def _sidecar_path(version: Version) -> str:
    """Return the path of a version's sidecar, relative to OUT."""
    return f"{SIDECARS}/{version.path}.npz"
