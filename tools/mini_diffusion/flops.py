"""The compute of sampling with the miniature's networks, counted without weights."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from tools.mini_diffusion.networks import KINDS, new_autoencoder, new_controlnet, new_unet
from tools.mini_diffusion.recipe import SizesConfig
from tools.mini_diffusion.tokens import LENGTH


def frame_gigaflops(sizes: SizesConfig, pixels: int, steps: int) -> float:
    """Return the GFLOP of sampling one image of pixels x pixels, with both ControlNets.

    steps: of the sampler, without guidance. The text encoder, which runs once a clip, does not
    count.
    """
    with torch.device("meta"):
        unet, vae = new_unet(sizes, pixels), new_autoencoder(sizes)
        net = new_controlnet(unet, sizes)
        side = pixels // 2 ** (sizes.vae_levels - 1)
        latents = torch.empty(1, sizes.latents, side, side)
        inputs = (latents, torch.empty(1), torch.empty(1, LENGTH, sizes.text))
        image = torch.empty(1, 3, pixels, pixels)
    step = _flops(unet, *inputs) + len(KINDS) * _flops(net, *inputs, image)
    return (steps * step + _flops(vae.decoder, latents)) / 1e9


def _flops(network: torch.nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs)
    return counter.get_total_flops()
