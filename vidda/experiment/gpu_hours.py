"""Estimates of a job's GPU hours, from the floating-point operations of its stages."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch.utils.flop_counter import FlopCounterMode

from vidda.adapt.adapt_config import AdaptConfig
from vidda.camera.job import CameraJobConfig
from vidda.control.mask_job import MaskJobConfig
from vidda.data.choose_clips import select_clips
from vidda.data.randomize import RandomizeConfig
from vidda.data.versions import plan_versions
from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.evaluate.transfer import UNLABELED
from vidda.experiment.data_summary import Parts, by_file
from vidda.experiment.stage import Stage
from vidda.recognize.recognizers import ModelConfig
from vidda.recognize.train_config import TrainConfig
from vidda.recognize.videomae import VideoMaeConfig
from vidda.recognize.videomae_start import VideoMaeHub, VideoMaeScratch
from vidda.translate.frame_choice import AllFrames
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord, Manifest

BACKWARD = 3
"""Operations of a training step relative to its forward pass alone."""
FRAMES_PER_CLIP = 150
"""Frames of a clip that is translated whole: about the length of RoCoG-v2's at 30 fps."""
RESOLUTION = 512
"""Pixels a side where a translation's config keeps the size of the clips."""


@runtime_checkable
class CountsTeraflops(Protocol):
    """A config that counts the operations of its own stage."""

    def teraflops(self) -> float:
        """Return the floating-point operations of the whole stage, in TFLOP."""
        ...


def estimate_gpu_hours(
    stages: tuple[Stage, ...], parts: Parts, prepared: Path, tflops: float
) -> tuple[list[str], float]:
    """Return a line for each kind of stage that uses a GPU, and the total of GPU hours.

    parts: the clips of the experiments. prepared: folder of vidda prepare. tflops: speed of the
    GPU, in TFLOP/s. Raises ViddaError where a translation's `clips` matches none.
    """
    clips = _clips_by_manifest(stages, by_file(parts, prepared))
    hours: dict[str, list[float]] = {}
    flops: dict[str, float] = {}
    runs: dict[Path, Stage] = {stage.out: stage for stage in stages}
    for stage in stages:
        teraflops = _teraflops(stage, clips, flops, runs)
        if teraflops is not None:
            hours.setdefault(stage.kind, []).append(teraflops / tflops / 3600)
    lines = [
        f"{kind}: {len(each)} x {sum(each) / len(each):.3g} h = {sum(each):.3g} GPU hours"
        for kind, each in hours.items()
    ]
    return lines, sum(map(sum, hours.values()))


def _clips_by_manifest(
    stages: tuple[Stage, ...], prepared: Mapping[Path, Manifest]
) -> dict[Path, Manifest]:
    """Return the clips that each manifest will have, as far as ids and numbers go.

    prepared: those of vidda prepare.
    """
    clips = dict(prepared)
    for stage in stages:
        config = stage.config
        if isinstance(config, RandomizeConfig | CameraJobConfig):
            versions = plan_versions(clips[config.input], config.copies)
            made: Iterable[ClipRecord] = (
                one.record(config.name, domain=one.clip.domain) for one in versions
            )
        elif isinstance(config, TranslateConfig):
            # Ids end with a digest of the translation, which is known once its weights are.
            made = (replace(clip, id=f"{clip.id}@") for clip in _chosen(stage, config, clips))
        elif isinstance(config, MaskJobConfig):
            made = clips[config.input].clips
        else:
            continue
        clips[config.out / "manifest.csv"] = replace(clips[config.input], clips=tuple(made))
    return clips


def _chosen(
    stage: Stage, config: TranslateConfig, clips: Mapping[Path, Manifest]
) -> tuple[ClipRecord, ...]:
    """Return the clips of its input that a translation chooses."""
    try:
        return select_clips(clips[config.input], config.clips, config.limit).clips
    except ViddaError as error:
        lines = str(error).splitlines()
        raise ViddaError("\n".join(f"{stage.title}: {line}" for line in lines)) from None


def _teraflops(
    stage: Stage,
    clips: Mapping[Path, Manifest],
    flops: dict[str, float],
    runs: Mapping[Path, Stage],
) -> float | None:
    """Return the TFLOP of one stage; None if it uses no GPU."""
    config = stage.config
    if isinstance(config, TranslateConfig):
        return _translation_teraflops(config, len(_chosen(stage, config, clips)))
    if isinstance(config, CountsTeraflops):
        return config.teraflops()
    if isinstance(config, TrainConfig):
        target_clips = config.target_clips if isinstance(config, AdaptConfig) else 0
        samples = (stage.steps or 0) * (config.batch_size + target_clips)
        return samples * BACKWARD * _clip_teraflops(config, flops)
    if isinstance(config, EvaluateConfig) and config.transfer is not None:
        views = (config.clips or 1) * (config.crops or 1)
        total = 0.0
        for row in config.transfer.rows:
            for task, trained in row.runs.items():
                folder = config.transfer.data / "splits" / task
                tested = clips.get(folder / "source_only" / "test.csv") or clips[folder / UNLABELED]
                for run in trained:
                    model = runs[run].config
                    assert isinstance(model, TrainConfig)
                    total += len(tested) * views * _clip_teraflops(model, flops)
        return total
    return None


def _translation_teraflops(config: TranslateConfig, clips: int) -> float | None:
    frames = FRAMES_PER_CLIP
    if not isinstance(config.frames, AllFrames):
        frames = min(frames, config.frames.count)
    size = config.size or RESOLUTION
    height, width = (size, size) if isinstance(size, int) else size
    each = config.backbone.cost(frames, height, width)
    return None if each is None else clips * each


def _clip_teraflops(config: TrainConfig, known: dict[str, float]) -> float:
    """Return the TFLOP of a forward pass of one clip, counted without computing it."""
    key = config.model.model_dump_json()
    if key not in known:
        shape = config.model.clip_input().shape(config.sampling, config.transform)
        with torch.device("meta"):
            model = without_weights(config.model).build(7).eval()
            clip = torch.empty(1, *shape)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(clip)
        known[key] = counter.get_total_flops() / 1e12
    return known[key]


def without_weights(model: ModelConfig) -> ModelConfig:
    """Return a model's config without weights; VideoMAE-B if its folder is not downloaded yet."""
    if isinstance(model, VideoMaeConfig) and isinstance(model.start, VideoMaeHub):
        local = model.model_copy(
            update={"start": model.start.model_copy(update={"download": False})}
        )
        try:
            return local.without_weights()
        except ViddaError:
            return model.model_copy(update={"start": VideoMaeScratch(), "head": "new"})
    return model.without_weights()
