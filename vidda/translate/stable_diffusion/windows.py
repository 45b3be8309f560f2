"""In which steps a ControlNet runs and guidance is computed."""


def runs(step: int, steps: int, start: float, end: float) -> bool:
    """Whether a ControlNet with the window [start, end] runs in a step.

    step: 0..steps-1. start, end: fractions of the steps, in [0, 1]. The same rule as diffusers'
    control_guidance_start and control_guidance_end, which multiply the result by zero instead.
    """
    return step / steps >= start and (step + 1) / steps <= end


def guided(step: int, steps: int, stop: float) -> bool:
    """Whether a step has a second pass with the negative prompt.

    stop: fraction of the steps after which there is none (Kynkäänniemi et al., arXiv 2404.07724).
    """
    return step / steps < stop
