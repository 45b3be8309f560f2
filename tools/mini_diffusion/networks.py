"""The networks of the miniature with random weights, and the folder in which they are shipped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.mini_diffusion.recipe import SizesConfig
from tools.mini_diffusion.tokens import LENGTH, tokenizer
from tools.mini_diffusion.words import vocabulary
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet_libraries

LIMIT_BYTES = 16_000_000
KINDS = ("edges", "pose")
NOISE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "steps_offset": 1,
}
"""Velocity prediction with zero terminal SNR and trailing steps: Lin et al. 2024, arXiv 2305.08891,
without which a few steps from pure noise give gray images."""


def new_autoencoder(sizes: SizesConfig) -> Any:
    """Return an AutoencoderTiny whose latents are a quarter as wide and high as images.

    A quarter, because an arm of MiniRoCoG is about 4 pixels wide, with twice Stable Diffusion's
    channels for the position within a latent. Not AutoencoderKL, whose normalization removes
    brightness and color just before the latents and the pixels: at these widths, 100 steps of 8
    crops of 64 pixels reached 17 dB with it in several settings and 18 dB with this one, 200 steps
    17 and 22 dB.
    """
    levels = sizes.vae_levels
    return AutoencoderTiny(
        encoder_block_out_channels=(sizes.vae,) * levels,
        decoder_block_out_channels=(sizes.vae,) * levels,
        # No blocks at full size, where they would cost the most.
        num_encoder_blocks=tuple(range(levels)),
        num_decoder_blocks=tuple(range(levels))[::-1],
        latent_channels=sizes.latents,
        upsampling_scaling_factor=2,
    )


def new_tokenizer() -> CLIPTokenizer:
    """Return the tokenizer that knows the words of the captions."""
    return tokenizer(vocabulary())


def new_text_encoder(sizes: SizesConfig, words: CLIPTokenizer) -> CLIPTextModel:
    """Return a small CLIP text encoder for a tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=sizes.text,
            intermediate_size=2 * sizes.text,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=sizes.heads,
            max_position_embeddings=LENGTH,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
            initializer_factor=3.0,  # with CLIP's own, all captions start with nearly equal states
        )
    )


def new_unet(sizes: SizesConfig, pixels: int) -> Any:
    """Return a small UNet like Stable Diffusion's, without attention at the top level.

    pixels: a side of the images.
    """
    down = ("DownBlock2D", *("CrossAttnDownBlock2D",) * (len(sizes.unet) - 1))
    return UNet2DConditionModel(
        sample_size=pixels // 2 ** (sizes.vae_levels - 1),
        in_channels=sizes.latents,
        out_channels=sizes.latents,
        down_block_types=down,
        up_block_types=tuple(kind.replace("Down", "Up") for kind in down[::-1]),
        block_out_channels=sizes.unet,
        layers_per_block=1,
        cross_attention_dim=sizes.text,
        attention_head_dim=sizes.heads,
        norm_num_groups=sizes.groups,
    )


def new_controlnet(unet: Any, sizes: SizesConfig) -> Any:
    """Return a ControlNet from the UNet's first half, whose initial output is zero."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=sizes.hint)


def training_scheduler() -> Any:
    """Return the scheduler that adds noise in training."""
    return DDPMScheduler(**NOISE)


def sampling_scheduler() -> Any:
    """Return the scheduler of sampling."""
    return DDIMScheduler(**NOISE)


@dataclass(frozen=True)
class Miniature:
    """All networks of the miniature and its tokenizer (`words`); controlnets: by kind."""

    vae: Any
    text_encoder: Any
    words: CLIPTokenizer
    unet: Any
    controlnets: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the pipeline, and below it a folder for each ControlNet, in fp16.

        Raises ViddaError when that is more than LIMIT_BYTES.
        """
        pipe: Any = StableDiffusionPipeline(
            vae=_half(self.vae),
            text_encoder=_half(self.text_encoder),
            tokenizer=self.words,
            unet=_half(self.unet),
            scheduler=sampling_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipe.save_pretrained(folder, safe_serialization=True)
        for kind, net in self.controlnets.items():
            _half(net).save_pretrained(folder / f"controlnet_{kind}", safe_serialization=True)
        size = bytes_in(folder)
        if size > LIMIT_BYTES:
            raise ViddaError(
                f"{folder}: {size / 1e6:.1f} MB, and {LIMIT_BYTES / 1e6:.0f} are allowed; choose"
                " smaller sizes"
            )


@torch.no_grad()
def scale_controls(controlnet: Any, factor: float) -> None:
    """Multiply all outputs of a ControlNet by a factor, in its weights."""
    for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        layer.weight.mul_(factor)
        layer.bias.mul_(factor)


def bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _half(module: Any) -> Any:
    with quiet_libraries():
        return module.to("cpu", torch.float16, memory_format=torch.contiguous_format)
