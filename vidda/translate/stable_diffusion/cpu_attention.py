"""Attention on a CPU in float32, where PyTorch's kernel for bf16 takes longer.

Measured with 2.14 on a CPU that computes in bf16: forward 5%, forward and backward together two to
six times as long as in float32.
"""

import torch
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import nn
from torch.nn import functional as F


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """Return softmax(scale x query x key) x value, (B, heads, N, channels), in the query's type.

    query: (B, heads, N, channels). key, value: (B, heads, M, channels).
    """
    if query.device.type != "cpu" or query.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    with torch.autocast("cpu", enabled=False):
        attended = F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), scale=scale
        )
    return attended.to(query.dtype)


class CpuProcessor:
    """The attention processor of a layer that only projects, attends and projects."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the layer's output for hidden_states, both (B, tokens, channels).

        encoder_hidden_states: (B, tokens, width) that are attended to; None: hidden_states.
        attention_mask: None; diffusers passes it to every processor.
        """
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            rearrange(projected, "b n (h c) -> b h n c", h=attn.heads)
            for projected in (attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source))
        )
        attended = rearrange(attend(query, key, value, attn.scale), "b h n c -> b n (h c)")
        return attn.to_out[1](attn.to_out[0](attended))


def use_cpu_attention(unet: nn.Module) -> None:
    """Set CPU processors in a UNet's layers of attention, unless one is of another kind."""
    layers = [module for module in unet.modules() if isinstance(module, Attention)]
    if all(map(is_plain, layers)):
        for layer in layers:
            layer.set_processor(CpuProcessor())  # type: ignore[arg-type]


def is_plain(layer: nn.Module) -> bool:
    """Return whether a layer of attention only projects, attends and projects."""
    if not isinstance(layer, Attention):
        return False
    further = (layer.norm_cross, layer.norm_q, layer.norm_k, layer.group_norm, layer.spatial_norm)
    added = layer.added_kv_proj_dim is not None or layer.residual_connection
    return not any(further) and not added and layer.rescale_output_factor == 1.0
