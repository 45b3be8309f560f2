"""`vidda control INPUT OUT`: write the controls of clips, and contact sheets to inspect them.

OUT/clips/<path>/         the files written for each clip
OUT/records/              size and hash of these files, which a resumed job compares
OUT/failed.csv            the clips that failed, and why

Unless `flow` is set, only the frames on a sheet get optical flow, because it takes longest to
compute.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from vidda import video
from vidda.config import Count
from vidda.control.absent_controls import absent_controls
from vidda.control.clip_flow import FlowTarget
from vidda.control.contact_sheet import evenly_spaced
from vidda.control.control_files import write_arrays, write_sheet, write_videos
from vidda.control.controls import ControlConfig, ControlReader, Controls
from vidda.control.full_disk import FullDiskError, detect_full_disk
from vidda.control.mask import has_mask, person_mask
from vidda.data.choose_clips import find_clips, select_clips
from vidda.data.derived import derive_folder, missing
from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import FrameCounter, ReportProgress, meter
from vidda.run import RunFolder
from vidda.types import ClipRecord, Manifest

CLIPS, FAILED = "clips", "failed.csv"

log = logging.getLogger("vidda")


class ControlJobConfig(ControlConfig):
    """The clips whose controls are computed, and the files to write."""

    input: Path = Field(description="a manifest, a folder of videos, or a video")
    out: Path = Field(description="run folder to write")
    size: Count | tuple[Count, Count] | None = Field(
        default=512, description="shorter side in pixels, or [height, width]; null: the clip's own"
    )
    frames: Count = Field(
        default=256, description="most frames per clip; the first ones of a longer clip"
    )
    clips: tuple[str, ...] = Field(
        default=(), description="ids of the clips, with * for any text; none: all"
    )
    limit: Count | None = Field(
        default=None, description="most clips, evenly spaced over the manifest; null: all"
    )
    write: tuple[Literal["sheet", "videos", "npz"], ...] = Field(
        default=("sheet", "videos"), min_length=1, description="files to write for each clip"
    )
    columns: Count = Field(default=8, description="frames on a sheet, evenly spread over the clip")
    tile: int = Field(default=192, ge=32, description="width of each image on a sheet, in pixels")
    cache: Path | None = Field(default=None, description="folder that caches computed controls")

    @property
    def whole_flow(self) -> bool:
        """Return whether every frame gets flow, not only those on the sheet: where `flow`
        is set.
        """
        return self.flow is not None and "flow" in self.model_fields_set

    @property
    def flows(self) -> tuple[FlowTarget, ...]:
        """Return the targets of the flow that is shown or written.

        Videos do not show the flow to the first frame.
        """
        if not self.whole_flow and "sheet" not in self.write:
            return ()
        return ("previous",) if self.write == ("videos",) else ("previous", "anchor")


def run(config: ControlJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Write the controls of every clip; return 0 when all could be written, else 1.

    dry_run: load the models, print the plan and write nothing. resume: continue a stopped job.
    Raises ViddaError.
    """
    chosen = select_clips(find_clips(config.input), config.clips, config.limit)
    _require_distinct_paths(chosen)
    if dry_run:
        ControlReader(config, None).load()
        print(f"dry run: would write {', '.join(config.write)} of {len(chosen)} clips")
        _print_absent(config)
        return 0
    reader = ControlReader(config, config.cache, config.flows)
    reader.load()
    fingerprints = {"input": chosen.fingerprint()}
    waiting = _missing(config.out, chosen)
    whole = not waiting
    with RunFolder.open(config.out, config, fingerprints, resume=resume, whole=whole) as folder:
        if folder.finished:
            print(f"{config.out}: already finished")
            return 0
        failed = _write_all(config, reader, chosen, waiting)
        if failed:
            lines = [csv_line(pair) for pair in failed]
            write_csv(config.out / FAILED, csv_line(("id", "reason")), lines)
            print(f"{len(failed)} of {len(chosen)} clips failed: {config.out / FAILED}")
            print("fix them; the same command with --resume tries them again")
            return 1
        (config.out / FAILED).unlink(missing_ok=True)
        lost = len(_missing(config.out, chosen, content=False))
        if lost:
            print(f"{lost} clips were lost while others were written; {folder.remedy()}")
            return 1
        folder.finish()
    _print_absent(config)
    print(f"written: {config.out / CLIPS}")
    return 0


def _print_absent(config: ControlJobConfig) -> None:
    """Print a line for each kind of control that is not made."""
    sheets = not config.whole_flow and config.write != ("sheet",)
    for line in absent_controls(config, flow_on_sheets=sheets):
        print(line)


def _require_distinct_paths(chosen: Manifest) -> None:
    """Raise ViddaError when two clips are the same file, and so would be written to one folder."""
    first: dict[str, str] = {}
    for clip in chosen.clips:
        if clip.path in first:
            raise ViddaError(
                f"clips {first[clip.path]!r} and {clip.id!r} are both {clip.path}; choose one of"
                " them with clips=[ID]"
            )
        first[clip.path] = clip.id


def _missing(out: Path, chosen: Manifest, *, content: bool = True) -> list[ClipRecord]:
    """Return the clips without whole results in OUT; content: compare hashes, not only sizes."""
    return missing(out, chosen.clips, lambda clip: (_clip_folder(clip), clip.id), content=content)


def _clip_folder(clip: ClipRecord) -> str:
    """Return a clip's folder, relative to OUT."""
    return f"{CLIPS}/{clip.path}"


def _write_all(
    config: ControlJobConfig, reader: ControlReader, chosen: Manifest, waiting: list[ClipRecord]
) -> list[tuple[str, str]]:
    """Write the waiting clips; return the ids of clips that failed, and why."""
    lengths = {
        clip.id: _frame_count(config, inside(chosen.root, clip.path)) for clip in chosen.clips
    }
    total = sum(lengths.values())
    done = total - sum(lengths[clip.id] for clip in waiting)
    failed: list[tuple[str, str]] = []
    with meter(label="controls", total=total, unit="frames", done=done) as report_progress:
        for number, clip in enumerate(waiting, len(chosen) - len(waiting) + 1):
            counter = FrameCounter(report_progress, f"clip {number}/{len(chosen)}")
            try:
                with detect_full_disk(config.out):
                    _write_clip(config, reader, clip, chosen.root, counter)
            except FullDiskError:
                raise
            except ViddaError as error:
                log.warning("clip %r failed: %s", clip.id, error)
                failed.append((clip.id, str(error)))
            counter(lengths[clip.id] - counter.frames)
    return failed


def _frame_count(config: ControlJobConfig, path: Path) -> int:
    """Return how many frames of a clip are used; 0 where it cannot be read.

    Reading the clip reports that error later.
    """
    try:
        return min(video.probe(path).frames, config.frames)
    except ViddaError:
        return 0


def _write_clip(
    config: ControlJobConfig,
    reader: ControlReader,
    clip: ClipRecord,
    root: Path,
    report_progress: ReportProgress,
) -> None:
    """Compute the controls of one clip and write its files."""
    path = inside(root, clip.path)
    info = video.probe(path)
    numbers = np.arange(min(info.frames, config.frames))
    if len(numbers) < info.frames:
        log.info(
            "clip %r: the first %d of its %d frames; raise frames=N to use more",
            clip.id,
            len(numbers),
            info.frames,
        )
    frames = video.read(path, numbers, config.size)
    shown = evenly_spaced(len(frames), config.columns)
    flow_rows = None if config.whole_flow else shown
    controls = reader.read(
        frames, clip, root, numbers, flow_rows=flow_rows, report_progress=report_progress
    )
    height, width = frames.shape[1:3]
    if controls.mask is None and (controls.pose is not None or has_mask(clip, root)):
        mask = person_mask(clip, root, controls.pose, height, width, numbers, config.threshold)
        controls = replace(controls, mask=mask)
    with derive_folder(config.out, _clip_folder(clip), clip.id) as folder:
        if "sheet" in config.write:
            write_sheet(folder / "sheet.png", clip.id, frames, controls, shown, config.tile)
        whole = _whole_clip_controls(config, controls)
        if "videos" in config.write:
            write_videos(folder, whole, info.fps or 1.0)
        if "npz" in config.write:
            write_arrays(folder / "controls.npz", whole)


def _whole_clip_controls(config: ControlJobConfig, controls: Controls) -> Controls:
    """Return the controls without flow that only the sheet's frames have."""
    if config.whole_flow:
        return controls
    names = ("flow_previous", "flow_anchor", "occluded_previous", "occluded_anchor")
    return replace(controls, **dict.fromkeys(names))
