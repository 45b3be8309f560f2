"""How many GPU hours a job takes, from the work that its stages were counted to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch.utils.flop_counter import FlopCounterMode

from vidda.adapt.adapt_config import AdaptConfig
from vidda.data.listing import Listing
from vidda.data.randomize import RandomizeConfig
from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.experiment.stage import Stage
from vidda.recognize.recognizers import ModelConfig
from vidda.recognize.train_config import TrainConfig
from vidda.recognize.videomae import VideoMaeConfig
from vidda.recognize.videomae_start import VideoMaeHub, VideoMaeScratch
from vidda.translate.frame_choice import AllFrames
from vidda.translate.translate_config import TranslateConfig

BACKWARD = 3
"""Work of a training step relative to the forward pass alone."""
FRAMES_A_CLIP = 150
"""Of a clip that is translated whole: RoCoG-v2's are about so long at 30 frames a second."""
RESOLUTION = 512
"""Pixels a side where a recipe leaves it to the clips."""


@runtime_checkable
class Counted(Protocol):
    """A stage's config that tells its work itself."""

    def teraflops(self) -> float:
        """Return the TFLOP of the whole stage."""
        ...


def told(
    stages: tuple[Stage, ...], listing: Listing, prepared: Path, tflops: float
) -> tuple[list[str], float]:
    """Return a line for each kind of stage that takes a GPU, and the hours of all of them.

    listing: of the data that is to be prepared. tflops: TFLOP/s that the GPU is taken to do.
    """
    clips = _clips(stages, listing, prepared)
    hours: dict[str, list[float]] = {}
    flops: dict[str, float] = {}
    runs: dict[Path, Stage] = {stage.out: stage for stage in stages}
    for stage in stages:
        work = _teraflops(stage, clips, flops, runs)
        if work is not None:
            hours.setdefault(stage.kind, []).append(work / tflops / 3600)
    lines = [
        f"{kind}: {len(each)} x {sum(each) / len(each):.3g} h = {sum(each):.3g} GPU hours"
        for kind, each in hours.items()
    ]
    return lines, sum(map(sum, hours.values()))


def _clips(stages: tuple[Stage, ...], listing: Listing, prepared: Path) -> dict[Path, int]:
    """Return how many clips each manifest has, or will have."""
    counts = {
        prepared / "splits" / name / f"{part}.csv": len(listing.lists.get(members, ()))
        for name, parts in listing.experiments.items()
        for part, members in parts.items()
    }
    for stage in stages:
        config = stage.config
        if isinstance(config, RandomizeConfig):
            counts[config.out / "manifest.csv"] = counts.get(config.input, 0) * config.copies
        elif isinstance(config, TranslateConfig):
            counts[config.out / "manifest.csv"] = counts.get(config.input, 0)
    return counts


def _teraflops(
    stage: Stage, clips: Mapping[Path, int], flops: dict[str, float], runs: Mapping[Path, Stage]
) -> float | None:
    """Work of one stage; None where it takes no GPU."""
    config = stage.config
    if isinstance(config, TranslateConfig):
        return _translation(config, clips.get(config.input, 0))
    if isinstance(config, Counted):
        return config.teraflops()
    if isinstance(config, TrainConfig):
        shown = config.target_clips if isinstance(config, AdaptConfig) else 0
        samples = (stage.steps or 0) * (config.batch_size + shown)
        return samples * BACKWARD * _of_clip(config, flops)
    if isinstance(config, EvaluateConfig) and config.transfer is not None:
        views = (config.clips or 1) * (config.crops or 1)
        total = 0.0
        for row in config.transfer.rows:
            for task, trained in row.runs.items():
                tests = config.transfer.data / "splits" / task / "source_only" / "test.csv"
                for run in trained:
                    model = runs[run].config
                    assert isinstance(model, TrainConfig)
                    total += clips.get(tests, 0) * views * _of_clip(model, flops)
        return total
    return None


def _translation(config: TranslateConfig, clips: int) -> float | None:
    frames = FRAMES_A_CLIP
    if not isinstance(config.frames, AllFrames):
        frames = min(frames, config.frames.count)
    size = config.size or RESOLUTION
    height, width = (size, size) if isinstance(size, int) else size
    return config.backbone.cost(clips * frames * height * width)


def _of_clip(config: TrainConfig, known: dict[str, float]) -> float:
    """TFLOP of a forward pass of one clip, counted without computing it."""
    key = config.model.model_dump_json()
    if key not in known:
        size = config.transform.size
        with torch.device("meta"):
            model = _architecture(config.model).build(7).eval()
            clip = torch.empty(1, 3, config.sampling.frames, size, size)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(clip)
        known[key] = counter.get_total_flops() / 1e12
    return known[key]


def _architecture(model: ModelConfig) -> ModelConfig:
    """Return the model without weights; VideoMAE-B for one whose folder has not been
    fetched yet.
    """
    if isinstance(model, VideoMaeConfig) and isinstance(model.start, VideoMaeHub):
        kept = model.model_copy(
            update={"start": model.start.model_copy(update={"download": False})}
        )
        try:
            return kept.without_weights()
        except ViddaError:
            return model.model_copy(update={"start": VideoMaeScratch(), "head": "new"})
    return model.without_weights()
