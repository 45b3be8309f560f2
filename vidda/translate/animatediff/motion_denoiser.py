"""The output of the ControlNets and the UNet with motion modules, window by window."""

from collections.abc import Sequence

import torch
from einops import rearrange

from vidda.translate.animatediff.motion_windows import motion_windows, window_weights
from vidda.translate.memory_ladder import MemoryLadder
from vidda.translate.stable_diffusion.conditions import Conditions
from vidda.translate.stable_diffusion.control_embedding import accept_embeddings
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.network_passes import guided, summed_residuals


class MotionDenoiser:
    """Runs a UNet with motion modules and the ControlNets over windows of frames.

    models: with a UNetMotionModel of diffusers. window, overlap: frames of a window, and those that
    two neighbors share. In every step the outputs of overlapping windows are averaged, so that a
    long clip is sampled as a whole (MultiDiffusion, arXiv 2302.08113; Gen-L-Video, arXiv
    2305.18264), and memory does not grow with it but for its latents.
    """

    def __init__(self, models: Models, window: int, overlap: int) -> None:
        self._models, self._window, self._overlap = models, window, overlap
        self._device, self._dtype = models.unet.device, models.unet.dtype
        self._apart = False
        for net in models.controlnets:
            accept_embeddings(net.model)
        self.ladder = MemoryLadder(
            [
                ("the passes of guidance one after the other", self._split_passes),
                ("the networks in main memory, a layer at a time on the device", self._offload),
            ],
            "take smaller frames, precision bf16, a shorter backbone.sampling.window or a larger"
            " device",
        )

    def predict(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        conditions: Conditions,
        nets: Sequence[ControlNet],
        guidance: float | None = None,
    ) -> torch.Tensor:
        """Return the UNet's output for latents (N, 4, h, w), float32, in the same shape.

        timestep, nets, guidance: see `Denoiser.predict`. Each clip's length is one that
        `padded_length` returns.
        """
        timestep = timestep.to(self._device)

        def work() -> torch.Tensor:
            output = torch.zeros_like(latents)
            first = 0
            for length in conditions.lengths:
                windows = motion_windows(length, self._window, self._overlap)
                for window, share in zip(windows, window_weights(windows), strict=True):
                    frames = range(first + window.start, first + window.stop)
                    part = latents[frames.start : frames.stop].to(self._dtype)
                    found = self._guided(frames, part, timestep, conditions, nets, guidance)
                    weight = share.to(found.device)[:, None, None, None]
                    output[frames.start : frames.stop] += weight * found
                first += length
            return output

        return self.ladder.run(work)

    def _guided(
        self,
        frames: range,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        conditions: Conditions,
        nets: Sequence[ControlNet],
        guidance: float | None,
    ) -> torch.Tensor:
        """Return the output for a window, (B, 4, h, w) float32; latents: the same, in the dtype."""
        passes = 1 if guidance is None else 2
        text = conditions.text(frames, passes, shared=False)
        parts = text.chunk(passes) if self._apart else [text]
        outputs = [self._run(frames, latents, timestep, part, conditions, nets) for part in parts]
        return guided(torch.cat(outputs), guidance)

    def _run(
        self,
        frames: range,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        text: torch.Tensor,
        conditions: Conditions,
        nets: Sequence[ControlNet],
    ) -> torch.Tensor:
        """Return the output for a window, (passes x B, 4, h, w) float32.

        latents: (B, 4, h, w). text: (passes x B, tokens, width).
        """
        passes = len(text) // len(frames)
        inputs = latents.repeat(passes, 1, 1, 1)
        down, middle = summed_residuals(nets, inputs, timestep, text, conditions, frames)
        output = self._models.unet(
            rearrange(inputs, "(p b) c h w -> p c b h w", p=passes),
            timestep,
            encoder_hidden_states=text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return rearrange(output.float(), "p c b h w -> (p b) c h w")

    def _split_passes(self) -> None:
        self._apart = True

    def _offload(self) -> None:
        for network in (self._models.unet, *(net.model for net in self._models.controlnets)):
            network.enable_group_offload(onload_device=self._device, offload_type="leaf_level")
