"""With a network that always finds the noise that was added, every start ends at the source."""

from functools import cache
from typing import Any

import pytest
import torch

from tests.translate.tiny_translator import clip_job, config, tiny_models
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.latents import encode_frames
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_start import (
    DdimInversion,
    FromImage,
    SamplingStartConfig,
    Zodi,
    set_timesteps,
)
from vidda.translate.stable_diffusion.schedulers import SCHEDULERS, SchedulerConfig

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__")  # diffusers' LMS with numpy 2

# The others add fresh noise in every step, of which such a network knows nothing.
FRESH = {"ddpm", "lcm", "sa_solver", "euler_ancestral", "kdpm2_ancestral"}
# The first and the last leave a single step.
CASES = ((20, 0.05), (20, 0.2), (20, 0.5), (20, 0.6), (20, 0.8), (20, 1.0), (3, 0.35))
PRK = {"skip_prk_steps": False}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return tiny_models(tmp_path_factory.mktemp("tiny"), ())


def error(
    models: Models, scheduler: SchedulerConfig, start: SamplingStartConfig, steps: int
) -> float:
    """RMS of the result against sqrt(a) source + sqrt(1 - a) noise, a the scheduler's final."""
    clip = clip_job(1)
    chosen = config(scheduler=scheduler, start=start, steps=steps)
    translator = StableDiffusionTranslator(models, chosen)
    source = encode_frames(models.vae, clip.frames, Fitting(1, "vae_chunk"))
    noise = chosen.noise.draw(clip.seed, 1, tuple(source.shape[1:]), clip.controls)
    translator.denoiser.predict = lambda *_: noise  # type: ignore[method-assign]
    for latents in translator.denoise([clip]):
        last = latents
    kept = final_alpha(scheduler.name)
    return float((last - kept**0.5 * source - (1 - kept) ** 0.5 * noise).square().mean().sqrt())


@cache
def final_alpha(name: str) -> float:
    """The share of the signal that a scheduler ends at."""
    scheduler: Any = schedulers.build_scheduler(SchedulerConfig(name=name), schedulers.SD15_NOISE)
    if hasattr(scheduler, "final_alpha_cumprod"):
        return float(scheduler.final_alpha_cumprod)
    scheduler.set_timesteps(2)
    return 1 / (1 + float(scheduler.sigmas[-1]) ** 2)


@pytest.mark.parametrize("start", [FromImage, Zodi, DdimInversion])
@pytest.mark.parametrize(
    "name",
    # kdpm2 takes half a second to be built.
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "kdpm2" else [])
        for name in SCHEDULERS
        if name not in FRESH
    ],
)
def test_nothing_of_the_noise_is_left(models: Models, name: str, start: Any) -> None:
    scheduler = SchedulerConfig(name=name, eta=0.0 if name == "tcd" else None)
    found = [error(models, scheduler, start(strength=share), steps) for steps, share in CASES]
    assert max(found) < 1e-5, found


@pytest.mark.parametrize("strength", [0.3, 0.6, 0.8, 1.0])
def test_pndm_that_begins_by_runge_kutta_does_so_anywhere(models: Models, strength: float) -> None:
    scheduler = SchedulerConfig(name="pndm", overrides=PRK)
    assert error(models, scheduler, FromImage(strength=strength), 20) < 1e-5


def test_too_few_steps_for_runge_kutta_are_refused(models: Models) -> None:
    scheduler = SchedulerConfig(name="pndm", overrides=PRK)
    with pytest.raises(ViddaError, match=r"start.strength: leaves 3 .* takes 4; raise it, or set"):
        error(models, scheduler, FromImage(strength=0.15), 20)


def test_an_image_start_of_pndm_repeats_its_second_level(models: Models) -> None:
    scheduler = schedulers.build_scheduler(SchedulerConfig(name="pndm"), models.scheduler_config)
    assert set_timesteps(scheduler, 20, 0.2).tolist() == [151, 101, 101, 51, 1]
    assert set_timesteps(scheduler, 20, 0.05).tolist() == [1]
    whole = set_timesteps(scheduler, 20, 1.0)
    assert torch.equal(whole, scheduler.timesteps)
