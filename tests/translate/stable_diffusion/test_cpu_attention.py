"""Attention on a CPU: exact in float32 also for bf16, and the same layers as diffusers' own."""

import pytest
import torch
from diffusers.models.attention_processor import Attention
from tiny_diffusion import _unet
from torch.nn import functional as F

from vidda.translate.stable_diffusion.cpu_attention import (
    CpuProcessor,
    attend,
    use_cpu_attention,
)


def inputs(dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, count, 8).to(dtype) for count in (5, 7, 7)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    query, key, value = inputs(dtype)
    exact = F.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), scale=0.3
    ).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attend(query, key, value, 0.3), exact)


def test_single_precision_is_torchs_own() -> None:
    query, key, value = inputs(torch.float32)
    wanted = F.scaled_dot_product_attention(query, key, value, scale=0.3)
    assert torch.equal(attend(query, key, value, 0.3), wanted)


def outputs(unet: torch.nn.Module, *, bf16: bool) -> list[torch.Tensor]:
    """The result of a UNet, and the gradients of some weights."""
    torch.manual_seed(1)
    latents, text = torch.randn(2, 4, 8, 8), torch.randn(2, 7, 32)
    layer = next(m for m in unet.modules() if isinstance(m, Attention))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = unet(latents, torch.tensor([3, 700]), text).sample
    weights = [layer.to_q.weight, layer.to_v.weight]
    return [found, *torch.autograd.grad(found.float().square().mean(), weights)]


def test_a_unet_gives_the_same_output_and_gradients() -> None:
    torch.manual_seed(0)
    unet = _unet(32)
    exact = outputs(unet, bf16=False)
    half = outputs(unet, bf16=True)
    use_cpu_attention(unet)
    layers = [m for m in unet.modules() if isinstance(m, Attention)]
    assert layers and all(isinstance(layer.processor, CpuProcessor) for layer in layers)
    for wanted, found in zip(exact, outputs(unet, bf16=False), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6 * wanted.abs().max().item())
    for wanted, before, found in zip(exact, half, outputs(unet, bf16=True), strict=True):
        assert (found - wanted).norm() < 1.1 * (before - wanted).norm()


def test_layers_of_another_kind_stay_as_they_are() -> None:
    layer = Attention(8, heads=2, dim_head=4, norm_num_groups=2, residual_connection=True)
    before = layer.processor
    use_cpu_attention(layer)
    assert layer.processor is before
