"""The ControlNets' residuals and guidance: the parts that denoisers have around their UNets."""

from collections.abc import Sequence

import torch

from vidda.translate.stable_diffusion.conditions import Conditions
from vidda.translate.stable_diffusion.loading import ControlNet


def summed_residuals(
    nets: Sequence[ControlNet],
    inputs: torch.Tensor,
    timestep: torch.Tensor,
    text: torch.Tensor,
    conditions: Conditions,
    frames: Sequence[int],
) -> tuple[list[torch.Tensor] | None, torch.Tensor | None]:
    """Return the ControlNets' summed residuals of the UNet's skip connections and middle.

    nets: those that run; both results are None without any. inputs: (passes x B, 4, h, w). text:
    for the same rows, or shared. frames: the B numbers that `conditions` has them by.
    """
    down: list[torch.Tensor] | None = None
    middle: torch.Tensor | None = None
    passes = len(inputs) // len(frames)
    for net in nets:
        # Of the first frames alone, so that memory does not grow with the clip.
        control = conditions.embedded_controls(net, frames, store=frames[0] == 0)
        more, mid = net.model(
            inputs,
            timestep,
            encoder_hidden_states=text,
            controlnet_cond=control.repeat(passes, 1, 1, 1),
            conditioning_scale=net.scale,
            return_dict=False,
        )
        down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
        middle = mid if middle is None else middle + mid
    return down, middle


def guided(output: torch.Tensor, guidance: float | None) -> torch.Tensor:
    """Return the output of both passes as one (classifier-free guidance, arXiv 2207.12598).

    output: (2 x B, ...), the negative prompts' first; for guidance None it is returned as it is.
    """
    if guidance is None:
        return output
    negative, positive = output.chunk(2)
    return negative + guidance * (positive - negative)
