"""Cross-frame self-attention: a UNet's layers attend to other frames of the clip."""

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from einops import rearrange
from torch import nn

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.chunks import Chunk
from vidda.translate.stable_diffusion.cpu_attention import attend


class CrossFrameStep:
    """The chunk that the UNet runs on next, shared by the processors of all layers.

    passes: copies of the chunk's frames in the batch, 2 with guidance.
    """

    chunk: Chunk
    passes: int


class CrossFrameProcessor:
    """The attention processor of one layer, which attends to the frames in `Chunk.context`.

    kept: keys and values of the rows in `Chunk.keep`, for the next chunk of the same step; None
    before the first chunk.
    """

    def __init__(self, step: CrossFrameStep) -> None:
        self._step = step
        self.kept: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the layer's output for hidden_states, both (passes x B, tokens, channels).

        diffusers passes the other two to every processor; in self-attention they are None.
        """
        chunk, passes = self._step.chunk, self._step.passes
        source = rearrange(hidden_states, "(p b) n c -> p b n c", p=passes)
        if len(chunk.source) < source.shape[1]:
            source = source[:, chunk.source]
        source = rearrange(source, "p b n c -> (p b) n c")
        rows = [
            rearrange(projected, "(p b) n c -> p b n c", p=passes)
            for projected in (attn.to_k(source), attn.to_v(source))
        ]
        if self.kept is not None:
            rows = [torch.cat(pair, dim=1) for pair in zip(self.kept, rows, strict=True)]
        query = rearrange(attn.to_q(hidden_states), "b n (h c) -> b h n c", h=attn.heads)
        key, value = (  # of a frame's context, k frames, all tokens
            rearrange(row[:, chunk.context], "p b k n (h c) -> (p b) h (k n) c", h=attn.heads)
            for row in rows
        )
        self.kept = (rows[0][:, chunk.keep], rows[1][:, chunk.keep])
        attended = attend(query, key, value, attn.scale)
        out = attn.to_out[0](rearrange(attended, "b h n c -> b n (h c)"))
        return attn.to_out[1](out)


class CrossFrameAttention:
    """Cross-frame processors in all self-attention layers of a UNet; its length is their number.

    Raises ViddaError when the UNet has none, or has blocks whose first attention is another kind.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._step = CrossFrameStep()
        self._layers = dict(_self_attention_layers(unet))
        self._processors = {name: CrossFrameProcessor(self._step) for name in self._layers}
        for name, layer in self._layers.items():
            layer.set_processor(self._processors[name])  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._layers)

    def check(self) -> None:
        """Raise ViddaError when another attention processor has replaced one of these."""
        lost = [
            f"{name} has {type(layer.processor).__name__}"
            for name, layer in self._layers.items()
            if layer.processor is not self._processors[name]
        ]
        if lost:
            raise ViddaError(
                f"cross-frame attention is off in {len(lost)} of {len(self)} layers ({lost[0]}):"
                " set no other attention processor (xformers, slicing, fused projections) on the"
                " UNet, make a new Translator after doing so, or take context.name=none"
            )

    def begin_step(self) -> None:
        """Drop the keys and values that the previous step kept."""
        for processor in self._processors.values():
            processor.kept = None

    def set_chunk(self, chunk: Chunk, passes: int) -> None:
        """Set the chunk that the UNet runs on next, `passes` times in the batch."""
        self._step.chunk, self._step.passes = chunk, passes

    def check_ran(self) -> None:
        """Raise ViddaError when the UNet ran without one of the processors."""
        idle = [name for name, processor in self._processors.items() if processor.kept is None]
        if idle:
            raise ViddaError(
                f"cross-frame attention did not run in {len(idle)} of {len(self)} layers"
                f" (first {idle[0]}): the UNet was changed or compiled before it was wrapped; load"
                " it again, or take context.name=none"
            )


def restore_attention(unet: nn.Module) -> None:
    """Replace the cross-frame processors of an earlier Translator by diffusers' default ones."""
    for _, layer in _self_attention_layers(unet):
        if isinstance(layer.processor, CrossFrameProcessor):
            layer.set_processor(AttnProcessor2_0())  # type: ignore[arg-type]


def _self_attention_layers(unet: nn.Module) -> list[tuple[str, Attention]]:
    """Return the self-attention layers by name, one in each of the UNet's transformer blocks."""
    blocks = [(name, m) for name, m in unet.named_modules() if name.endswith(".attn1")]
    layers = [(n, m) for n, m in blocks if isinstance(m, Attention) and not m.is_cross_attention]
    if not layers or len(layers) != len(blocks):
        raise ViddaError(
            f"the UNet has {len(blocks)} transformer blocks with {len(layers)} layers of"
            " self-attention; cross-frame attention needs one in each: take a Stable Diffusion"
            " 1 or 2 model, or context.name=none"
        )
    return layers
