"""Cross-attention to the prompts, whose keys and values are the same in all steps of a clip."""

from collections.abc import Iterable

import torch
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import nn

from vidda.translate.stable_diffusion.cpu_attention import attend, is_plain


class TextProcessor:
    """The attention processor of one cross-attention layer, which may have been given its text.

    text: encoded prompts whose keys and values are known; for others they are computed.
    """

    def __init__(self) -> None:
        self.text: torch.Tensor | None = None
        self._projected: tuple[torch.Tensor, torch.Tensor] | None = None

    def set_text(self, attn: Attention, text: torch.Tensor) -> None:
        """Compute the layer's keys and values of encoded prompts, (S, tokens, width)."""
        self.text, self._projected = text, _project(attn, text)

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the layer's output for hidden_states, both (S x B, tokens, channels).

        encoder_hidden_states: encoded prompts (S, tokens, width), each for B frames in a row.
        attention_mask: None; diffusers passes it to every processor.
        """
        text = encoder_hidden_states
        known = self._projected if text is self.text else None
        key, value = known or _project(attn, text)
        query = rearrange(
            attn.to_q(hidden_states), "(s b) n (h c) -> s h (b n) c", s=len(text), h=attn.heads
        )
        attended = attend(query, key, value, attn.scale)
        frames = rearrange(attended, "s h (b n) c -> (s b) n (h c)", n=hidden_states.shape[1])
        return attn.to_out[1](attn.to_out[0](frames))


class TextAttention:
    """Text processors in all cross-attention layers of some networks.

    Where a layer is of another kind than Stable Diffusion 1 and 2 have, none is changed.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        layers = [layer for network in networks for layer in _cross_attention_layers(network)]
        self._layers: list[tuple[Attention, TextProcessor]] = []
        if all(is_plain(layer) and layer.is_cross_attention for layer in layers):
            self._layers = [(layer, TextProcessor()) for layer in layers]
        for layer, processor in self._layers:
            layer.set_processor(processor)  # type: ignore[arg-type]

    def is_installed(self) -> bool:
        """Return whether one prompt can be passed for several frames: no processor was replaced."""
        return bool(self._layers) and all(
            layer.processor is processor for layer, processor in self._layers
        )

    def set_text(self, text: torch.Tensor) -> None:
        """Compute all layers' keys and values of encoded prompts, unless it was done."""
        for layer, processor in self._layers:
            if processor.text is not text:
                processor.set_text(layer, text)


def _project(attn: Attention, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return keys and values of prompts (S, tokens, width), both (S, heads, tokens, channels)."""
    key, value = (
        rearrange(projected, "s n (h c) -> s h n c", h=attn.heads)
        for projected in (attn.to_k(text), attn.to_v(text))
    )
    return key, value


def _cross_attention_layers(network: nn.Module) -> list[Attention]:
    """Return the second attention of each of a network's transformer blocks."""
    return [layer for name, layer in network.named_modules() if name.endswith(".attn2")]
