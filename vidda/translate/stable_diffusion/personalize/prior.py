"""Prior preservation: pictures of the class by the base itself, learned beside the target's frames.

Ruiz et al. 2023, DreamBooth, arXiv 2208.12242, section 3.3.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from vidda.config import Config
from vidda.data.derived import make, missing
from vidda.progress import meter
from vidda.translate.stable_diffusion.personalize.denoiser_learner import Prior
from vidda.translate.stable_diffusion.personalize.encoded_frames import encode
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.render_images import draw, seed_of, write_png
from vidda.translate.stable_diffusion.personalize.stored_images import Files

FOLDER = "class_images"
CLASS_IMAGES = 1
"""The purpose of their seeds, see `drawing.seed_of`."""


class PriorConfig(Config):
    """What the base is to remember."""

    prompt: str = Field(default="an object", description="of the class, without the token")
    count: int = Field(
        default=1000, ge=1, description="pictures that the base draws before training"
    )
    weight: float = Field(default=1.0, gt=0, description="of their loss")
    batch_size: int = Field(default=4, ge=1, description="drawn at a time")


def prepare(setting: LearnerSettings, config: PriorConfig, number: int) -> Prior:
    """Draw what is missing of the class pictures, encode all; number: of their prompt."""
    pictures = class_pictures(setting, config)
    device = setting.accelerator.device
    latents = encode(setting.models.vae, pictures, device, "encoding class images")
    return Prior(latents, number, config.weight)


def class_pictures(setting: LearnerSettings, config: PriorConfig) -> Files:
    """Return the class pictures, in RUN/class_images or drawn into it.

    To be called while the model is still the base. Killed at any moment, it goes on with the first
    batch that is not whole; seeds and batches do not depend on where it was killed.
    """
    files = [f"{FOLDER}/{number:05d}.png" for number in range(config.count)]
    lacking = set(missing(setting.folder, files, lambda file: (file, file)))
    done = len(files) - len(lacking)
    with meter(label="class images", total=len(files), unit="images", done=done) as passed:
        for start in range(0, len(files), config.batch_size):
            batch = files[start : start + config.batch_size]
            count = len(lacking.intersection(batch))
            if count:
                _draw_batch(setting, config, batch, start)
                passed(count)
    return Files([setting.folder / file for file in files])


@torch.no_grad()
def _draw_batch(
    setting: LearnerSettings, config: PriorConfig, files: list[str], start: int
) -> None:
    seeds = [seed_of(setting.seed, CLASS_IMAGES, start + at) for at in range(len(files))]
    with setting.accelerator.autocast():
        made = draw(setting.models, setting.drawing, config.prompt, setting.size, seeds)
    for file, picture in zip(files, made, strict=True):
        make(setting.folder, file, file, partial(_write, picture))


def _write(picture: np.ndarray, place: Path) -> tuple[str, ...]:
    write_png(place, picture)
    return ()
