"""Translated clips for a person to look at: beside their source, and on contact sheets."""

from collections.abc import Iterator

import numpy as np

from vidda import video
from vidda.control.contact_sheet import Row, contact_sheet, evenly, rows
from vidda.translate.clip_job import ClipJob
from vidda.translate.outputs import Places
from vidda.translate.translate_config import TranslateConfig

COLUMNS, TILE = 8, 192
"""Frames on a sheet, and their width there in pixels."""
BETWEEN = 4
"""Pixels between source and translation."""


def show(
    config: TranslateConfig,
    places: Places,
    title: str,
    job: ClipJob,
    numbers: np.ndarray,
    translated: np.ndarray,
    final: np.ndarray,
    fps: float,
) -> list[str]:
    """Write what `config.show` asks for; the paths relative to OUT.

    numbers: (T,) of the frames in the source. translated, final: (T, H, W, 3) uint8 RGB, before and
    after the target's camera.
    """
    written = []
    if "side_by_side" in config.show:
        written.append(f"{places.shown}.mp4")
        video.write(config.out / written[-1], beside(job.frames, final), fps or 1.0)
    if "sheet" in config.show:
        shown = evenly(len(translated), COLUMNS)
        found: list[Row] = rows(job.frames, job.controls, job.mask, shown)
        found.append(("translated", translated[shown]))
        if final is not translated:
            found.append(("translated, with the target's camera", final[shown]))
        sheet = contact_sheet(title, found, numbers[shown].tolist(), TILE)
        written.append(f"{places.shown}.png")
        video.write_png(config.out / written[-1], sheet[None])
    return written


def beside(source: np.ndarray, final: np.ndarray) -> Iterator[np.ndarray]:
    """Yield frames (H, W, 3) of both clips (T, H, W, 3) in one, the source on the left."""
    between = np.full((source.shape[1], BETWEEN, 3), 255, np.uint8)
    for left, right in zip(source, final, strict=True):
        yield np.concatenate([left, between, right], axis=1)
