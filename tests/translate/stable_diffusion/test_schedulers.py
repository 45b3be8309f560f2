"""Schedulers by name, with what the model was trained with; wrong names and settings are told."""

import re

import diffusers
import pytest
import torch
from pydantic import ValidationError

from vidda.config import ConfigError, load
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.schedulers import (
    SCHEDULERS,
    SD15_NOISE,
    SchedulerConfig,
    build_scheduler,
    step_eta,
)

FOLDER = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **SD15_NOISE}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_takes_the_noise_that_the_model_learned(name: str) -> None:
    folder = FOLDER | {"clip_sample": False}
    scheduler = build_scheduler(SchedulerConfig(name=name), folder)
    theirs = getattr(diffusers, SCHEDULERS[name]).from_config(folder)
    assert type(scheduler) is type(theirs)
    assert dict(scheduler.config) == dict(theirs.config)
    assert scheduler.config.beta_end == SD15_NOISE["beta_end"]
    for one in (scheduler, theirs):
        one.set_timesteps(4)
    assert torch.equal(torch.as_tensor(scheduler.timesteps), torch.as_tensor(theirs.timesteps))


def test_latents_are_not_clipped_unless_the_folder_says_so() -> None:
    ddim = SchedulerConfig(name="ddim")
    assert build_scheduler(ddim, FOLDER).config.clip_sample is False
    assert build_scheduler(ddim, FOLDER | {"clip_sample": True}).config.clip_sample is True


@pytest.mark.parametrize("name", ["ddim", "unipc", "dpmsolver++", "lcm", "tcd", "euler"])
def test_a_folder_for_v_prediction_and_zero_snr_keeps_them(name: str) -> None:
    trained = FOLDER | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    scheduler = build_scheduler(
        SchedulerConfig(name=name, overrides={"timestep_spacing": "trailing"}), trained
    )
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.timestep_spacing == "trailing"
    assert scheduler.alphas_cumprod[-1] < 1e-6
    scheduler.set_timesteps(4)
    assert scheduler.timesteps[0] == 999


def test_a_scheduler_without_zero_snr_is_refused_for_a_model_with_it() -> None:
    trained = FOLDER | {"rescale_betas_zero_snr": True}
    with pytest.raises(ViddaError, match=r"pndm: .*rescale_betas_zero_snr.*choose one of ddim, "):
        build_scheduler(SchedulerConfig(), trained)


def test_the_class_is_a_name_too() -> None:
    assert SchedulerConfig(name="DDIMScheduler").name == "ddim"
    assert SchedulerConfig(name="UniPC").name == "unipc"


@pytest.mark.parametrize(
    ("given", "near"), [("dimm", "ddim"), ("dpmsolver", "dpmsolver++"), ("EulerScheduler", "euler")]
)
def test_an_unknown_name_gives_the_nearest(given: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"no scheduler '{given}'; did you mean '{near}") as error:
        load(SchedulerConfig, None, [f"name={given}"])
    assert "\n" not in str(error.value)


def test_every_wrong_override_is_named() -> None:
    config = SchedulerConfig(name="ddim", overrides={"timestep_spacng": "trailing", "eta": 1.0})
    with pytest.raises(ViddaError) as error:
        build_scheduler(config, FOLDER)
    first, second = str(error.value).splitlines()
    assert "timestep_spacng" in first and "did you mean 'timestep_spacing'?" in first
    assert "overrides.eta" in second


@pytest.mark.parametrize("name", SCHEDULERS)
def test_eta_is_for_the_schedulers_that_have_it(name: str) -> None:
    usual = {"ddim": 0.0, "tcd": 0.3}
    assert step_eta(
        SchedulerConfig(name=name), build_scheduler(SchedulerConfig(name=name), FOLDER)
    ) == (usual.get(name))
    own = SchedulerConfig(name=name, eta=0.7)
    if name in usual:
        assert step_eta(own, build_scheduler(own, FOLDER)) == 0.7
    else:
        with pytest.raises(ViddaError, match=re.escape(f"eta: {name} has none; leave it null")):
            build_scheduler(own, FOLDER)


def test_a_value_that_diffusers_refuses_is_one_line() -> None:
    config = SchedulerConfig(name="ddim", overrides={"beta_schedule": "cubic"})
    with pytest.raises(ViddaError, match=r"ddim refuses .*beta_schedule=cubic"):
        build_scheduler(config, FOLDER)


@pytest.mark.parametrize("steps", [-5, 0, 10**12, "many"])
def test_a_count_of_trained_steps_that_cannot_be_is_refused(steps: int | str) -> None:
    with pytest.raises(ValidationError, match=rf"num_train_timesteps is {steps}; it lies in"):
        SchedulerConfig(overrides={"num_train_timesteps": steps})
    if steps == -5:
        with pytest.raises(ViddaError, match=r"the folder's scheduler_config\.json"):
            build_scheduler(SchedulerConfig(name="ddim"), {"num_train_timesteps": steps})
