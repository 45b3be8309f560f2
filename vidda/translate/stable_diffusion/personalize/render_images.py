"""Pictures from a model by a plain pipeline of diffusers, the same for the same seeds."""

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
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig, build, step_eta
from vidda.translate.stable_diffusion.start import schedule


class DrawingConfig(Config):
    """How pictures are drawn: class images before training, samples during it."""

    scheduler: SchedulerConfig = Field(
        default=SchedulerConfig(name="ddim"), description="which of diffusers' schedulers"
    )
    steps: int = Field(default=20, ge=1, description="of the scheduler")
    guidance: float = Field(default=9.0, ge=1, description="classifier-free guidance; 1 is none")

    def check(self, models: Models) -> None:
        """Raise ViddaError where the scheduler refuses its settings or the steps."""
        scheduler = build(self.scheduler, models.scheduler_config)
        schedule(scheduler, self.steps, 1.0, key="drawing")


def pipeline(models: Models, scheduler: Any) -> Any:
    """Return the models as they are, not copied, as a pipeline of diffusers without a safety
    checker.
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
    """Write the models as a pipeline's folder, with the scheduler that their own folder named."""
    kind = getattr(diffusers, models.scheduler_config["_class_name"])
    pipe = pipeline(models, kind.from_config(dict(models.scheduler_config)))
    # What the last prompts were cut and padded to is no part of the result.
    models.tokenizer.backend_tokenizer.no_truncation()
    models.tokenizer.backend_tokenizer.no_padding()
    pipe.save_pretrained(folder, safe_serialization=True)


def draw(
    models: Models, config: DrawingConfig, prompt: str, size: int, seeds: Sequence[int]
) -> np.ndarray:
    """Return one picture for each seed, (N, size, size, 3) uint8 RGB; call it inside autocast."""
    scheduler = build(config.scheduler, models.scheduler_config)
    pipe = pipeline(models, scheduler)
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
    """Return a seed for one picture, in 0..2^63-1; purpose keeps class images and samples apart."""
    return int(np.random.default_rng([seed, purpose, number]).integers(2**63))


def sheet(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of pictures, each (N, H, W, 3) uint8, as one picture."""
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB, atomically."""
    with atomic(path) as temporary:
        Image.fromarray(picture).save(temporary)


def read_png(path: Path) -> np.ndarray:
    """What `write_png` wrote."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
