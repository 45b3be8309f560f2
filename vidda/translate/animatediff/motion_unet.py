"""A UNet of Stable Diffusion with motion modules between its layers."""

from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.adapters import quiet_libraries
from vidda.translate.stable_diffusion.folders import ModelFolder
from vidda.translate.stable_diffusion.loading import load_network


def with_motion(unet: Any, motion: ModelFolder) -> Any:
    """Return diffusers' UNetMotionModel of a UNet, on its device and in its dtype.

    unet: UNet2DConditionModel. motion: folder of a MotionAdapter. Raises ViddaError when they do
    not fit together.
    """
    from diffusers import UNetMotionModel

    adapter = load_network(motion, unet.dtype)
    # Weights are initialized at random before they are copied.
    with quiet_libraries(), torch.random.fork_rng(devices=[]):
        try:
            found: Any = UNetMotionModel.from_unet2d(unet, adapter)
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ViddaError(
                f"{motion.path}: does not fit this UNet ({reason:.200}); name another adapter"
            ) from None
        return found.requires_grad_(False).eval().to(unet.device, unet.dtype)
