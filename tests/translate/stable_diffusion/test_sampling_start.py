"""What sampling starts from, and the steps that are taken from there."""

from dataclasses import replace

import pytest
import torch

from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.sampling_start import (
    DdimInversion,
    FromImage,
    FromNoise,
    StartInputs,
    Zodi,
    add_noise,
    alpha_bar,
    predicted_noise,
    set_timesteps,
)
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig

STEPS = 50


def given(name: str = "ddim", strength: float = 1.0, **trained: object) -> StartInputs:
    """Random latents and noise, and a network whose output depends a little on what it sees."""
    draw = torch.Generator().manual_seed(0)
    source, noise, bias = torch.randn(3, 2, 4, 8, 8, generator=draw)
    scheduler = schedulers.build_scheduler(
        SchedulerConfig(name=name), {**schedulers.SD15_NOISE, **trained}
    )

    def predict(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return bias + 0.1 * torch.tanh(latents)

    return StartInputs(scheduler, set_timesteps(scheduler, STEPS, strength), noise, source, predict)


def test_steps_are_those_of_diffusers_image_to_image() -> None:
    assert len(given().timesteps) == STEPS
    late = given(strength=0.3)
    assert torch.equal(late.timesteps, late.scheduler.timesteps[35:])
    heun = given("heun", strength=0.5)  # two evaluations a step
    assert heun.scheduler.begin_index == 50
    assert torch.equal(heun.timesteps, heun.scheduler.timesteps[50:])


@pytest.mark.parametrize("name", ["ddim", "pndm", "unipc", "dpmsolver++", "lcm", "euler"])
def test_an_image_start_has_the_noise_of_its_first_step(name: str) -> None:
    start = FromImage(strength=0.4)
    have = given(name, start.strength)
    signal = alpha_bar(have.scheduler, have.timesteps[0])
    latents = have.scheduler.scale_model_input(start.begin(have), have.timesteps[0])
    wanted = signal**0.5 * have.source + (1 - signal) ** 0.5 * have.noise
    assert torch.allclose(latents, wanted, atol=1e-2)  # Euler's timesteps are not whole


def test_pure_noise_has_the_scheduler_s_own_scale() -> None:
    for name, scale in (("ddim", 1.0), ("euler", 14.6146)):
        have = given(name)
        ratio = FromNoise().begin(have) / have.noise
        assert torch.allclose(ratio, torch.tensor(scale), atol=1e-3)


def test_zodi_has_the_noise_that_the_network_sees() -> None:
    start = Zodi(strength=0.5)
    have = given(strength=start.strength)
    first = have.timesteps[0]
    noisy = add_noise(have.scheduler, have.source, have.noise, first)
    wanted = add_noise(have.scheduler, have.source, have.predict(noisy, first), first)
    assert torch.allclose(start.begin(have), wanted)


@pytest.mark.parametrize("name", ["ddim", "pndm"])
def test_sampling_undoes_ddim_inversion(name: str) -> None:
    start = DdimInversion(strength=0.8)
    found = []
    for begin in (start.begin, FromImage(strength=0.8).begin):
        have = given(name, start.strength, clip_sample=False)
        latents = begin(have)
        for timestep in have.timesteps:
            output = have.predict(latents, timestep)
            latents = have.scheduler.step(output, timestep, latents, return_dict=False)[0]
        found.append((latents - have.source).pow(2).mean().sqrt())
    inverted, noisy = found
    assert inverted < 0.1 < 0.5 < noisy


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_noise_is_read_off_any_prediction(kind: str) -> None:
    have = given(prediction_type=kind)
    signal = 0.3
    noisy = signal**0.5 * have.source + (1 - signal) ** 0.5 * have.noise
    outputs = {
        "epsilon": have.noise,
        "v_prediction": signal**0.5 * have.noise - (1 - signal) ** 0.5 * have.source,
        "sample": have.source,
    }
    seen = predicted_noise(have.scheduler, outputs[kind], noisy, signal)
    assert torch.allclose(seen, have.noise, atol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_inversion_is_right_for_any_prediction(kind: str) -> None:
    """A network that always answers with the noise there is leads back to that noise."""
    have = given(prediction_type=kind)

    def perfect(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        signal = alpha_bar(have.scheduler, timestep)
        return {
            "epsilon": have.noise,
            "v_prediction": (have.noise - (1 - signal) ** 0.5 * latents) / signal**0.5,
            "sample": (latents - (1 - signal) ** 0.5 * have.noise) / signal**0.5,
        }[kind]

    found = DdimInversion().begin(replace(have, predict=perfect))
    wanted = add_noise(have.scheduler, have.source, have.noise, have.timesteps[0])
    assert torch.allclose(found, wanted, atol=1e-3)
