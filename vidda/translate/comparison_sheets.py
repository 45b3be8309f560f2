"""Images and videos to inspect translated clips: beside their source, and on contact sheets."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vidda import video
from vidda.control.contact_sheet import contact_sheet, evenly_spaced, sheet_rows
from vidda.translate.clip_job import ClipJob
from vidda.translate.outputs import ClipPaths
from vidda.translate.translate_config import TranslateConfig

COLUMNS, TILE = 8, 192
"""Most frames on a sheet, and the width of each in pixels."""
GAP = 4
"""White pixels between source and translation."""


def write_comparisons(
    config: TranslateConfig,
    paths: ClipPaths,
    title: str,
    job: ClipJob,
    numbers: np.ndarray,
    translated: np.ndarray,
    final: np.ndarray,
    fps: float,
) -> list[str]:
    """Write the files that `config.show` asks for; return their paths relative to OUT.

    paths: of the clip's files. title: first line of the sheet. job: the source clip. numbers: (T,)
    numbers of the frames in the source. translated, final: (T, H, W, 3) uint8 RGB, before and after
    the target's camera effects. fps: frames per second.
    """
    written = []
    if "side_by_side" in config.show:
        written.append(f"{paths.shown}.mp4")
        video.write(config.out / written[-1], side_by_side(job.frames, final), fps or 1.0)
    if "sheet" in config.show:
        shown = evenly_spaced(len(translated), COLUMNS)
        kept = job.controls.mask if job.mask is None else job.mask
        rows = sheet_rows(job.frames, replace(job.controls, mask=kept), shown)
        rows.append(("translated", translated[shown]))
        if final is not translated:
            rows.append(("translated, with the target's camera", final[shown]))
        sheet = contact_sheet(title, rows, numbers[shown].tolist(), TILE)
        written.append(f"{paths.shown}.png")
        video.write_png(config.out / written[-1], sheet[None])
    return written


def side_by_side(source: np.ndarray, final: np.ndarray) -> Iterator[np.ndarray]:
    """Yield each frame of two clips side by side, (H, 2 W + gap, 3) uint8, the source on the left.

    source, final: (T, H, W, 3) uint8 RGB, the source and its translation.
    """
    gap = np.full((source.shape[1], GAP, 3), 255, np.uint8)
    for left, right in zip(source, final, strict=True):
        yield np.concatenate([left, gap, right], axis=1)
