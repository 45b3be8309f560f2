"""Each method learns the target, and leaves what plain diffusers reads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline

from tests.translate.personalizing import (
    DREAMBOOTH,
    INVERSION,
    LORA,
    VAE,
    files,
    measured,
    personalize,
)
from tests.translate.target_clips import SIZE, content, velocity_base, write_target
from vidda.data import load_manifest
from vidda.translate.stable_diffusion.personalize.frames import FramesConfig, sample_frames
from vidda.translate.stable_diffusion.personalize.render_images import read_png, seed_of


@torch.no_grad()
def plain_loss(pipe: Any, frames: np.ndarray, prompt: str) -> float:
    """The denoising loss of a plain pipeline at fixed noise and timesteps, by diffusers alone."""
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    pixels = pipe.image_processor.preprocess(frames.astype(np.float32) / 255)
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    states, _ = pipe.encode_prompt(prompt, "cpu", 1, False)
    errors = []
    for number, moment in enumerate(range(50, 1000, 100)):
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(number))
        times = torch.full((len(latents),), moment)
        noisy = scheduler.add_noise(latents, noise, times)
        seen = pipe.unet(noisy, times, states.expand(len(latents), -1, -1)).sample
        errors.append(float((seen - noise).square().mean()))
    return float(np.mean(errors))


def plain_images(pipe: Any, prompt: str) -> np.ndarray:
    """What the last sheet of samples shows below the target's frames, by a plain pipeline."""
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    seeds = [torch.Generator().manual_seed(seed_of(0, 2, number)) for number in range(2)]
    made = pipe(
        [prompt] * 2,
        height=SIZE,
        width=SIZE,
        num_inference_steps=2,
        guidance_scale=2.0,
        generator=seeds,
        output_type="np",
    )
    return np.concatenate(list(np.rint(made.images * 255)), axis=1)


def from_dreambooth(base: Path, result: Path) -> Any:
    return StableDiffusionPipeline.from_pretrained(result)


def from_lora(base: Path, result: Path) -> Any:
    pipe = StableDiffusionPipeline.from_pretrained(base)
    pipe.load_lora_weights(result)
    return pipe


def from_inversion(base: Path, result: Path) -> Any:
    pipe = StableDiffusionPipeline.from_pretrained(base)
    pipe.load_textual_inversion(result)
    return pipe


@pytest.mark.parametrize(
    ("method", "load", "start", "share"),
    [
        pytest.param(DREAMBOOTH, from_dreambooth, "sks object", 0.9, marks=pytest.mark.slow),
        (LORA, from_lora, "sks object", 0.95),
        # The vectors of one word cannot do as much to a UNet that was never trained on words.
        (INVERSION, from_inversion, "a person person", 0.98),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_it_lowers_the_loss_on_held_out_frames_and_plain_diffusers_reads_it(
    base: Path,
    target: Path,
    tmp_path: Path,
    method: dict[str, Any],
    load: Callable[[Path, Path], Any],
    start: str,
    share: float,
) -> None:
    run = tmp_path / "run"
    assert personalize(content(base, target, run, method)) == 0
    before, after = measured(run, "held_out/loss")
    assert after < share * before
    assert len(measured(run, "train/loss")) == method["steps"]

    result = run / "result"
    card = json.loads((result / "personalized.json").read_text())
    assert card["method"] == method["name"] and card["resolution"] == SIZE
    assert len(card["base"]) == len(card["frames"]) == 64 and card["token"] in card["prompt"]
    assert all(p.suffix != ".bin" for p in result.rglob("*"))
    plain = load(base, result)
    held_out = sample_frames(
        load_manifest(target), FramesConfig(count=12, held_out=2), SIZE
    ).held_out[:]
    unchanged = plain_loss(StableDiffusionPipeline.from_pretrained(base), held_out, start)
    assert plain_loss(plain, held_out, card["prompt"]) < share * unchanged

    sheet = read_png(run / "samples" / f"{method['steps']:06d}.png")
    assert sheet.shape == (2 * SIZE, 2 * SIZE, 3)
    assert np.abs(plain_images(plain, card["prompt"]) - sheet[SIZE:]).max() <= 1


def test_the_prior_is_the_bases_own_images_and_learned_beside_the_frames(
    base: Path, target: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert personalize(content(base, target, run, {**DREAMBOOTH, "steps": 2})) == 0
    assert len(measured(run, "train/prior")) == 2
    images = sorted((run / "class_images").iterdir())
    assert len(images) == 3 and len({image.read_bytes() for image in images}) == 3
    plain = StableDiffusionPipeline.from_pretrained(base)
    plain.scheduler = DDIMScheduler.from_config(plain.scheduler.config, clip_sample=False)
    plain.set_progress_bar_config(disable=True)
    made = plain(
        "an object",
        height=SIZE,
        width=SIZE,
        num_inference_steps=2,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(seed_of(0, 1, 2)),
        output_type="np",
    )
    assert np.abs(np.rint(made.images[0] * 255) - read_png(images[2])).max() <= 1


def test_the_decoder_learns_to_reconstruct_the_target(
    base: Path, target: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert personalize(content(base, target, run, VAE)) == 0
    before, after = measured(run, "held_out/psnr")
    assert after > before + 1
    tuned = AutoencoderKL.from_pretrained(run / "result")
    first = AutoencoderKL.from_pretrained(base / "vae")
    held_out = sample_frames(
        load_manifest(target), FramesConfig(count=12, held_out=2), SIZE
    ).held_out[:]
    pixels = torch.from_numpy(held_out).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        latents = tuned.encode(pixels).latent_dist.mode()
        assert torch.equal(latents, first.encode(pixels).latent_dist.mode())
        error = (tuned.decode(latents).sample - pixels).square().mean((1, 2, 3))
    assert float((10 * torch.log10(4 / error)).mean()) == pytest.approx(after, abs=1e-3)


def test_labels_change_nothing(base: Path, target: Path, tmp_path: Path) -> None:
    shifted = write_target(target.parent, labels=1)
    assert shifted.read_text() != target.read_text()
    runs = []
    for name, manifest in (("one", target), ("two", shifted)):
        runs.append(tmp_path / name)
        personalize(content(base, manifest, runs[-1], {**LORA, "steps": 2}))
    assert files(runs[0] / "result") == files(runs[1] / "result")
    assert files(runs[0] / "samples") == files(runs[1] / "samples")
    assert (runs[0] / "metrics.jsonl").read_bytes() == (runs[1] / "metrics.jsonl").read_bytes()


def test_velocities_at_zero_terminal_snr_in_bf16_with_every_choice_on(
    target: Path, tmp_path: Path
) -> None:
    base = velocity_base(tmp_path / "base")
    run = tmp_path / "run"
    method = {
        **LORA,
        "steps": 12,
        "min_snr": 5.0,
        "schedule": "cosine",
        "warmup": 2,
        "gradient_checkpointing": True,
        "prior": {"count": 2, "prompt": "a person"},
        "prompt": "a person in the style of {token} person",
    }
    frames = {"count": 12, "held_out": 2, "flip": True, "crop": {"name": "person"}}
    more = {"precision": "bf16", "frames": frames}
    assert personalize(content(base, target, run, method, **more)) == 0
    before, after = measured(run, "held_out/loss")
    assert after < before
    pipe = from_lora(base, run / "result")
    assert pipe.scheduler.config.prediction_type == "v_prediction"
    assert all(np.isfinite(measured(run, "train/loss")))


def test_global_generators_are_left_alone(base: Path, target: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    personalize(content(base, target, tmp_path / "run", {**LORA, "steps": 1}))
    assert torch.equal(torch.rand(3), expected)
