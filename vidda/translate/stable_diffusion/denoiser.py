"""The output of the ControlNets and the UNet for all frames of some clips at one timestep."""

import logging
from collections.abc import Sequence

import torch

from vidda.translate.stable_diffusion.attention_context import AttendOwn, ContextConfig
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.chunks import Chunk, plan_chunks
from vidda.translate.stable_diffusion.compiled_blocks import COMPILE_ERRORS, set_compiled
from vidda.translate.stable_diffusion.conditions import Conditions
from vidda.translate.stable_diffusion.control_embedding import accept_embeddings
from vidda.translate.stable_diffusion.cross_frame import CrossFrameAttention, restore_attention
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.network_passes import guided, summed_residuals
from vidda.translate.stable_diffusion.text_attention import TextAttention

log = logging.getLogger("vidda")


class Denoiser:
    """Runs the UNet and the ControlNets over the frames of some clips, a chunk at a time.

    chunk: most frames at once, halved when memory runs out. compile: run the networks' blocks
    through torch.compile, or as they are where that fails. The attention layers of the networks in
    `models` are changed, in the UNet as `context` asks, and their blocks are compiled in place.
    """

    def __init__(
        self, models: Models, context: ContextConfig, chunk: int, *, compile: bool
    ) -> None:
        self.fitting = Fitting(chunk, "chunk")
        self._context, self._compiled = context, compile
        self._unet = models.unet
        self._device, self._dtype = models.unet.device, models.unet.dtype
        self._networks = [models.unet, *(net.model for net in models.controlnets)]
        restore_attention(models.unet)
        self.attention = (
            None if isinstance(context, AttendOwn) else CrossFrameAttention(models.unet)
        )
        self._text = TextAttention(self._networks)
        for net in models.controlnets:
            accept_embeddings(net.model)
        set_compiled(self._networks, compile)
        self._chunk_cache: tuple[tuple[tuple[int, ...], int], list[Chunk]] | None = None

    def predict(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        conditions: Conditions,
        nets: Sequence[ControlNet],
        guidance: float | None = None,
    ) -> torch.Tensor:
        """Return the UNet's output for latents (N, 4, h, w), float32, in the same shape.

        timestep: the same for all frames. nets: the ControlNets that run. guidance: the weight of
        classifier-free guidance (arXiv 2207.12598); None: one pass, with the prompt alone. Raises
        ViddaError when the UNet's cross-frame attention was replaced.
        """
        if self.attention:
            self.attention.check()
        timestep = timestep.to(self._device)

        def work(size: int) -> torch.Tensor:
            if self.attention:
                self.attention.begin_step()
            output = torch.empty_like(latents)
            for chunk in self._chunks(conditions.lengths, size):
                part = latents[chunk.frames].to(self._dtype)
                found = self._run(chunk, part, timestep, conditions, nets, guidance)
                output[chunk.frames[: chunk.count]] = found[: chunk.count]
            if self.attention:
                self.attention.begin_step()  # free the memory until the next step
            return output

        try:
            return self.fitting.run(work)
        except COMPILE_ERRORS as error:
            self._stop_compiling(error)
        return self.fitting.run(work)

    def _stop_compiling(self, error: Exception) -> None:
        """Run the networks as they are from now on, with a warning that names the error."""
        reason = " ".join(str(error).partition("\n\n")[0].split())
        log.warning("the networks cannot be compiled and run as they are: %.300s", reason)
        set_compiled(self._networks, False)
        self._compiled, self._chunk_cache = False, None

    def _run(
        self,
        chunk: Chunk,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        conditions: Conditions,
        nets: Sequence[ControlNet],
        guidance: float | None,
    ) -> torch.Tensor:
        """Return the UNet's output for a chunk, float32; latents: (B, 4, h, w) in its dtype."""
        passes = 1 if guidance is None else 2
        inputs = latents.repeat(passes, 1, 1, 1)
        shared = self._text.is_installed()
        text = conditions.text(chunk.numbers, passes, shared=shared)
        if shared:
            self._text.set_text(text)
        down, middle = summed_residuals(nets, inputs, timestep, text, conditions, chunk.numbers)
        if self.attention:
            self.attention.set_chunk(chunk, passes)
        output = self._unet(
            inputs,
            timestep,
            encoder_hidden_states=text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0].float()
        if self.attention:
            self.attention.check_ran()
        return guided(output, guidance)

    def _chunks(self, lengths: tuple[int, ...], size: int) -> list[Chunk]:
        """Return the chunks for clips of these lengths, on the device; computed once."""
        if self._chunk_cache is None or self._chunk_cache[0] != (lengths, size):
            chunks = plan_chunks(lengths, self._context, size, alike=self._compiled)
            self._chunk_cache = ((lengths, size), [chunk.to(self._device) for chunk in chunks])
        return self._chunk_cache[1]
