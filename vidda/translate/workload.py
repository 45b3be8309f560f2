"""How much work and disk a translation takes, told before it starts."""

import shutil
from pathlib import Path

from vidda.translate.backbone import Backbone
from vidda.translate.translate_config import TranslateConfig

SPEED = 100.0
"""TFLOP a second that the time is told for."""

BYTES_A_PIXEL = 0.5
"""Of H.264 at crf 18 of a very busy picture; half as much for each six steps more."""
SHEET_BYTES = 4_000_000
BYTES_A_CLIP = 50_000
"""Of its figures and its sidecar."""
CACHED_BYTES_A_PIXEL = 0.25
"""Of edges and poses, compressed: 0.04 to 0.08 were measured on three real clips, 0.16 on noise."""
FLOW_BYTES_A_PIXEL = 1.0
"""Of the flow to one other frame, compressed: 0.4 to 0.8 were measured on three real clips."""


def disks(config: TranslateConfig, clips: int, pixels: int) -> dict[Path, int]:
    """Return bytes that a job of so many clips and pixels needs, generously, by folder.

    OUT, and the cache where it lies on another disk.
    """
    pictured = 2.0 if config.crf is None else min(2.0, BYTES_A_PIXEL * 2 ** ((18 - config.crf) / 6))
    if "side_by_side" in config.show:
        pictured += 2.0 * BYTES_A_PIXEL
    sheets = SHEET_BYTES * clips if "sheet" in config.show else 0
    needed = {config.out: int(pixels * pictured) + sheets + BYTES_A_CLIP * clips}
    if config.cache is not None:
        same = _existing(config.cache).stat().st_dev == _existing(config.out).stat().st_dev
        place = config.out if same else config.cache
        flows = 0 if config.control.flow is None else len(config.backbone.flows)
        each = CACHED_BYTES_A_PIXEL + FLOW_BYTES_A_PIXEL * flows
        needed[place] = needed.get(place, 0) + int(pixels * each)
    return needed


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place


def told(config: TranslateConfig, backbone: Backbone, clips: int, pixels: int) -> list[str]:
    """Return the work and the disk in words."""
    lines = [backbone.work()]
    work = backbone.cost(pixels)
    if work is not None:
        hours = work / SPEED / 3600
        lines.append(f"work: {work / 1000:.3g} PFLOP, {hours:.2g} h at {SPEED:g} TFLOP/s")
    for folder, needed in disks(config, clips, pixels).items():
        line = f"disk: up to {needed / 2**30:.2g} GiB in {folder}"
        free = shutil.disk_usage(_existing(folder)).free
        if folder == config.cache and free < needed:
            # No reason not to start: a cache that is full keeps what it has.
            line += f", where {free / 2**30:.2g} are free: the rest is computed at every run"
        lines.append(line)
    return lines
