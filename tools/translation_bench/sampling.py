"""Time, memory and operations of sampling, by diffusers' pipeline and by vidda in several ways."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from diffusers import MultiControlNetModel, PNDMScheduler, StableDiffusionControlNetPipeline
from torch.utils.flop_counter import FlopCounterMode

from tools.translation_bench.networks import Size, random_clip, random_models
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.attention_context import AttendFirstPrevious, AttendOwn
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.conditions import Conditions
from vidda.translate.stable_diffusion.denoiser import Denoiser
from vidda.translate.stable_diffusion.latents import decode_latents, encode_frames
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.noise import IndependentNoise
from vidda.translate.stable_diffusion.prompt_encoder import PromptEncoder
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.schedulers import SD15_NOISE

GUIDANCE = 9.0
TIMED_STEPS = 6


@dataclass(frozen=True)
class StepTime:
    """The time of one step of all frames.

    seconds: median. cpu: median seconds of the process on the CPU. first: seconds of the first
    step, with what is compiled. peak: GiB of the GPU's memory at most; 0 on a CPU.
    """

    seconds: float
    cpu: float
    first: float
    peak: float


def sampling_config(size: Size, context: str, chunk: int, *, compiled: bool) -> SamplingConfig:
    """Return the settings of a way. context: none or first_previous."""
    return SamplingConfig(
        steps=size.steps,
        guidance=GUIDANCE,
        context=AttendOwn() if context == "none" else AttendFirstPrevious(),
        noise=IndependentNoise(),
        chunk=chunk,
        compile=compiled,
    )


def time_steps(models: Models, clip: ClipJob, config: SamplingConfig) -> StepTime:
    """Return the time of the steps after the first, `TIMED_STEPS` at most."""
    device = models.unet.device
    translator = StableDiffusionTranslator(models, config)
    marks = []
    with peak_memory(device) as peak:
        marks.append(_now(device))
        for step, _ in enumerate(translator.denoise([clip])):
            marks.append(_now(device))
            if step == TIMED_STEPS:
                break
    steps = list(pairwise(marks))
    later = steps[1:] or steps
    return StepTime(
        seconds=statistics.median(end[0] - begin[0] for begin, end in later),
        cpu=statistics.median(end[1] - begin[1] for begin, end in later),
        first=steps[0][1][0] - steps[0][0][0],
        peak=peak[0],
    )


def time_long_clip(models: Models, size: Size, config: SamplingConfig, frames: int) -> StepTime:
    """Return the time and memory of a step of a clip of so many frames."""
    clip = random_clip(replace(size, frames=1))
    controls = replace(
        clip.controls,
        edges=np.broadcast_to(clip.controls.edges, (frames, size.pixels, size.pixels)),  # type: ignore[arg-type]
        pose_maps=np.broadcast_to(clip.controls.pose_maps, (frames, size.pixels, size.pixels, 3)),  # type: ignore[arg-type]
    )
    pictures = np.broadcast_to(clip.frames, (frames, size.pixels, size.pixels, 3))
    # One step is enough: all steps take the same memory.
    long = replace(clip, frames=pictures, controls=controls)
    return time_steps(models, long, config.model_copy(update={"steps": 1}))


def time_autoencoder(models: Models, clip: ClipJob, chunk: int) -> tuple[float, float]:
    """Return the seconds of encoding and of decoding a clip's frames."""
    device, fitting = models.vae.device, Fitting(chunk, "vae_chunk")
    for _ in range(2):  # the first warms up
        marks = [_now(device)[0]]
        latents = encode_frames(models.vae, clip.frames, fitting)
        marks.append(_now(device)[0])
        decode_latents(models.vae, latents, fitting)
        marks.append(_now(device)[0])
    return marks[1] - marks[0], marks[2] - marks[1]


def time_diffusers(models: Models, clip: ClipJob, steps: int) -> float:
    """Return the seconds that diffusers' pipeline takes for one frame, from prompt to pixels."""
    pipeline = StableDiffusionControlNetPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        controlnet=MultiControlNetModel([net.model for net in models.controlnets]),
        scheduler=PNDMScheduler(**SD15_NOISE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    edges = np.repeat(clip.controls.edges[0, ..., None], 3, axis=2)  # type: ignore[index]
    images = [
        torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        for image in (edges, clip.controls.pose_maps[0])  # type: ignore[index]
    ]
    for _ in range(2):  # the first warms up
        begin = _now(models.unet.device)[0]
        pipeline(
            prompt=clip.prompt,
            negative_prompt=clip.negative,
            image=images,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        )
        seconds = _now(models.unet.device)[0] - begin
    return seconds


def count_teraflops(size: Size, config: SamplingConfig) -> tuple[float, float]:
    """Return the TFLOP of a step of all frames and of decoding them, without computing them.

    Matrix products, convolutions and attention, counted by PyTorch on its meta device.
    """
    models = random_models(size, torch.device("meta"), torch.bfloat16)
    clip = random_clip(size)
    denoiser = Denoiser(models, config.context, config.chunk, compile=False)
    conditions = Conditions([clip], models, PromptEncoder(models.tokenizer, models.text_encoder))
    side = models.unet.config.sample_size
    latents = torch.empty(size.frames, 4, side, side, device="meta")
    timestep = torch.tensor(500)
    with torch.inference_mode():
        arguments = (latents, timestep, conditions, models.controlnets, config.guidance)
        denoiser.predict(*arguments)  # embeds the control images, which later steps do not
        with FlopCounterMode(display=False) as step:
            denoiser.predict(*arguments)
        with FlopCounterMode(display=False) as decoding:
            models.vae.decode(latents.to(torch.bfloat16))
    return step.get_total_flops() / 1e12, decoding.get_total_flops() / 1e12


@contextmanager
def peak_memory(device: torch.device) -> Iterator[list[float]]:
    """Yield a list that holds, after the block, the GiB of a GPU's memory in use at most."""
    found = [0.0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    yield found
    if device.type == "cuda":
        found[0] = torch.cuda.max_memory_allocated() / 2**30


def _now(device: torch.device) -> tuple[float, float]:
    """Return the time, and the process's CPU time, after all work on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()
