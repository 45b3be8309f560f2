"""`vidda personalize`, which fine-tunes a diffusion model on unlabeled frames of the target.

RUN/result/        the weights in diffusers' own format, and personalized.json
                   dreambooth: a pipeline's folder; lora: pytorch_lora_weights.safetensors;
                   textual_inversion: learned_embeds.safetensors; vae_decoder: an AutoencoderKL
RUN/samples/       contact sheets of the model's images, 000000.png before the first step
RUN/metrics.jsonl  the training loss, and the loss on held-out clips
RUN/class_images/  rendered by the base, for prior preservation
RUN/records/       size and hash of the weights, by which a resumed run checks that they are whole
"""

import torch

from vidda.data import load_manifest
from vidda.data.derived import derive_folder, finished_record
from vidda.device import choose_precision
from vidda.errors import ViddaError
from vidda.files import require_free
from vidda.run import RunFolder
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.latents import pixels_per_latent_of
from vidda.translate.stable_diffusion.loading import Models, load_models
from vidda.translate.stable_diffusion.model_files import find_model_files
from vidda.translate.stable_diffusion.personalize import frames
from vidda.translate.stable_diffusion.personalize.card import write_card
from vidda.translate.stable_diffusion.personalize.frames import Frames
from vidda.translate.stable_diffusion.personalize.learner import Learner, LearnerSettings
from vidda.translate.stable_diffusion.personalize.personalize_config import (
    RESULT,
    PersonalizeConfig,
)
from vidda.translate.stable_diffusion.personalize.training_loop import train
from vidda.types import Manifest

USE = {
    "dreambooth": "backbone.weights.dreambooth",
    "lora": "backbone.weights.loras",
    "textual_inversion": "backbone.weights.embeddings",
    "vae_decoder": "backbone.weights.vae",
}
"""The key of `vidda translate` that takes the result."""


def run(config: PersonalizeConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, train, and write the weights into RUN/result; return 0.

    dry_run: only check, and print the plan. resume: continue an interrupted run. Raises ViddaError
    with a line for each mistake.
    """
    accelerator = config.accelerator()
    config.method.check_optimizer(accelerator.device)
    manifest = load_manifest(config.target).unlabeled()
    parts = find_model_files(config.weights)
    models = load_models(config.weights, torch.device("cpu"), torch.float32, parts)
    size = _check(config, models, manifest)
    target_frames = frames.sample_frames(manifest, config.frames, size)
    print(_plan(config, models, target_frames, size, accelerator.device))
    if dry_run:
        return 0
    base = fingerprint(config.weights, parts)
    fingerprints = {
        "target": manifest.fingerprint(),
        "base": base,
        "frames": target_frames.fingerprint(),
    }
    with RunFolder.open(
        config.run,
        config,
        fingerprints,
        resume=resume,
        whole=finished_record(config.run, RESULT, RESULT) is not None,
        wandb=config.wandb,
        tensorboard=config.tensorboard,
    ) as folder:
        if folder.finished:
            print(f"{config.run}: already finished")
            return 0
        for module in models.modules():
            module.to(accelerator.device)
        settings = LearnerSettings(
            models=models,
            frames=target_frames,
            flip=config.frames.flip,
            size=size,
            accelerator=accelerator,
            drawing=config.drawing,
            samples=config.samples,
            seed=config.seed,
            folder=config.run,
        )
        learner = config.method.build(settings)
        train(folder, learner, config.method, accelerator, config.training_schedule, config.seed)
        _save(config, learner, base, target_frames, size)
        folder.finish()
    print(f"done: {config.result}; vidda translate takes it as {USE[config.method.name]}")
    return 0


def _check(config: PersonalizeConfig, models: Models, manifest: Manifest) -> int:
    """Return the frames' side in pixels; raise ViddaError with a line for each mistake."""
    problems = frames.frame_problems(manifest, config.frames)
    for check in (config.method.check, config.drawing.check):
        try:
            check(models)
        except ViddaError as error:
            problems += str(error).splitlines()
    pixels = pixels_per_latent_of(models.vae)
    size = config.frames.resolution or models.unet.config.sample_size * pixels
    if size % pixels:
        near = size // pixels * pixels
        problems.append(
            f"frames.resolution: {size} is not a multiple of {pixels}, the pixels of a latent;"
            f" take {near} or {near + pixels}"
        )
    if problems:
        raise ViddaError("\n".join(problems))
    require_free(config.run, _required_bytes(config, models))
    return size


def _required_bytes(config: PersonalizeConfig, models: Models) -> int:
    """Return the disk space of the checkpoints (weights, two moments) and the result."""
    trained = 4 * config.method.trainable_count(models)
    everything = sum(p.numel() * 4 for module in models.modules() for p in module.parameters())
    # While a checkpoint is written there is one more than are kept.
    return 3 * trained * (config.keep + 1) + everything


def _plan(
    config: PersonalizeConfig,
    models: Models,
    target_frames: Frames,
    size: int,
    device: torch.device,
) -> str:
    method = config.method
    lines = [
        f"{method.name}, {method.trainable_count(models):,} weights to train;"
        f" {len(target_frames.train)} frames and {len(target_frames.held_out)} held out,"
        f" {size}x{size}; {method.steps} steps of {method.batch_size * method.accumulate} frames,"
        f" on {device} in {choose_precision(config.precision, device)}"
    ]
    if config.frames.crop.name == "person" and target_frames.boxless:
        lines.append(
            f"{target_frames.boxless} of the frames have no box of a person and are used whole"
        )
    return "\n".join(lines)


def _save(
    config: PersonalizeConfig, learner: Learner, base: str, target_frames: Frames, size: int
) -> None:
    """Write RUN/result atomically, unless an interrupted run has written it already."""
    if finished_record(config.run, RESULT, RESULT) is not None:
        return
    method = config.method
    with derive_folder(config.run, RESULT, RESULT) as folder:
        learner.save(folder)
        write_card(
            folder,
            method=method.name,
            token=method.token,
            prompt=method.caption,
            base=base,
            frames=target_frames.fingerprint(),
            resolution=size,
            steps=method.steps,
        )
