"""`vidda control INPUT OUT`: the controls of clips, written and shown on contact sheets.

OUT/clips/<path>/         what was written of each clip
OUT/records/              size and hash of these files, by which a resumed job goes
OUT/failed.csv            the clips that failed, and why

Where `flow` is not named, only the frames on a sheet have it, for it takes longest to compute.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda import video
from vidda.control.clip_flow import Target
from vidda.control.contact_sheet import (
    contact_sheet,
    evenly,
    flow_pictures,
    full_color,
    rows,
)
from vidda.control.controls import ControlConfig, ControlReader, Controls
from vidda.control.full_disk import FullDiskError, full_disk_told
from vidda.control.mask import has_mask, person_mask
from vidda.data.choose_clips import choose, find_clips
from vidda.data.derived import making_folder, missing
from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.files import atomic, inside
from vidda.progress import Passed, meter
from vidda.run import RunFolder
from vidda.types import ClipRecord, Manifest

CLIPS, FAILED = "clips", "failed.csv"
Count = Annotated[int, Field(ge=1)]

log = logging.getLogger("vidda")


class ControlJobConfig(ControlConfig):
    """Whose controls are computed, and what is written."""

    input: Path = Field(description="a manifest, a folder of videos, or a video")
    out: Path = Field(description="run folder to write")
    size: Count | tuple[Count, Count] | None = Field(
        default=512, description="shorter side in pixels, or [height, width]; null: the clip's own"
    )
    frames: Count = Field(default=256, description="a longer clip is looked at up to this frame")
    clips: tuple[str, ...] = Field(
        default=(), description="ids of the clips, * standing for anything; none: all"
    )
    limit: Count | None = Field(default=None, description="only so many clips, the first ones")
    write: tuple[Literal["sheet", "videos", "npz"], ...] = Field(
        default=("sheet", "videos"), min_length=1, description="what is written for each clip"
    )
    columns: Count = Field(default=8, description="frames on a sheet, evenly spread over the clip")
    tile: int = Field(default=192, ge=32, description="width of each picture on a sheet, in pixels")
    cache: Path | None = Field(default=None, description="folder that keeps what was computed")

    @property
    def whole_flow(self) -> bool:
        """Return whether flow was asked for; else only the frames on the sheet have any."""
        return self.flow is not None and "flow" in self.model_fields_set

    @property
    def flows(self) -> tuple[Target, ...]:
        """Return the flow that is shown or written; videos do not show that to the first frame."""
        if not self.whole_flow and "sheet" not in self.write:
            return ()
        return ("previous",) if self.write == ("videos",) else ("previous", "anchor")


def run(config: ControlJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Write the controls of every clip; 0 when all could be, else 1."""
    chosen = choose(find_clips(config.input), config.clips, config.limit)
    _require_own_places(chosen)
    if dry_run:
        ControlReader(config, None).load()
        print(f"dry run: would write {', '.join(config.write)} of {len(chosen)} clips")
        for line in _not_made(config):
            print(line)
        return 0
    reader = ControlReader(config, config.cache, config.flows)
    reader.load()
    prints = {"input": chosen.fingerprint()}
    waiting = _missing(config.out, chosen)
    whole = not waiting
    with RunFolder.open(config.out, config, prints, resume=resume, whole=whole) as opened:
        if opened.finished:
            print(f"{config.out}: is finished")
            return 0
        failed = _write_all(config, reader, chosen, waiting)
        if failed:
            lines = [csv_line(pair) for pair in failed]
            write_csv(config.out / FAILED, csv_line(("id", "reason")), lines)
            print(f"{len(failed)} of {len(chosen)} clips failed: {config.out / FAILED}")
            print("mend them; the same command with --resume tries them again")
            return 1
        (config.out / FAILED).unlink(missing_ok=True)
        lost = len(_missing(config.out, chosen, content=False))
        if lost:
            print(f"{lost} clips were lost while others were at work; {opened.remedy()}")
            return 1
        opened.finish()
    for line in _not_made(config):
        print(line)
    print(f"written: {config.out / CLIPS}")
    return 0


def _not_made(config: ControlJobConfig) -> list[str]:
    """Say which controls are not made, and what makes them."""
    lines = []
    if config.pose is None:
        lines.append("no poses: pose is null; pose.name=sidecar, mmpose or onnx finds them")
    if config.edges is None:
        lines.append("no edges: edges is null")
    if config.flow is None:
        lines.append("no optical flow: flow is null")
    elif not config.whole_flow and config.write != ("sheet",):
        lines.append("optical flow only on sheets; flow.name=dis or raft gives every frame's")
    return lines


def _require_own_places(chosen: Manifest) -> None:
    """Raise ViddaError when two clips are the same file, and so would be written to one place."""
    first: dict[str, str] = {}
    for clip in chosen.clips:
        if clip.path in first:
            raise ViddaError(
                f"clips {first[clip.path]!r} and {clip.id!r} are both {clip.path}; choose one of"
                " them with clips=[ID]"
            )
        first[clip.path] = clip.id


def _missing(out: Path, chosen: Manifest, *, content: bool = True) -> list[ClipRecord]:
    """Return the clips that are not whole there; content: compare hashes, not only sizes."""
    return missing(out, chosen.clips, lambda clip: (_place(clip), clip.id), content=content)


def _place(clip: ClipRecord) -> str:
    """Return a clip's folder, relative to OUT."""
    return f"{CLIPS}/{clip.path}"


def _write_all(
    config: ControlJobConfig, reader: ControlReader, chosen: Manifest, waiting: list[ClipRecord]
) -> list[tuple[str, str]]:
    """Write the waiting clips; the ids of clips that failed, and why."""
    lengths = {clip.id: _length(config, inside(chosen.root, clip.path)) for clip in chosen.clips}
    total = sum(lengths.values())
    done = total - sum(lengths[clip.id] for clip in waiting)
    failed: list[tuple[str, str]] = []
    with meter(label="controls", total=total, unit="frames", done=done) as passed:
        for number, clip in enumerate(waiting, len(chosen) - len(waiting) + 1):
            count = _Counted(passed, f"clip {number}/{len(chosen)}")
            try:
                with full_disk_told(config.out):
                    _write_clip(config, reader, clip, chosen.root, count)
            except FullDiskError:
                raise
            except ViddaError as error:
                log.warning("clip %r failed: %s", clip.id, error)
                failed.append((clip.id, str(error)))
            count(lengths[clip.id] - count.frames)
    return failed


class _Counted:
    """Passes on how many frames of a clip are done, and adds them up."""

    def __init__(self, passed: Callable[..., None], note: str) -> None:
        self._passed, self._note = passed, note
        self.frames = 0

    def __call__(self, count: int) -> None:
        self.frames += count
        self._passed(count, self._note)


def _length(config: ControlJobConfig, path: Path) -> int:
    """Return how many frames of a clip are looked at; 0 where it cannot be read, which is told
    later.
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
    passed: Passed,
) -> None:
    path = inside(root, clip.path)
    info = video.probe(path)
    numbers = np.arange(min(info.frames, config.frames))
    if len(numbers) < info.frames:
        log.info(
            "clip %r: the first %d of its %d frames; frames=N takes more",
            clip.id,
            len(numbers),
            info.frames,
        )
    frames = video.read(path, numbers, config.size)
    shown = evenly(len(frames), config.columns)
    flow_rows = None if config.whole_flow else shown
    controls = reader.read(frames, clip, root, numbers, flow_rows=flow_rows, passed=passed)
    height, width = frames.shape[1:3]
    mask = None
    if controls.pose is not None or has_mask(clip, root):
        mask = person_mask(
            clip, root, controls.pose, height, width, numbers, threshold=config.threshold
        )
    with making_folder(config.out, _place(clip), clip.id) as folder:
        if "sheet" in config.write:
            found = rows(frames, controls, mask, shown)
            sheet = contact_sheet(clip.id, found, numbers[shown].tolist(), config.tile)
            video.write_png(folder / "sheet.png", sheet[None])
        if "videos" in config.write:
            for name, pictures in _pictures(_written(config, controls), mask):
                video.write(folder / f"{name}.mp4", pictures, info.fps or 1.0)
        if "npz" in config.write:
            with atomic(folder / "controls.npz") as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **_arrays(_written(config, controls), mask))  # type: ignore[arg-type]


def _written(config: ControlJobConfig, controls: Controls) -> Controls:
    """Return the controls of all frames, without flow that only the sheet's frames have."""
    if config.whole_flow:
        return controls
    names = ("flow_previous", "flow_anchor", "occluded_previous", "occluded_anchor")
    return replace(controls, **dict.fromkeys(names))


def _pictures(controls: Controls, mask: np.ndarray | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each control and its RGB frames."""
    if controls.edges is not None:
        yield "edges", np.repeat(controls.edges[..., None], 3, axis=3)
    if mask is not None:
        yield "mask", np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=3)
    if controls.pose_maps is not None:
        yield "pose", controls.pose_maps
    flow, hidden = controls.flow_previous, controls.occluded_previous
    if flow is not None and hidden is not None:
        yield "flow", flow_pictures(flow, hidden, full_color(flow))


def _arrays(controls: Controls, mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return each control as it is, by the name that `Controls` gives it."""
    found = {
        "edges": controls.edges,
        "pose_maps": controls.pose_maps,
        "flow_previous": controls.flow_previous,
        "flow_anchor": controls.flow_anchor,
        "occluded_previous": controls.occluded_previous,
        "occluded_anchor": controls.occluded_anchor,
        "mask": mask,
    }
    if controls.pose is not None:
        found |= {"keypoints": controls.pose.keypoints, "scores": controls.pose.scores}
    return {name: array for name, array in found.items() if array is not None}
