"""The compute that sampling takes, counted for Stable Diffusion 1.5's sizes."""

from dataclasses import dataclass
from pathlib import Path

from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.folders import JsonContent, ModelFolder
from vidda.translate.stable_diffusion.keep_person import KeepLatents
from vidda.translate.stable_diffusion.model_files import ModelFiles
from vidda.translate.stable_diffusion.sampling_config import (
    ClipSamplingConfig,
    SamplingConfig,
    controlnet_runs,
    has_guidance,
)
from vidda.translate.stable_diffusion.sampling_start import (
    DdimInversion,
    FromNoise,
    Zodi,
    set_timesteps,
)
from vidda.translate.stable_diffusion.weights_config import WeightsConfig

SD15 = [320, 640, 1280, 1280]
"""Widths of Stable Diffusion 1.5's UNet, for which the numbers below were counted."""
SD15_PIXELS = 512 * 512
UNET, CONTROLNET, ENCODE, DECODE, ATTENDED = 0.80, 0.28, 1.1, 2.5, 0.12
"""TFLOP for a frame of 512x512: a pass of either network, the autoencoder, one attended frame."""
BACKWARD = 3
"""Compute of a training step relative to the forward pass alone."""
COMPILE_SECONDS = 83.0
"""Seconds that compiling whole networks took on an H200; of their blocks it was not measured."""
SAVED_PER_TERAFLOP = 0.00127
"""Seconds that a compiled network saves, measured on an H200: 65 ms of a step of 51 TFLOP."""
SD15_FILES = ModelFiles(
    vae=ModelFolder(Path(), {}, (), None),
    unet=ModelFolder(Path(), {"block_out_channels": SD15}, (), None),
    text_encoder=ModelFolder(Path(), {}, (), None),
    tokenizer=Path(),
    scheduler={"_class_name": "PNDMScheduler", **schedulers.SD15_NOISE},
    controlnets=(),
    loras=(),
    embeddings=(),
)
"""A stand-in for Stable Diffusion 1.5's files where they have not been downloaded yet."""


@dataclass(frozen=True, slots=True)
class Passes:
    """The computation for one frame.

    steps: number of sampling steps. unet, controlnets: number of passes through the UNet and
    through all ControlNets together.
    """

    steps: int
    unet: int
    controlnets: int


def count_passes(
    sampling: ClipSamplingConfig, weights: WeightsConfig, scheduler: JsonContent
) -> Passes:
    """Return the steps and passes that the sampler takes for one frame.

    scheduler: the content of the model's scheduler_config.json.
    """
    steps = len(
        set_timesteps(
            schedulers.build_scheduler(sampling.scheduler, scheduler),
            sampling.steps,
            sampling.start.strength,
        )
    )
    unet = controlnets = 0
    for step in range(steps):
        each = (
            2 if sampling.guidance > 1 and has_guidance(step, steps, sampling.guidance_stop) else 1
        )
        unet += each
        controlnets += each * sum(
            controlnet_runs(step, steps, net.start, net.end) for net in weights.controlnets
        )
    before = {Zodi: 1, DdimInversion: steps}.get(type(sampling.start), 0)
    return Passes(steps, unet + before, controlnets + before * len(weights.controlnets))


def teraflops(
    sampling: SamplingConfig, weights: WeightsConfig, files: ModelFiles, pixels: int
) -> float | None:
    """Return the TFLOP of translating frames; None for a UNet of other widths than 1.5's.

    pixels: of all frames together.
    """
    if list(files.unet.config.get("block_out_channels", ())) != SD15:
        return None
    counted = count_passes(sampling, weights, files.scheduler)
    further = len(sampling.context.attended(1, 3)) - 1
    frame = counted.unet * (UNET + ATTENDED * further) + counted.controlnets * CONTROLNET
    return (frame + DECODE + ENCODE * encodes_source(sampling)) * pixels / SD15_PIXELS


def encodes_source(sampling: ClipSamplingConfig) -> bool:
    """Return whether sampling needs the source's latents."""
    return not isinstance(sampling.start, FromNoise) or isinstance(
        sampling.keep_person, KeepLatents
    )


def compile_saving(work: float) -> float:
    """Return the seconds that compiling the networks saves on a GPU; below 0 where it loses time.

    work: TFLOP of all clips of one size, see `teraflops`.
    """
    return work * SAVED_PER_TERAFLOP - COMPILE_SECONDS
