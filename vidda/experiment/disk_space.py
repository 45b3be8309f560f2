"""Disk space that the stages of a job need, estimated before it starts."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from vidda import video
from vidda.adapt.adapt_config import AdaptConfig
from vidda.camera.job import CameraJobConfig
from vidda.config import Config
from vidda.control.mask_job import MaskJobConfig
from vidda.data.choose_clips import select_clips
from vidda.data.randomize import RandomizeConfig
from vidda.errors import ViddaError
from vidda.experiment.data_summary import Parts, by_file
from vidda.experiment.gpu_hours import without_weights
from vidda.experiment.stage import Stage
from vidda.files import inside
from vidda.recognize.train_config import TrainConfig
from vidda.translate.translate_config import TranslateConfig
from vidda.translate.workload import disk_needs, video_bytes
from vidda.types import Manifest

SAMPLED = 8
"""Clips that are opened to know how long and how large they are."""
BYTES_PER_WEIGHT = 12
"""Of a checkpoint: the weight, and two moments of the optimizer, in fp32."""
CHECKPOINTS = 2
"""Checkpoints that a training keeps at most: the last one, and the best."""


@dataclass(frozen=True, slots=True)
class ClipSet:
    """A number of clips. frames, height, width: of each, the mean of a sample."""

    clips: int
    frames: float
    height: float
    width: float

    @property
    def pixels(self) -> int:
        """Return the number of pixels over all frames of all clips."""
        return round(self.clips * self.frames * self.height * self.width)

    def scaled(self, size: int | tuple[int, int] | None) -> tuple[float, float]:
        """Return height and width for a shorter side, or both sides; None keeps them."""
        if isinstance(size, tuple):
            return size
        scale = 1.0 if size is None or not self.frames else size / min(self.height, self.width)
        return self.height * scale, self.width * scale


def describe_disk(stages: Sequence[Stage], prepared: Path, parts: Parts, out: Path) -> list[str]:
    """Return a line for each folder that the stages fill, with about how many bytes.

    prepared: folder of vidda prepare. parts: the clips of the experiments, none where the data are
    not there yet. out: folder of the job.
    """
    chosen = {
        file: manifest
        for file, manifest in by_file(parts, prepared).items()
        if file.stem in ("train", "target")
    }
    sets = {file: _sampled(manifest) for file, manifest in chosen.items()}
    if not any(one.frames for one in sets.values()):
        return ["disk: not known until the clips are there"]
    classes = len(next(iter(chosen.values())).classes)
    needed = {"clips": 0, "checkpoints": 0}
    caches: dict[Path, dict[Path, int]] = {}
    for stage in stages:
        if (made := _made_clips(stage.config, sets, chosen)) is not None:
            sets[stage.out / "manifest.csv"], size = made
            needed["clips"] += size
        elif isinstance(stage.config, TrainConfig):
            needed["checkpoints"] += _checkpoints(stage.config, classes)
            if stage.config.cache is not None:
                caches.setdefault(stage.config.cache, {}).update(_decoded(stage.config, sets))
    lines = [_disk_line(out, needed)]
    for folder, sizes in caches.items():
        lines.append(_disk_line(folder, {"decoded frames": sum(sizes.values())}))
    return lines


def _sampled(manifest: Manifest) -> ClipSet:
    """Return the number of clips and the mean size of those of a sample that can be read."""
    sizes = []
    for clip in select_clips(manifest, (), SAMPLED).clips if manifest.clips else ():
        try:
            info = video.probe(inside(manifest.root, clip.path))
        except ViddaError:  # the first stage that reads it reports it
            continue
        sizes.append((info.frames, info.height, info.width))
    frames, height, width = np.mean(sizes, axis=0).tolist() if sizes else (0.0, 0.0, 0.0)
    return ClipSet(len(manifest), frames, height, width)


def _made_clips(
    config: Config, sets: Mapping[Path, ClipSet], chosen: Mapping[Path, Manifest]
) -> tuple[ClipSet, int] | None:
    """Return the clips that a stage makes of others, and their bytes; None if it makes none.

    sets: by manifest. chosen: clips of those manifests whose ids are known.
    """
    if isinstance(config, RandomizeConfig | CameraJobConfig):
        source = sets[config.input]
        made = replace(source, clips=source.clips * config.copies)
        return made, video_bytes(made.pixels, config.crf)
    if isinstance(config, MaskJobConfig):
        # Masks are small beside their clips; depth takes two bytes a pixel before compression.
        return sets[config.input], 0 if config.depth is None else 2 * sets[config.input].pixels
    if not isinstance(config, TranslateConfig):
        return None
    source = sets[config.input]
    count = min(source.clips, config.limit or source.clips)
    if config.input in chosen:
        count = len(select_clips(chosen[config.input], config.clips, config.limit))
    height, width = source.scaled(config.size)
    made = ClipSet(count, len(config.frames.pick(round(source.frames))), height, width)
    return made, sum(disk_needs(config, count, made.pixels).values())


def _checkpoints(config: TrainConfig, classes: int) -> int:
    """Return the bytes of the checkpoints that a training keeps."""
    with torch.device("meta"):
        model = without_weights(config.model).build(classes)
    weights = sum(parameter.numel() for parameter in model.parameters())
    return CHECKPOINTS * BYTES_PER_WEIGHT * weights


def _decoded(config: TrainConfig, sets: Mapping[Path, ClipSet]) -> dict[Path, int]:
    """Return the bytes of the decoded frames that a training caches, by manifest."""
    manifests = [*config.train, *([config.target] if isinstance(config, AdaptConfig) else [])]
    found = {}
    for file in manifests:
        one = sets[file]
        height, width = one.scaled(config.transform.read_size)
        found[file] = round(3 * one.clips * one.frames * height * width)
    return found


def _disk_line(folder: Path, needed: Mapping[str, int]) -> str:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free, total = shutil.disk_usage(there).free, sum(needed.values())
    kinds = ", ".join(f"{name} {_gib(size)}" for name, size in needed.items())
    short = "; free some space, or choose another folder" if total > free else ""
    return f"disk: about {_gib(total)} in {folder} ({kinds}), {_gib(free)} are free{short}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{max(1, round(size / 2**20))} MiB"
