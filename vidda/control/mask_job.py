"""`vidda mask INPUT OUT`: find people's masks, and write them as sidecars; a manifest out.

OUT/manifest.csv  the same clips, where they are; the column `sidecar` names the new sidecars
OUT/sidecar/      <path>.npz: `mask` and the names of its `regions`, background and person; `found`
                  (T,), the frames in which someone was found; and what an older sidecar had
OUT/records/      size and hash of each sidecar, by which a resumed job finds what is done
OUT/failed.csv    the clips that could not be read, and why
OUT/rejected.csv  the clips in which too few frames show someone, which are not in the manifest

Columns: `mask` is the source of the masks, `mask_found` the share of frames with someone in them.
"""

import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda import video
from vidda.config import Config, Count
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.full_disk import FullDiskError, detect_full_disk
from vidda.control.mask_source import MaskSource, MaskSourceConfig
from vidda.control.mask_tracks import MaskTracker
from vidda.data.choose_clips import find_clips, select_clips
from vidda.data.derived import SIDECARS, derive_file, finished_record
from vidda.data.manifest import csv_line, first_problems, write_csv
from vidda.data.versions import Version, manifest_written, missing, path_clashes, write_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import FrameCounter, ReportProgress, meter, track
from vidda.run import RunFolder
from vidda.sidecar import PERSON_REGIONS, open_sidecar, sidecar_path
from vidda.types import ClipRecord, Manifest

FAILED, REJECTED = "failed.csv", "rejected.csv"
FOUND_ARRAY = "found"
"""The array of a sidecar with the frames in which someone was found."""

log = logging.getLogger("vidda")


class MaskJobConfig(Config):
    """The config of `vidda mask`: the clips, and how people are found in them."""

    input: Path = Field(description="a manifest, a folder of videos, or a video")
    out: Path = Field(description="run folder to write; its manifest.csv lists the same clips")
    source: MaskSourceConfig = Field(
        default=BlazePoseConfig(), description="the model that finds people and their masks"
    )
    people: Literal["all", "main"] = Field(
        default="all",
        description="people in the masks: all who are found in at least two frames, or the main one"
        " alone, whose masks are largest over the clip",
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="lowest share of a person in a pixel of the mask"
    )
    smooth: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.4,
        description="weight of the previous and the next frame together, when masks are smoothed"
        " over these three; 0: no smoothing",
    )
    longest_gap: Annotated[int, Field(ge=0)] = Field(
        default=15,
        description="most frames in a row in which a lost person gets their nearest mask",
    )
    found: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5,
        description="lowest share of frames in which someone is found; clips with less are not in"
        " the manifest, but in rejected.csv",
    )
    clips: tuple[str, ...] = Field(
        default=(), description="ids of the clips, with * for any text; none: all"
    )
    limit: Count | None = Field(
        default=None, description="most clips, evenly spaced over the manifest; null: all"
    )


def run(config: MaskJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Write every sidecar that is not there yet, then the manifest; return 0 when finished, else 1.

    dry_run: load the models, print the plan and write nothing. resume: continue a stopped job.
    Raises ViddaError for mistakes in the config or the clips, before anything is written.
    """
    chosen = select_clips(find_clips(config.input), config.clips, config.limit)
    chosen = replace(chosen, root=Path(os.path.normpath(chosen.root.absolute())))
    sidecars = [Version(clip, 0, f"{SIDECARS}/{clip.path}.npz") for clip in chosen.clips]
    lengths = _inspect(config, chosen, sidecars)
    source = config.source.build()
    waiting = missing(sidecars, config.out)
    print(
        f"{len(chosen)} clips, {sum(lengths.values())} frames; {len(waiting)} sidecars to be made;"
        f" masks by {config.source.name}, of {config.people} people"
    )
    if dry_run:
        return 0
    facts = {"input": chosen.fingerprint()}
    whole = not waiting and manifest_written(config.out)
    with RunFolder.open(config.out, config, facts, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        failed = _write_all(config, source, chosen.root, waiting, lengths)
        kept, rejected = _write_manifest(config, chosen, sidecars)
        _write_list(config.out / FAILED, failed, "failed", len(chosen))
        _write_list(config.out / REJECTED, rejected, "left out", len(chosen))
        if failed:
            print("fix them; the same command with --resume tries them again")
            return 1
        lost = len(chosen) - kept - len(rejected)
        if lost:
            print(f"{lost} sidecars were lost while others were made; {folder.remedy()}")
            return 1
        if not kept:
            raise ViddaError(
                f"{config.input}: no clip in which someone is found in {config.found:.0%} of the"
                " frames; small people need a detector first: source.boxes.name=detector"
            )
        folder.finish()
    print(f"written: {config.out / 'manifest.csv'}")
    return 0


def _inspect(
    config: MaskJobConfig, chosen: Manifest, sidecars: Sequence[Version]
) -> dict[str, int]:
    """Return the number of frames of each clip, by its id.

    Raises ViddaError with a line for every mistake that can be found before the first clip.
    """
    problems, lengths, masked = path_clashes(sidecars, config.input), {}, 0
    for clip in track(chosen.clips, label="inspecting clips", total=len(chosen), unit="clips"):
        older = sidecar_path(clip, chosen.root)
        try:
            lengths[clip.id] = video.probe(inside(chosen.root, clip.path)).frames
            if older.is_file():
                with open_sidecar(older) as content:
                    masked += "mask" in content
            elif "sidecar" in clip.meta:
                raise ViddaError(f"{older}: no such sidecar; restore it, or empty its cell")
        except ViddaError as error:
            problems.append(f"clip {clip.id!r}: {error}")
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    if masked:
        print(f"{masked} clips have masks already; the new sidecars hold the new ones instead")
    return lengths


def _write_all(
    config: MaskJobConfig,
    source: MaskSource,
    root: Path,
    waiting: Sequence[Version],
    lengths: dict[str, int],
) -> dict[str, str]:
    """Write the waiting sidecars; return why clips failed, by their ids."""
    total = sum(lengths.values())
    done = total - sum(lengths[one.clip.id] for one in waiting)
    failed: dict[str, str] = {}
    with meter(label="masks", total=total, unit="frames", done=done) as report_progress:
        for number, one in enumerate(waiting, len(lengths) - len(waiting) + 1):
            counter = FrameCounter(report_progress, f"clip {number}/{len(lengths)}")
            write = partial(_write_sidecar, config, source, one.clip, root, counter)
            try:
                with detect_full_disk(config.out):
                    derive_file(config.out, one.path, one.clip.id, write)
            except FullDiskError:
                raise
            except ViddaError as error:
                log.warning("clip %r failed: %s", one.clip.id, error)
                failed[one.clip.id] = str(error)
            counter(lengths[one.clip.id] - counter.frames)
    return failed


def _write_sidecar(
    config: MaskJobConfig,
    source: MaskSource,
    clip: ClipRecord,
    root: Path,
    report_progress: ReportProgress,
    path: Path,
) -> tuple[str, ...]:
    """Find the masks of one clip, and write its sidecar to `path`; return no other files."""
    info = video.probe(inside(root, clip.path))
    tracker = MaskTracker(info.height, info.width, config.longest_gap)
    for masks in source.find_masks(video.stream(info.path), clip, root):
        tracker.add(masks)
        report_progress(1)
    main = config.people == "main"
    arrays = _older_arrays(clip, root, info.frames)
    arrays |= {"regions": np.array(PERSON_REGIONS), FOUND_ARRAY: tracker.found(main=main)}
    rows = tracker.masks(config.threshold, config.smooth, main=main)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("mask.npy", "w", force_zip64=True) as stream:
            shape = (info.frames, info.height, info.width)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for row in rows:
                stream.write(row.astype(np.uint8).tobytes())
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
    return ()


def _older_arrays(clip: ClipRecord, root: Path, frames: int) -> dict[str, np.ndarray]:
    """Return the arrays of the sidecar that a clip has but its mask; none where it has no sidecar.

    frames: of the clip. Raises ViddaError where an array is not of these frames.
    """
    path = sidecar_path(clip, root)
    if not path.is_file():
        return {}
    with open_sidecar(path) as content:
        kept = set(content) - {"mask", "regions"}
        arrays = {name: content[name] for name in sorted(kept)}
    for name, rows in arrays.items():
        if len(rows) != frames:
            raise ViddaError(f"{path}: {len(rows)} rows of {name} for {frames} frames; correct it")
    return arrays


def _write_manifest(
    config: MaskJobConfig, chosen: Manifest, sidecars: Sequence[Version]
) -> tuple[int, dict[str, str]]:
    """Write the manifest of the clips in which people were found.

    Its root is the deepest folder that holds both the clips and OUT. Returns the number of its
    clips, and why clips that have a sidecar are left out, by their ids.
    """
    out = Path(os.path.normpath(config.out.absolute()))
    root = Path(os.path.commonpath([chosen.root, out]))
    rows, rejected = [], {}
    for one in sidecars:
        if finished_record(out, one.path, one.clip.id, content=False) is None:
            continue  # it failed, or was lost
        with open_sidecar(out / one.path) as content:
            share = float(content[FOUND_ARRAY].mean())
        if share < config.found or share == 0:
            rejected[one.clip.id] = f"someone is found in {share:.0%} of the frames"
            continue
        columns = {
            "sidecar": (out / one.path).relative_to(root).as_posix(),
            "mask": config.source.name,
            "mask_found": f"{share:.3g}",
        }
        path = (chosen.root / one.clip.path).relative_to(root).as_posix()
        rows.append(replace(one.clip, path=path, meta={**one.clip.meta, **columns}))
    write_manifest(Manifest(root, chosen.classes, tuple(rows)), out)
    return len(rows), rejected


def _write_list(file: Path, reasons: dict[str, str], status: str, clips: int) -> None:
    """Write the ids of clips with the reasons, and print how many; remove the file where none."""
    if not reasons:
        file.unlink(missing_ok=True)
        return
    lines = [csv_line(pair) for pair in reasons.items()]
    write_csv(file, csv_line(("id", "reason")), lines)
    print(f"{len(reasons)} of {clips} clips {status}: {file}")
