"""Prior preservation: images of the class, rendered by the base, join the target's frames.

Ruiz et al. 2023, DreamBooth, arXiv 2208.12242, section 3.3.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from vidda.config import Config
from vidda.data.derived import derive_file, missing, sync_recorded
from vidda.progress import meter
from vidda.translate.stable_diffusion.personalize.denoiser_learner import Prior
from vidda.translate.stable_diffusion.personalize.encoded_frames import encode_images
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.render_images import render, seed_of, write_png
from vidda.translate.stable_diffusion.personalize.stored_images import PngImages

FOLDER = "class_images"
CLASS_IMAGES = 1
"""The purpose of the seeds of class images, for `render_images.seed_of`."""


class PriorConfig(Config):
    """The class whose prior is preserved, and its images."""

    prompt: str = Field(default="an object", description="prompt of the class, without the token")
    count: int = Field(
        default=1000, ge=1, description="class images that the base renders before training"
    )
    weight: float = Field(default=1.0, gt=0, description="weight of the loss on class images")
    batch_size: int = Field(default=4, ge=1, description="class images rendered at a time")


def prepare_prior(settings: LearnerSettings, config: PriorConfig, number: int) -> Prior:
    """Return the encoded class images, after rendering those that are missing.

    number: index of their prompt among the learner's prompts.
    """
    images = class_images(settings, config)
    device = settings.accelerator.device
    latents = encode_images(settings.models.vae, images, device, "encoding class images")
    return Prior(latents, number, config.weight)


def class_images(settings: LearnerSettings, config: PriorConfig) -> PngImages:
    """Return the class images in RUN/class_images, after rendering those that are missing.

    Call it before training changes the base. After an interruption it resumes with the first
    incomplete batch; seeds and batches do not depend on interruptions.
    """
    files = [f"{FOLDER}/{number:05d}.png" for number in range(config.count)]
    lacking = set(missing(settings.folder, files, lambda file: (file, file)))
    done = len(files) - len(lacking)
    with meter(label="class images", total=len(files), unit="images", done=done) as passed:
        for start in range(0, len(files), config.batch_size):
            batch = files[start : start + config.batch_size]
            count = len(lacking.intersection(batch))
            if count:
                _render_batch(settings, config, batch, start)
                passed(count)
    sync_recorded(settings.folder)
    return PngImages([settings.folder / file for file in files])


@torch.no_grad()
def _render_batch(
    settings: LearnerSettings, config: PriorConfig, files: list[str], start: int
) -> None:
    seeds = [seed_of(settings.seed, CLASS_IMAGES, start + at) for at in range(len(files))]
    with settings.accelerator.autocast():
        made = render(settings.models, settings.drawing, config.prompt, settings.size, seeds)
    for file, image in zip(files, made, strict=True):
        derive_file(settings.folder, file, file, partial(_write_image, image))


def _write_image(image: np.ndarray, path: Path) -> tuple[str, ...]:
    write_png(path, image)
    return ()
