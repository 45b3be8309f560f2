"""Attention across frames: who sees whom, the layers that are wrapped, and plans of chunks."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from tiny_diffusion import SELF_ATTENTIONS, WIDTH
from tiny_diffusion import _unet as tiny_unet
from torch.nn import functional as F

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.attention_context import (
    AttendAnchors,
    AttendFirst,
    AttendFirstPrevious,
    AttendOwn,
    ContextConfig,
)
from vidda.translate.stable_diffusion.chunks import plan_chunks
from vidda.translate.stable_diffusion.cross_frame import CrossFrameAttention, restore_attention

CONTEXTS = [AttendOwn(), AttendFirst(), AttendFirstPrevious(), AttendAnchors(count=3)]


@pytest.fixture
def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny_unet(32)


def test_each_context_says_whom_a_frame_sees() -> None:
    assert [AttendOwn().attended(f, 5) for f in (0, 3)] == [(0,), (3,)]
    assert [AttendFirst().attended(f, 5) for f in (0, 3)] == [(0,), (0,)]
    assert [AttendFirstPrevious().attended(f, 5) for f in (0, 1, 4)] == [
        (0, 0, 0),
        (1, 0, 0),
        (4, 0, 3),
    ]
    assert AttendAnchors(count=3).anchors(9) == (0, 4, 8)
    assert AttendAnchors(count=3).attended(4, 9) == (0, 4, 8)
    assert AttendAnchors(count=3).attended(5, 9) == (5, 0, 4, 8)
    assert AttendAnchors(count=9).anchors(2) == (0, 1)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
@pytest.mark.parametrize("lengths", [(1,), (17,), (3, 1, 8)], ids=str)
@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_plan_gives_every_frame_what_it_attends_to(
    context: ContextConfig, lengths: tuple[int, ...], size: int
) -> None:
    wanted = {}
    for clip, length in enumerate(lengths):
        start = sum(lengths[:clip])
        for frame in range(length):
            wanted[start + frame] = [start + f for f in context.attended(frame, length)]
    seen = {}
    kept: list[int] = []
    for chunk in plan_chunks(lengths, context, size):
        assert chunk.numbers == tuple(chunk.frames.tolist())
        assert len(chunk.numbers) <= max(size, 3)
        rows = kept + [chunk.numbers[place] for place in chunk.source]
        for number, attended in zip(chunk.numbers, chunk.context, strict=True):
            assert number not in seen
            seen[number] = [rows[row] for row in attended]
        kept = [rows[row] for row in chunk.keep]
        # What waits: the anchors of each clip, and the frame before.
        assert len(kept) <= 3 * len(lengths) + 1
    assert seen == wanted
    assert kept == []


@pytest.mark.parametrize("passes", [1, 2])
def test_a_layer_attends_to_exactly_the_frames_of_the_plan(
    unet: UNet2DConditionModel, passes: int
) -> None:
    attention = CrossFrameAttention(unet)
    layer = unet.mid_block.attentions[0].transformer_blocks[0].attn1
    hidden = torch.randn(passes, 5, 6, 32, generator=torch.Generator().manual_seed(1))
    found = []
    attention.begin_step()
    for chunk in plan_chunks((5,), AttendFirstPrevious(), 2):
        attention.set_chunk(chunk, passes)
        found.append(layer(hidden[:, chunk.frames].flatten(0, 1)).unflatten(0, (passes, -1)))

    def heads(values: torch.Tensor) -> torch.Tensor:
        return values.unflatten(-1, (layer.heads, -1)).transpose(0, 1)

    for p in range(passes):
        for frame in range(5):
            context = hidden[p, [frame, 0, max(frame - 1, 0)]].flatten(0, 1)
            key, value = heads(layer.to_k(context)), heads(layer.to_v(context))
            seen = F.scaled_dot_product_attention(heads(layer.to_q(hidden[p, frame])), key, value)
            wanted = layer.to_out[0](seen.transpose(0, 1).flatten(1))
            assert torch.allclose(torch.cat(found, dim=1)[p, frame], wanted, atol=1e-6)


def test_all_self_attention_and_nothing_else_is_wrapped(unet: UNet2DConditionModel) -> None:
    before = dict(unet.attn_processors)
    attention = CrossFrameAttention(unet)
    changed = {n for n, processor in unet.attn_processors.items() if processor is not before[n]}
    assert len(attention) == len(changed) == SELF_ATTENTIONS
    assert all(name.endswith("attn1.processor") for name in changed)
    attention.check()
    restore_attention(unet)
    kinds = {type(processor) for processor in unet.attn_processors.values()}
    assert kinds == {AttnProcessor2_0}


def test_a_unet_without_self_attention_is_refused() -> None:
    unet = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        mid_block_type=None,
        up_block_types=("UpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
    )
    with pytest.raises(ViddaError, match=r"0 transformer blocks .* context.name=none"):
        CrossFrameAttention(unet)


def test_a_wrapper_that_was_overridden_is_an_error(unet: UNet2DConditionModel) -> None:
    attention = CrossFrameAttention(unet)
    unet.set_attn_processor(AttnProcessor2_0())
    with pytest.raises(ViddaError, match=f"off in {SELF_ATTENTIONS} of {SELF_ATTENTIONS} layers"):
        attention.check()
    attention = CrossFrameAttention(unet)
    unet.mid_block.attentions[0].transformer_blocks[0].attn1.set_processor(AttnProcessor2_0())
    with pytest.raises(ViddaError, match=r"1 of \d+ layers \(mid_block.*AttnProcessor2_0"):
        attention.check()


def run(unet: torch.nn.Module, latents: torch.Tensor, passes: int) -> torch.Tensor:
    text = torch.randn(1, 7, WIDTH, generator=torch.Generator().manual_seed(2))
    inputs = latents.repeat(passes, 1, 1, 1)
    time, states = torch.tensor(500), text.expand(len(inputs), -1, -1)
    output: torch.Tensor = unet(inputs, time, encoder_hidden_states=states, return_dict=False)[0]
    return output


def test_a_wrapper_that_does_not_run_is_an_error(unet: UNet2DConditionModel) -> None:
    attention = CrossFrameAttention(unet)
    block = unet.mid_block.attentions[0].transformer_blocks[0]
    block.attn1.forward = lambda hidden, **_: hidden  # what a patch of the whole layer does
    chunk = plan_chunks((2,), AttendFirstPrevious(), 2)[0]
    attention.begin_step()
    attention.set_chunk(chunk, 1)
    run(unet, torch.randn(2, 4, 8, 8), 1)
    attention.check()
    with pytest.raises(ViddaError, match=r"did not run in 1 of 7 layers \(first mid_block"):
        attention.check_ran()


def test_the_compiler_traces_it_without_a_break(unet: UNet2DConditionModel) -> None:
    """Whole, and once for each shape of plan: not anew in every step."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    attention = CrossFrameAttention(unet)
    block = unet.mid_block.attentions[0].transformer_blocks[0]
    noise = torch.Generator().manual_seed(3)
    hidden, text = torch.randn(2, 7, 6, 32, generator=noise), torch.randn(1, 7, WIDTH)

    def step(network: Any) -> torch.Tensor:
        attention.begin_step()
        parts = []
        for chunk in plan_chunks((7,), AttendFirstPrevious(), 2):
            attention.set_chunk(chunk, 2)
            part = hidden[:, chunk.frames].flatten(0, 1)
            states = text.expand(len(part), -1, -1)
            parts.append(network(part, encoder_hidden_states=states).unflatten(0, (2, -1)))
        return torch.cat(parts, dim=1)

    with torch.inference_mode():
        plain = step(block)
        compiled = torch.compile(block, backend=backend, fullgraph=True)
        assert torch.allclose(step(compiled), plain, atol=1e-5)
        at_first = len(graphs)
        for _ in range(3):
            step(compiled)
    assert len(graphs) == at_first <= 5
