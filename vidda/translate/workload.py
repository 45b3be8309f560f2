"""Estimates of a translation's computation and disk space, printed before it starts."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

from vidda.translate.backbone import Backbone
from vidda.translate.translate_config import TranslateConfig

ClipShape = tuple[int, int, int]
"""Frames, height and width of a clip to translate."""

REFERENCE_SPEED = 100.0
"""TFLOP/s for which the time is printed."""

BYTES_PER_PIXEL = 0.5
"""H.264 at crf 18 of very busy frames; half as much for each six steps more."""
BYTES_PER_SHEET = 4_000_000
BYTES_PER_CLIP = 50_000
"""A clip's quality figures and sidecar."""
CACHED_BYTES_PER_PIXEL = 0.25
"""Compressed edges and poses: 0.04 to 0.08 measured on three real clips, 0.16 on noise."""
MAP_BYTES_PER_PIXEL = {"depth": 1.0, "segmentation": 0.1, "mask": 0.1}
"""Estimated depth before compression; compressed segmentation: 0.003 to 0.016 measured on four real
clips, of untrained models."""
FLOW_BYTES_PER_PIXEL = 1.0
"""Compressed flow to one other frame: 0.4 to 0.8 measured on three real clips."""


def disk_needs(config: TranslateConfig, clips: int, pixels: int) -> dict[Path, int]:
    """Return the bytes that a job needs at most, by folder: OUT, and the cache if on another disk.

    clips, pixels: numbers of clips and of pixels over all frames.
    """
    videos = video_bytes(pixels, config.crf)
    if "side_by_side" in config.show:
        videos += int(pixels * 2.0 * BYTES_PER_PIXEL)
    sheets = BYTES_PER_SHEET * clips if "sheet" in config.show else 0
    needed = {config.out: videos + sheets + BYTES_PER_CLIP * clips}
    if config.cache is not None:
        same = _existing(config.cache).stat().st_dev == _existing(config.out).stat().st_dev
        folder = config.out if same else config.cache
        flows = 0 if config.control.flow is None else len(config.backbone.flows)
        maps = sum(MAP_BYTES_PER_PIXEL.get(key, 0) for key in config.control.estimated)
        cached = CACHED_BYTES_PER_PIXEL + FLOW_BYTES_PER_PIXEL * flows + maps
        needed[folder] = needed.get(folder, 0) + int(pixels * cached)
    return needed


def video_bytes(pixels: int, crf: int | None) -> int:
    """Return the bytes of H.264 videos at most. pixels: over all frames. crf: None is lossless."""
    each = 2.0 if crf is None else min(2.0, BYTES_PER_PIXEL * 2 ** ((18 - crf) / 6))
    return int(pixels * each)


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    path = folder.absolute()
    while not path.exists():
        path = path.parent
    return path


def describe_workload(
    config: TranslateConfig, backbone: Backbone, shapes: Mapping[ClipShape, int]
) -> list[str]:
    """Return lines on the computation and the disk space of a job.

    shapes: number of clips of each shape.
    """
    clips = sum(shapes.values())
    pixels = sum(math.prod(shape) * count for shape, count in shapes.items())
    lines = [backbone.work()]
    costs = [(backbone.cost(*shape), count) for shape, count in shapes.items()]
    if all(cost is not None for cost, _ in costs):
        work = sum(cost * count for cost, count in costs if cost is not None)
        hours = work / REFERENCE_SPEED / 3600
        lines.append(f"work: {work / 1000:.3g} PFLOP, {hours:.2g} h at {REFERENCE_SPEED:g} TFLOP/s")
    for folder, needed in disk_needs(config, clips, pixels).items():
        line = f"disk: up to {needed / 2**30:.2g} GiB in {folder}"
        free = shutil.disk_usage(_existing(folder)).free
        if folder == config.cache and free < needed:
            # No reason not to start: a full cache keeps its entries.
            line += f", where {free / 2**30:.2g} GiB are free: the rest is computed in every run"
        lines.append(line)
    return lines
