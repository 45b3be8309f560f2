"""Networks of Stable Diffusion's widths, or tiny ones, with random weights, and a clip for them.

Random weights take the same work as trained ones.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from vidda.control.controls import Controls
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.schedulers import SD15_NOISE

KINDS = ("edges", "pose")


@dataclass(frozen=True)
class Size:
    """The widths of all networks, and the workload: pixels a side, frames and steps."""

    unet: tuple[int, ...]
    heads: int
    text: int
    text_layers: int
    vae: tuple[int, ...]
    hint: tuple[int, ...]
    layers: int
    groups: int
    pixels: int
    frames: int
    steps: int


SIZES = {
    "tiny": Size((64, 128), 2, 64, 2, (16, 32, 32), (8, 16, 32), 1, 8, 64, 16, 4),
    "sd15": Size(
        (320, 640, 1280, 1280), 8, 768, 12, (128, 256, 512, 512), (16, 32, 96, 256), 2, 32,
        512, 16, 20,
    ),
}  # fmt: skip


def random_models(size: Size, device: torch.device, dtype: torch.dtype) -> Models:
    """Return all networks of these widths with random weights, created on the device."""
    torch.manual_seed(0)
    down = len(size.unet) - (len(size.unet) > 2)  # the lowest of many has no attention
    kinds = ("CrossAttnDownBlock2D",) * down + ("DownBlock2D",) * (len(size.unet) - down)
    with device:
        unet = UNet2DConditionModel(
            sample_size=size.pixels // 2 ** (len(size.vae) - 1),
            block_out_channels=size.unet,
            down_block_types=kinds,
            up_block_types=tuple(kind.replace("Down", "Up") for kind in kinds[::-1]),
            cross_attention_dim=size.text,
            attention_head_dim=size.heads,
            layers_per_block=size.layers,
            norm_num_groups=size.groups,
        )
        nets = [
            ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=size.hint)
            for _ in KINDS
        ]
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(size.vae),
            up_block_types=("UpDecoderBlock2D",) * len(size.vae),
            block_out_channels=size.vae,
            layers_per_block=size.layers,
            norm_num_groups=size.groups,
            latent_channels=4,
        )
        tokenizer = letters()
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=size.text,
                intermediate_size=4 * size.text,
                num_hidden_layers=size.text_layers,
                num_attention_heads=size.text // 64,
                bos_token_id=len(tokenizer) - 2,
                eos_token_id=len(tokenizer) - 1,
            )
        )
    for module in (unet, vae, text_encoder, *nets):
        module.requires_grad_(False).eval().to(dtype)
    controlnets = tuple(
        ControlNet(kind, net, 1.0, 0.0, 1.0) for kind, net in zip(KINDS, nets, strict=True)
    )
    return Models(vae, unet, text_encoder, tokenizer, SD15_NOISE, controlnets)


def write_models(models: Models, folder: Path) -> None:
    """Write the networks into a folder, as a pipeline of diffusers with controlnet_KIND/.

    With them tiny_vae/, an autoencoder of TAESD's widths.
    """
    StableDiffusionPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        scheduler=PNDMScheduler(**SD15_NOISE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    for net in models.controlnets:
        net.model.save_pretrained(folder / f"controlnet_{net.kind}")
    levels = len(models.vae.config.block_out_channels)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(64,) * levels,
        decoder_block_out_channels=(64,) * levels,
        num_encoder_blocks=(1, *(3,) * (levels - 1)),
        num_decoder_blocks=(*(3,) * (levels - 1), 1),
    )
    tiny.save_pretrained(folder / "tiny_vae")


def random_clip(size: Size) -> ClipJob:
    """Return a clip with random frames, edges and pose maps."""
    rng = np.random.default_rng(0)
    shape = (size.frames, size.pixels, size.pixels)
    controls = Controls(
        edges=rng.choice([0, 255], shape).astype(np.uint8),
        pose=None,
        pose_maps=rng.integers(0, 256, (*shape, 3), np.uint8),
        flow_previous=None,
        flow_anchor=None,
        occluded_previous=None,
        occluded_anchor=None,
    )
    return ClipJob(
        frames=rng.integers(0, 256, (*shape, 3), np.uint8),
        controls=controls,
        prompt="a person",
        negative="lowres",
        seed=0,
    )


def letters() -> CLIPTokenizer:
    """Return CLIP's tokenizer without merges; prompts are padded to 77 tokens as usual."""
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
