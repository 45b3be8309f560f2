"""The real architecture of Stable Diffusion 1.5, without its weights, under the wrapper."""

import torch
from diffusers import UNet2DConditionModel

from vidda.translate.stable_diffusion.attention_context import AttendFirstPrevious
from vidda.translate.stable_diffusion.chunks import plan_chunks
from vidda.translate.stable_diffusion.cross_frame import CrossFrameAttention, CrossFrameProcessor

# unet/config.json of stable-diffusion-v1-5/stable-diffusion-v1-5, what differs from the defaults.
SD15_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
# Tokens and channels of the self-attention layers: twice going down, three times going up.
LAYERS = sorted([(4096, 320), (1024, 640), (256, 1280)] * 5 + [(64, 1280)])


def test_the_wrapper_runs_over_all_layers_of_the_real_unet() -> None:
    meta = torch.device("meta")
    with meta:
        unet = UNet2DConditionModel(**SD15_UNET).to(torch.bfloat16)
    assert round(sum(weight.numel() for weight in unet.parameters()) / 1e6) == 860
    attention = CrossFrameAttention(unet)
    assert len(attention) == 16
    shapes = []
    for chunk in plan_chunks((5,), AttendFirstPrevious(), 3):
        attention.set_chunk(chunk.to(meta), passes=2)
        count = len(chunk.numbers)
        output = unet(
            torch.empty(2 * count, 4, 64, 64, dtype=torch.bfloat16, device=meta),
            torch.empty((), dtype=torch.int64, device=meta),
            encoder_hidden_states=torch.empty(
                2 * count, 77, 768, dtype=torch.bfloat16, device=meta
            ),
            return_dict=False,
        )[0]
        assert output.shape == (2 * count, 4, 64, 64)
        attention.check_ran()
        wrapped = [p for p in unet.attn_processors.values() if isinstance(p, CrossFrameProcessor)]
        shapes.append([p.kept[0].shape for p in wrapped if p.kept])
    # After the first chunk frames 0 and 2 wait, for both passes; after the last none.
    assert sorted(shape[2:] for shape in shapes[0]) == LAYERS
    assert {tuple(shape[:2]) for shape in shapes[0]} == {(2, 2)}
    assert {tuple(shape[:2]) for shape in shapes[1]} == {(2, 0)}
