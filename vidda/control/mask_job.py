"""`vidda mask INPUT OUT`: find people's masks, and write them as sidecars; a manifest out.

Poses and depth are estimated in the same decode of a clip, where the config says so.

OUT/manifest.csv  the same clips, where they are; the column `sidecar` names the new sidecars
OUT/sidecar/      <path>.npz: `mask` and the names of its `regions`, background and person; `found`
                  (T,), the frames in which someone was found; `keypoints` and `keypoint_scores`;
                  `depth` or `inverse_depth`; and what an older sidecar had besides
OUT/records/      size and hash of each sidecar, by which a resumed job finds what is done
OUT/failed.csv    the clips that could not be read, and why
OUT/rejected.csv  the clips in which too few frames show someone, which are not in the manifest

Columns: `mask` is the source of the masks, `mask_found` the share of frames with someone in them;
`pose` and `depth` are the sources of these.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidda import video
from vidda.config import Config, Count
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.clip_estimators import ClipEstimators, PoseEstimatorConfig
from vidda.control.depth import DepthConfig
from vidda.control.full_disk import FullDiskError, detect_full_disk
from vidda.control.mask_sidecar import FOUND_ARRAY, MaskSettings, depth_array, write_mask_sidecar
from vidda.control.mask_source import MaskSourceConfig
from vidda.data.choose_clips import find_clips, select_clips
from vidda.data.derived import SIDECARS, derive_file, finished_record
from vidda.data.manifest import csv_line, first_problems, write_csv
from vidda.data.versions import Version, manifest_written, missing, path_clashes, write_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import FrameCounter, meter, track
from vidda.run import RunFolder
from vidda.sidecar import open_sidecar, sidecar_path
from vidda.types import Manifest

FAILED, REJECTED = "failed.csv", "rejected.csv"

log = logging.getLogger("vidda")


class MaskJobConfig(Config):
    """The config of `vidda mask`: the clips, and how people are found in them."""

    input: Path = Field(description="a manifest, a folder of videos, or a video")
    out: Path = Field(description="run folder to write; its manifest.csv lists the same clips")
    source: MaskSourceConfig = Field(
        default=BlazePoseConfig(), description="the model that finds people and their masks"
    )
    pose: PoseEstimatorConfig | None = Field(
        default=None,
        description="the model of poses, written too; blazepose with the settings of source runs"
        " once for both; null: no poses",
    )
    depth: DepthConfig | None = Field(
        default=None, description="the model of depth, written too; null: no depth"
    )
    people: Literal["all", "main"] = Field(
        default="all",
        description="people in the masks and poses: all who are found in at least two frames, or"
        " the main one alone, who is largest over the clip",
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

    @property
    def arrays(self) -> frozenset[str]:
        """Return the names of the arrays in each sidecar that other commands need.

        That of depth is not among them: it depends on the unit of the model.
        """
        return frozenset({"mask"} if self.pose is None else {"mask", "keypoints"})


def run(config: MaskJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Write every sidecar that is not there yet, then the manifest; return 0 when finished, else 1.

    dry_run: load the models, print the plan and write nothing. resume: continue a stopped job.
    Raises ViddaError for mistakes in the config or the clips, before anything is written.
    """
    chosen = select_clips(find_clips(config.input), config.clips, config.limit)
    chosen = replace(chosen, root=Path(os.path.normpath(chosen.root.absolute())))
    sidecars = [Version(clip, 0, f"{SIDECARS}/{clip.path}.npz") for clip in chosen.clips]
    lengths = _inspect(config, chosen, sidecars)
    estimators = ClipEstimators(config.source, config.pose, config.depth)
    waiting = missing(sidecars, config.out)
    print(
        f"{len(chosen)} clips, {sum(lengths.values())} frames; {len(waiting)} sidecars to be made;"
        f" masks by {config.source.name}, of {config.people} people"
    )
    for line in _further_estimates(config, estimators):
        print(line)
    if dry_run:
        return 0
    facts = {"input": chosen.fingerprint()}
    whole = not waiting and manifest_written(config.out)
    with RunFolder.open(config.out, config, facts, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        failed = _write_all(config, estimators, chosen.root, waiting, lengths)
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


def _further_estimates(config: MaskJobConfig, estimators: ClipEstimators) -> Iterator[str]:
    """Yield a line on the poses and one on the depth, where they are asked for."""
    if config.pose is not None:
        shared = ", from the same run of its networks" if estimators.shares_blazepose else ""
        yield f"poses by {config.pose.name}{shared}"
        if not shared and config.pose.name == config.source.name:
            yield "pose and source have different settings, so BlazePose runs twice"
    if config.depth is not None and estimators.depth is not None:
        name, dtype = depth_array(estimators.depth)
        yield f"depth by {config.depth.name}, as the array {name} of {dtype}"


def _inspect(
    config: MaskJobConfig, chosen: Manifest, sidecars: Sequence[Version]
) -> dict[str, int]:
    """Return the number of frames of each clip, by its id.

    Raises ViddaError with a line for every mistake that can be found before the first clip.
    """
    problems, lengths, older_arrays = path_clashes(sidecars, config.input), {}, Counter[str]()
    for clip in track(chosen.clips, label="inspecting clips", total=len(chosen), unit="clips"):
        older = sidecar_path(clip, chosen.root)
        try:
            lengths[clip.id] = video.probe(inside(chosen.root, clip.path)).frames
            if older.is_file():
                with open_sidecar(older) as content:
                    older_arrays.update(config.arrays & set(content))
            elif "sidecar" in clip.meta:
                raise ViddaError(f"{older}: no such sidecar; restore it, or empty its cell")
        except ViddaError as error:
            problems.append(f"clip {clip.id!r}: {error}")
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    for array, name in (("mask", "masks"), ("keypoints", "keypoints")):
        if count := older_arrays[array]:
            print(f"{count} clips have {name} already; the new sidecars hold the new ones instead")
    return lengths


def _write_all(
    config: MaskJobConfig,
    estimators: ClipEstimators,
    root: Path,
    waiting: Sequence[Version],
    lengths: dict[str, int],
) -> dict[str, str]:
    """Write the waiting sidecars; return why clips failed, by their ids."""
    total = sum(lengths.values())
    done = total - sum(lengths[one.clip.id] for one in waiting)
    failed: dict[str, str] = {}
    settings = MaskSettings(config.people, config.threshold, config.smooth, config.longest_gap)
    with meter(label="masks", total=total, unit="frames", done=done) as report_progress:
        for number, one in enumerate(waiting, len(lengths) - len(waiting) + 1):
            counter = FrameCounter(report_progress, f"clip {number}/{len(lengths)}")
            write = partial(write_mask_sidecar, estimators, settings, one.clip, root, counter)
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
        columns |= {
            name: model.name
            for name, model in (("pose", config.pose), ("depth", config.depth))
            if model is not None
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
