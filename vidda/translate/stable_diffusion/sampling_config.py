"""The config of the sampler, with all choices of how clips are translated."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from vidda.config import Config
from vidda.translate.stable_diffusion.attention_context import AttendFirstPrevious, ContextConfig
from vidda.translate.stable_diffusion.keep_person import KeepConfig
from vidda.translate.stable_diffusion.noise import NoiseConfig, SharedNoise
from vidda.translate.stable_diffusion.sampling_start import FromNoise, SamplingStartConfig
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig


class ClipSamplingConfig(Config):
    """The settings that all samplers share which have a UNet of Stable Diffusion."""

    # It changes rounding at most, and a job that ran out of memory must resume.
    may_change: ClassVar[frozenset[str]] = frozenset({"vae_chunk"})

    scheduler: SchedulerConfig = Field(
        default=SchedulerConfig(), description="the sampling scheduler"
    )
    steps: int = Field(default=20, ge=1, description="steps of the scheduler from pure noise")
    guidance: float = Field(
        default=9.0,
        ge=0.0,
        description="weight of classifier-free guidance; 1 or less: off, no negative prompt",
    )
    guidance_stop: float = Field(
        default=1.0, ge=0.0, le=1.0, description="share of the steps after which guidance is off"
    )
    noise: NoiseConfig = Field(
        default=SharedNoise(), description="how the noise of a clip's frames is related"
    )
    start: SamplingStartConfig = Field(
        default=FromNoise(), description="the latents that sampling starts from"
    )
    keep_person: KeepConfig | None = Field(
        default=None, description="keeps the source inside the person's mask; null: nothing is kept"
    )
    match_color: bool = Field(
        default=False, description="give every frame the color statistics of its clip's first"
    )
    vae_chunk: int = Field(
        default=4,
        ge=1,
        description="frames at once in the autoencoder; halved when memory runs out",
    )

    @model_validator(mode="after")
    def _takes_a_step(self) -> Self:
        if int(self.steps * self.start.strength) < 1:
            raise ValueError(
                f"steps {self.steps} with start.strength {self.start.strength} leave no step to"
                " take; raise one of them"
            )
        return self


class SamplingConfig(ClipSamplingConfig):
    """The settings of the sampler, from a clip's controls and prompt to its translation."""

    may_change: ClassVar[frozenset[str]] = frozenset({"chunk", "vae_chunk", "compile"})

    context: ContextConfig = Field(
        default=AttendFirstPrevious(), description="frames that a frame attends to"
    )
    chunk: int = Field(
        default=16, ge=1, description="frames at once in the UNet; halved when memory runs out"
    )
    compile: bool | None = Field(
        default=None,
        description="torch.compile the networks' blocks; null: on CUDA, where that is expected to"
        " save more time than it takes",
    )


def controlnet_runs(step: int, steps: int, start: float, end: float) -> bool:
    """Return whether a ControlNet with the window [start, end] runs in a step.

    step: 0..steps-1. start, end: fractions of the steps, in [0, 1]. The same rule as diffusers'
    control_guidance_start and control_guidance_end, which multiply the result by zero instead.
    """
    return step / steps >= start and (step + 1) / steps <= end


def has_guidance(step: int, steps: int, stop: float) -> bool:
    """Return whether a step has a second pass with the negative prompt.

    step: 0..steps-1. stop: fraction of the steps after which there is none (Kynkäänniemi et al.,
    arXiv 2404.07724).
    """
    return step / steps < stop
