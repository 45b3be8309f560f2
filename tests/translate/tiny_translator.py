"""A tiny Stable Diffusion with ControlNets, loaded, and clips for it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from clips import moving
from tiny_diffusion import write_controlnet, write_tiny

from vidda.control.controls import Controls
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.loading import Models, load_models
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.weights_config import (
    ControlKind,
    ControlNetConfig,
    WeightsConfig,
)
from vidda.weights import Folder

SIDE = 32


def tiny_models(
    folder: Path,
    kinds: tuple[ControlKind, ...] = ("edges", "pose"),
    windows: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.0, 1.0)),
) -> Models:
    """Models in float32 from `folder`, which is filled when it is empty."""
    base = folder / "base"
    if not base.exists():
        write_tiny(base, size=SIDE)
        for seed, kind in enumerate(("edges", "pose"), start=1):
            write_controlnet(folder / kind, base, seed)
    nets = tuple(
        ControlNetConfig(
            kind=kind,
            source=Folder(path=folder / kind),
            scale=0.7 + 0.2 * number,
            start=window[0],
            end=window[1],
        )
        for number, (kind, window) in enumerate(zip(kinds, windows, strict=False))
    )
    config = WeightsConfig(base=Folder(path=base), controlnets=nets)
    return load_models(config, torch.device("cpu"), torch.float32)


def precise(models: Models) -> Models:
    """The same in float64, where rounding hides nothing, and with attention that matters.

    Random weights attend to all alike and add next to nothing.
    """
    for module in models.modules():
        module.double()
    for name, weight in models.unet.named_parameters():
        if "attn1.to_q" in name or "attn1.to_v" in name:
            weight.data *= 8
    return models


def clip_job(length: int = 4, seed: int = 0, **changes: Any) -> ClipJob:
    """A texture that moves by a pixel a frame downwards and half of one sideways."""
    rng = np.random.default_rng(seed)
    flow = np.zeros((length, SIDE, SIDE, 2), np.float32)
    flow += np.array([(t // 2, t) for t in range(length)], np.float32)[:, None, None]
    hidden = np.zeros((length, SIDE, SIDE), bool)
    values: dict[str, Any] = {
        "frames": moving(length, SIDE, SIDE, seed),
        "controls": Controls(
            edges=rng.choice([0, 255], (length, SIDE, SIDE)).astype(np.uint8),
            pose=None,
            pose_maps=rng.integers(0, 256, (length, SIDE, SIDE, 3), np.uint8),
            flow_previous=None,
            flow_anchor=flow,
            occluded_previous=None,
            occluded_anchor=hidden,
        ),
        "prompt": f"person in scene {seed}",
        "negative": "longbody, lowres",
        "seed": seed,
    }
    return ClipJob(**(values | changes))


def config(**changes: Any) -> SamplingConfig:
    """Few steps, and of little guidance: it multiplies rounding as it does all else."""
    return SamplingConfig(**{"steps": 3, "guidance": 2.0, **changes})


def last(models: Models, config: SamplingConfig, clips: list[ClipJob]) -> torch.Tensor:
    """The latents after the last step."""
    for latents in StableDiffusionTranslator(models, config).denoise(clips):
        found = latents
    return found.clone()
