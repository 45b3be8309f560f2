"""How clips are translated: all choices of the sampler, in one config."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from vidda.config import Config
from vidda.translate.stable_diffusion.attention_context import AttendFirstPrevious, ContextConfig
from vidda.translate.stable_diffusion.keep_person import KeepConfig
from vidda.translate.stable_diffusion.noise import NoiseConfig, SharedNoise
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig
from vidda.translate.stable_diffusion.start import FromNoise, StartConfig


class SamplingConfig(Config):
    """From a source clip's controls and prompt to its translation."""

    # A chunk's size decides rounding at most; a job that ran out of memory has to go on.
    may_change: ClassVar[frozenset[str]] = frozenset({"chunk", "vae_chunk"})

    scheduler: SchedulerConfig = Field(
        default=SchedulerConfig(), description="how noise is taken away"
    )
    steps: int = Field(default=20, ge=1, description="of the scheduler, from pure noise")
    guidance: float = Field(
        default=9.0, ge=0.0, description="weight of the prompt against the negative one; to 1: off"
    )
    guidance_stop: float = Field(
        default=1.0, ge=0.0, le=1.0, description="share of the steps after which guidance is off"
    )
    context: ContextConfig = Field(
        default=AttendFirstPrevious(), description="frames that a frame attends to"
    )
    noise: NoiseConfig = Field(
        default=SharedNoise(), description="what frames share of their noise"
    )
    start: StartConfig = Field(default=FromNoise(), description="what sampling starts from")
    keep_person: KeepConfig | None = Field(
        default=None, description="what stays the source's inside the person's mask"
    )
    match_color: bool = Field(
        default=False, description="give every frame the color statistics of its clip's first"
    )
    chunk: int = Field(default=16, ge=1, description="frames at once; halved when memory runs out")
    vae_chunk: int = Field(default=4, ge=1, description="frames at once in the autoencoder")
    compile: bool = Field(default=False, description="torch.compile the networks")

    @model_validator(mode="after")
    def _takes_a_step(self) -> Self:
        if int(self.steps * self.start.strength) < 1:
            raise ValueError(
                f"steps {self.steps} with start.strength {self.start.strength} leave no step to"
                " take; raise one of them"
            )
        return self


def runs(step: int, steps: int, start: float, end: float) -> bool:
    """Return whether a ControlNet with the window [start, end] runs in a step.

    step: 0..steps-1. start, end: fractions of the steps, in [0, 1]. The same rule as diffusers'
    control_guidance_start and control_guidance_end, which multiply the result by zero instead.
    """
    return step / steps >= start and (step + 1) / steps <= end


def guided(step: int, steps: int, stop: float) -> bool:
    """Return whether a step has a second pass with the negative prompt.

    stop: fraction of the steps after which there is none (Kynkäänniemi et al., arXiv 2404.07724).
    """
    return step / steps < stop
