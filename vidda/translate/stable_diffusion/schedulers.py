"""Any scheduler of diffusers by name, with the noise schedule that a model was trained with."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from vidda.config import Config
from vidda.errors import ViddaError

# diffusers' schedulers for latent diffusion models; the config takes the class name as well.
SCHEDULERS = {
    "pndm": "PNDMScheduler",
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "unipc": "UniPCMultistepScheduler",
    "dpmsolver++": "DPMSolverMultistepScheduler",
    "dpmsolver++_single": "DPMSolverSinglestepScheduler",
    "deis": "DEISMultistepScheduler",
    "sa_solver": "SASolverScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
    "kdpm2": "KDPM2DiscreteScheduler",
    "kdpm2_ancestral": "KDPM2AncestralDiscreteScheduler",
}
# From Stable Diffusion 1.5's scheduler_config.json.
SD15_NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
MOST_STEPS = 100_000
"""Upper limit of num_train_timesteps; a scheduler allocates memory for each."""
_BY_CLASS = {name.lower(): short for short, name in SCHEDULERS.items()}

# Properties of the trained model: a scheduler that ignores them gives wrong results.
_TRAINED = ("trained_betas", "prediction_type", "rescale_betas_zero_snr")


class SchedulerConfig(Config):
    """A scheduler of diffusers, and settings that override the model folder's."""

    name: str = Field(
        default="pndm", description=f"one of {', '.join(SCHEDULERS)}, or its class in diffusers"
    )
    overrides: dict[str, bool | int | float | str] = Field(
        default={}, description="settings of the diffusers class, e.g. timestep_spacing: trailing"
    )
    eta: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="share of fresh noise in a step of tcd or ddim; null: their own, 0.3 and 0",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        key = name.lower()
        short = _BY_CLASS.get(key, key)
        if short in SCHEDULERS:
            return short
        names = difflib.get_close_matches(key, [*SCHEDULERS, *_BY_CLASS], n=1, cutoff=0.4)
        hint = f"; did you mean {_BY_CLASS.get(names[0], names[0])!r}?" if names else ""
        raise ValueError(f"no scheduler {name!r}{hint} known are {', '.join(SCHEDULERS)}")

    @field_validator("overrides")
    @classmethod
    def _trained_steps(cls, overrides: dict[str, Any]) -> dict[str, Any]:
        steps = overrides.get("num_train_timesteps", 1)
        if not (isinstance(steps, int) and 1 <= steps <= MOST_STEPS):
            raise ValueError(f"num_train_timesteps is {steps}; it lies in 1..{MOST_STEPS}")
        return overrides


def build_scheduler(config: SchedulerConfig, trained: Mapping[str, Any]) -> Any:
    """Return a new scheduler of diffusers; it keeps state, so build one for each sampling run.

    trained: the content of scheduler/scheduler_config.json in the model's folder. Raises
    ViddaError, naming every mistake, when the class does not have an override or a setting that the
    model was trained with.
    """
    import diffusers

    kind = getattr(diffusers, SCHEDULERS[config.name])
    known = set(inspect.signature(kind.__init__).parameters) - {"self"}
    problems = [
        _unknown_setting(config.name, key, known) for key in config.overrides if key not in known
    ]
    problems += [
        f"scheduler {config.name}: the model was trained with {key}: {trained[key]}, which it does"
        f" not have; choose one of {', '.join(_schedulers_with(key))}"
        for key in _TRAINED
        if trained.get(key) and key not in known
    ]
    if config.eta is not None and "eta" not in inspect.signature(kind.step).parameters:
        problems.append(
            f"scheduler.eta: {config.name} has none; leave it null, or take tcd or ddim"
        )
    if problems:
        raise ViddaError("\n".join(problems))
    settings = dict(trained)
    if "clip_sample" in known:
        # diffusers clips by default, which is right for pixels but not for latents.
        settings.setdefault("clip_sample", False)
    try:
        return kind.from_config(settings, **config.overrides)
    except (ValueError, NotImplementedError, TypeError, ImportError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        shown = ", ".join(f"{key}={value}" for key, value in config.overrides.items()) or "none"
        raise ViddaError(
            f"scheduler {config.name} refuses its settings ({reason});"
            f" correct scheduler.overrides ({shown}) or the folder's scheduler_config.json"
        ) from None


def step_eta(config: SchedulerConfig, scheduler: Any) -> float | None:
    """Return the argument eta for a scheduler's `step`; None where it takes none."""
    parameter = inspect.signature(scheduler.step).parameters.get("eta")
    if parameter is None:
        return None
    return float(parameter.default) if config.eta is None else config.eta


def _unknown_setting(name: str, key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return f"scheduler.overrides.{key}: {name} has no such setting; {hint}"


def _schedulers_with(key: str) -> list[str]:
    """Return the names of the schedulers whose class has a setting."""
    import diffusers

    return [
        short
        for short, name in SCHEDULERS.items()
        if key in inspect.signature(getattr(diffusers, name).__init__).parameters
    ]
