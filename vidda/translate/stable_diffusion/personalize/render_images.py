"""Rendering of images by diffusers' plain text-to-image pipeline, reproducible by seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from pydantic import Field

from vidda.config import Config
from vidda.files import atomic
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.sampling_start import set_timesteps
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig, build_scheduler, step_eta


class DrawingConfig(Config):
    """The sampling of class images before training and of samples during it."""

    scheduler: SchedulerConfig = Field(
        default=SchedulerConfig(name="ddim"), description="the sampling scheduler"
    )
    steps: int = Field(default=20, ge=1, description="steps of the scheduler")
    guidance: float = Field(
        default=9.0, ge=1, description="weight of classifier-free guidance; 1: none"
    )

    def check(self, models: Models) -> None:
        """Raise ViddaError when the scheduler refuses its settings or the number of steps."""
        scheduler = build_scheduler(self.scheduler, models.scheduler_config)
        set_timesteps(scheduler, self.steps, 1.0, key="drawing")


def build_pipeline(models: Models, scheduler: Any) -> Any:
    """Return a diffusers pipeline around the models, which are not copied.

    It has no safety checker and no progress bar.
    """
    pipe: Any = StableDiffusionPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_pipeline(models: Models, folder: Path) -> None:
    """Write the models as a pipeline in diffusers' format, with the base's own scheduler."""
    kind = getattr(diffusers, models.scheduler_config["_class_name"])
    pipe = build_pipeline(models, kind.from_config(dict(models.scheduler_config)))
    # The tokenizer would save the truncation and padding of the last prompts.
    models.tokenizer.backend_tokenizer.no_truncation()
    models.tokenizer.backend_tokenizer.no_padding()
    pipe.save_pretrained(folder, safe_serialization=True)


def render(
    models: Models, config: DrawingConfig, prompt: str, size: int, seeds: Sequence[int]
) -> np.ndarray:
    """Return one image of a prompt for each of N seeds, (N, size, size, 3) uint8 RGB.

    seeds: of the initial noise. Call it inside autocast where the precision is not fp32.
    """
    scheduler = build_scheduler(config.scheduler, models.scheduler_config)
    pipe = build_pipeline(models, scheduler)
    made = pipe(
        [prompt] * len(seeds),
        height=size,
        width=size,
        num_inference_steps=config.steps,
        guidance_scale=config.guidance,
        eta=step_eta(config.scheduler, scheduler) or 0.0,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
    )
    return np.rint(made.images * 255).clip(0, 255).astype(np.uint8)


def seed_of(seed: int, purpose: int, number: int) -> int:
    """Return a seed for one image, in 0..2^63-1, by the run's seed, purpose and number.

    purpose: CLASS_IMAGES or SAMPLE_IMAGES, so that their seeds differ.
    """
    return int(np.random.default_rng([seed, purpose, number]).integers(2**63))


def image_grid(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of images, each (N, H, W, 3) uint8, as one image (R * H, N * W, 3)."""
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 RGB to a PNG file, atomically."""
    with atomic(path) as temporary:
        Image.fromarray(image).save(temporary)


def read_png(path: Path) -> np.ndarray:
    """Read a PNG file, (H, W, 3) uint8 RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
