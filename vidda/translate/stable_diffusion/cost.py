"""How much work sampling takes, counted at Stable Diffusion 1.5's sizes."""

from dataclasses import dataclass
from pathlib import Path

from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.folders import Content, FolderPart
from vidda.translate.stable_diffusion.keep_person import KeepLatents
from vidda.translate.stable_diffusion.model_files import ModelFiles
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig, guided, runs
from vidda.translate.stable_diffusion.start import DdimInversion, FromNoise, Zodi, schedule
from vidda.translate.stable_diffusion.weights_config import WeightsConfig

SD15 = [320, 640, 1280, 1280]
"""Widths of Stable Diffusion 1.5's UNet, for which the numbers below were counted."""
SD15_PIXELS = 512 * 512
UNET, CONTROLNET, ENCODE, DECODE, ATTENDED = 0.80, 0.28, 1.1, 2.5, 0.12
"""TFLOP for a frame of 512x512: a pass of either network, the autoencoder, one attended frame."""
BACKWARD = 3
"""Work of a training step relative to the forward pass alone."""
PUBLISHED = ModelFiles(
    vae=FolderPart(Path(), {}, (), None),
    unet=FolderPart(Path(), {"block_out_channels": SD15}, (), None),
    text_encoder=FolderPart(Path(), {}, (), None),
    tokenizer=Path(),
    scheduler={"_class_name": "PNDMScheduler", **schedulers.SD15_NOISE},
    controlnets=(),
    loras=(),
    embeddings=(),
)
"""Stable Diffusion 1.5 as far as its cost goes, for where it has not been fetched yet."""


@dataclass(frozen=True, slots=True)
class Passes:
    """How often the networks run for one frame."""

    steps: int
    unet: int
    controlnets: int


def passes(sampling: SamplingConfig, weights: WeightsConfig, scheduler: Content) -> Passes:
    """Passes for one frame, counted as the sampler counts them. scheduler: its config's content."""
    steps = len(
        schedule(
            schedulers.build(sampling.scheduler, scheduler), sampling.steps, sampling.start.strength
        )
    )
    unet = controlnets = 0
    for step in range(steps):
        each = 2 if sampling.guidance > 1 and guided(step, steps, sampling.guidance_stop) else 1
        unet += each
        controlnets += each * sum(
            runs(step, steps, net.start, net.end) for net in weights.controlnets
        )
    before = {Zodi: 1, DdimInversion: steps}.get(type(sampling.start), 0)
    return Passes(steps, unet + before, controlnets + before * len(weights.controlnets))


def teraflops(
    sampling: SamplingConfig, weights: WeightsConfig, parts: ModelFiles, pixels: int
) -> float | None:
    """Of so many pixels of all frames; None for a model that was not counted."""
    if list(parts.unet.config.get("block_out_channels", ())) != SD15:
        return None
    counted = passes(sampling, weights, parts.scheduler)
    further = len(sampling.context.attended(1, 3)) - 1
    encodes = not isinstance(sampling.start, FromNoise) or isinstance(
        sampling.keep_person, KeepLatents
    )
    frame = counted.unet * (UNET + ATTENDED * further) + counted.controlnets * CONTROLNET
    return (frame + DECODE + ENCODE * encodes) * pixels / SD15_PIXELS
