"""The sampler's work: what is not needed is not done, and memory that does not suffice is met."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_diffusion import FACTOR

from tests.translate.tiny_translator import SIDE, clip_job, config, last, tiny_models
from tools.translation_bench.memory import LiveBytes
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.attention_context import (
    AttendAnchors,
    AttendFirstPrevious,
    ContextConfig,
)
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_start import FromImage
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def models(folder: Path) -> Models:
    return tiny_models(folder)


def test_memory_does_not_grow_with_the_clip(models: Models) -> None:
    """But for latents, noise and the output of the networks, which all frames have."""
    choices = config(steps=2, chunk=16, guidance=1.0, scheduler=SchedulerConfig(name="ddim"))
    peaks = []
    for length in (16, 256):
        with LiveBytes() as live:
            last(models, choices, [clip_job(length)])
        peaks.append(live.peak)
    latent = 4 * (SIDE // FACTOR) ** 2 * 4
    assert peaks[1] - 240 * 3 * latent < 1.05 * peaks[0]
    assert peaks[0] > 100 * latent  # the networks' own memory was seen


def test_a_long_clip_takes_a_few_latents_more_for_each_frame(models: Models) -> None:
    """Of a chunk's frames, each takes over a hundred in the networks."""
    choices = config(steps=1, chunk=16, guidance=1.0, scheduler=SchedulerConfig(name="ddim"))
    peaks = []
    for length in (16, 1024):
        with LiveBytes() as live:
            last(models, choices, [clip_job(length)])
        peaks.append(live.peak)
    latent = 4 * (SIDE // FACTOR) ** 2 * 4
    assert peaks[1] - peaks[0] < 1008 * 6 * latent < 1008 * peaks[0] / 16 / 20


def test_controlnets_run_in_their_windows_and_guidance_in_its_own(folder: Path) -> None:
    models = tiny_models(folder, windows=((0.0, 0.5), (0.25, 1.0)))
    runs: dict[str, list[int]] = {"unet": [], "edges": [], "pose": []}
    hooks = [
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: runs[name].append(len(inputs[0]))
        )
        for name, module in [
            ("unet", models.unet),
            *((net.kind, net.model) for net in models.controlnets),
        ]
    ]
    scheduler = SchedulerConfig(name="ddim")
    choices = config(steps=8, guidance_stop=0.75, chunk=2, scheduler=scheduler)
    last(models, choices, [clip_job(4)])
    for hook in hooks:
        hook.remove()
    # Two chunks of two frames a step, each twice in the batch while there is guidance.
    assert runs["unet"] == [4, 4] * 6 + [2, 2] * 2
    assert runs["edges"] == [4, 4] * 4
    assert runs["pose"] == [4, 4] * 4 + [2, 2] * 2


def test_no_guidance_is_one_pass(models: Models) -> None:
    sizes = []
    hook = models.unet.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    last(models, config(guidance=1.0, scheduler=SchedulerConfig(name="ddim")), [clip_job(4)])
    hook.remove()
    assert sizes == [4] * 3


def full_above(limit: int) -> Any:
    """A hook that runs out of memory when more than so many frames come at once."""

    def hook(module: torch.nn.Module, inputs: Any) -> None:
        if len(inputs[0]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    return hook


@pytest.mark.parametrize(
    "context", [AttendFirstPrevious(), AttendAnchors(count=2)], ids=lambda c: c.name
)
def test_out_of_memory_halves_the_chunk_and_continues(
    models: Models, context: ContextConfig, caplog: pytest.LogCaptureFixture
) -> None:
    clip = clip_job(9)
    choices = config(context=context, chunk=8, vae_chunk=4, start=FromImage())
    whole = StableDiffusionTranslator(models, choices).translate([clip])[0]
    hooks = [
        models.unet.up_blocks[1].resnets[0].register_forward_pre_hook(full_above(5)),
        models.vae.decoder.register_forward_pre_hook(full_above(2)),
    ]
    caplog.clear()
    translator = StableDiffusionTranslator(models, choices)
    halved = translator.translate([clip])[0]
    for hook in hooks:
        hook.remove()
    assert translator.denoiser.fitting.size == 2
    assert np.abs(halved.astype(int) - whole).max() <= 1
    said = [record.message for record in caplog.records if record.name == "vidda"]
    assert said == [
        f"out of memory: continuing with {n}" for n in ("chunk=4", "chunk=2", "vae_chunk=2")
    ]


def test_a_frame_that_does_not_fit_is_an_error(models: Models) -> None:
    hook = models.unet.register_forward_pre_hook(full_above(0))
    with pytest.raises(ViddaError, match="not enough memory for one frame at a time"):
        last(models, config(), [clip_job(2)])
    hook.remove()
