"""Each method learns the target, leaves what plain diffusers reads, and resumes exactly."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline

from tests.tiny_diffusion import write_tiny
from tests.translate.target_clips import SIZE, content, velocity_base, write_target
from vidda import config
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.translate.personalize import job, training
from vidda.translate.personalize.config import PersonalizeConfig
from vidda.translate.personalize.drawing import read_png, seed_of
from vidda.translate.personalize.frames import Frames, FramesConfig, draw

DREAMBOOTH = {
    "name": "dreambooth",
    "steps": 30,
    "lr": 2e-3,
    "batch_size": 4,
    "gradient_checkpointing": True,
    "prior": {"count": 3, "batch_size": 2},
}
LORA = {"name": "lora", "steps": 30, "lr": 1e-2, "batch_size": 4, "rank": 4}
INVERSION = {
    "name": "textual_inversion",
    "steps": 40,
    "lr": 5e-2,
    "batch_size": 2,
    "accumulate": 2,
    "scale_lr": True,
    "initializer": "person",
    "vectors": 2,
    "templates": ["a {token}", "in the {token} of"],
}
VAE = {"name": "vae_decoder", "steps": 30, "lr": 3e-3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("base") / "base", size=SIZE)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_target(tmp_path_factory.mktemp("target"))


def personalize(content: Any, *, resume: bool = False, dry_run: bool = False) -> int:
    file = Path(content["run"]).with_suffix(".yaml")
    file.write_text(json.dumps(content))  # JSON is YAML
    return job.run(config.load(PersonalizeConfig, file), dry_run=dry_run, resume=resume)


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def measured(run: Path, name: str) -> list[float]:
    return [line[name] for line in metrics(run) if name in line]


def files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


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


def plain_pictures(pipe: Any, prompt: str) -> np.ndarray:
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
        (DREAMBOOTH, from_dreambooth, "sks object", 0.9),
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
    held_out = draw(load_manifest(target), FramesConfig(count=12, held_out=2), SIZE).held_out
    unchanged = plain_loss(StableDiffusionPipeline.from_pretrained(base), held_out, start)
    assert plain_loss(plain, held_out, card["prompt"]) < share * unchanged

    sheet = read_png(run / "samples" / f"{method['steps']:06d}.png")
    assert sheet.shape == (2 * SIZE, 2 * SIZE, 3)
    assert np.abs(plain_pictures(plain, card["prompt"]) - sheet[SIZE:]).max() <= 1


def test_the_prior_is_the_bases_own_pictures_and_learnt_beside_the_frames(
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


def test_the_decoder_learns_to_paint_the_target(base: Path, target: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert personalize(content(base, target, run, VAE)) == 0
    before, after = measured(run, "held_out/psnr")
    assert after > before + 1
    tuned = AutoencoderKL.from_pretrained(run / "result")
    first = AutoencoderKL.from_pretrained(base / "vae")
    held_out = draw(load_manifest(target), FramesConfig(count=12, held_out=2), SIZE).held_out
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


def assert_same_run(first: Path, second: Path) -> None:
    """Bit for bit the same result, last checkpoint, sheets and metrics."""
    for part in ("result", "samples", "checkpoints"):
        assert files(first / part) == files(second / part), part
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("method", [LORA, INVERSION, VAE], ids=lambda m: m["name"])
def test_broken_off_and_resumed_is_as_if_never_broken_off(
    base: Path,
    target: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: dict[str, Any],
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    often = {"save_every": 3, "look_every": 4}
    method = {**method, "steps": 9}
    assert personalize(content(base, target, whole, method, **often)) == 0

    def fail(path: Path, picture: np.ndarray) -> None:
        if path.stem == "000008":
            raise KeyboardInterrupt

    again = content(base, target, broken, method, **often)
    with monkeypatch.context() as patch:
        patch.setattr(training, "write_png", fail)
        with pytest.raises(KeyboardInterrupt):
            personalize(again)
    assert (broken / "checkpoints" / "last").readlink() == Path("000006")
    assert personalize(again, resume=True) == 0
    for early in ("000000", "000004"):
        (whole / "samples" / f"{early}.png").unlink()
    assert_same_run(whole, broken)


@pytest.mark.slow
def test_killed_at_a_random_step_and_resumed_is_as_if_never_killed(
    base: Path, target: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    often = {"save_every": 4, "look_every": 10}
    assert personalize(content(base, target, whole, DREAMBOOTH, **often)) == 0
    again = content(base, target, killed, DREAMBOOTH, **often)
    file = tmp_path / "killed.yaml"
    file.write_text(json.dumps(again))
    command = (
        "import sys; from pathlib import Path; from vidda import config;"
        "from vidda.translate.personalize.job import run;"
        "from vidda.translate.personalize.config import PersonalizeConfig;"
        "run(config.load(PersonalizeConfig, Path(sys.argv[1])), dry_run=False, resume=False)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stop_after = int(np.random.default_rng().integers(1, 20))
    log = killed / "metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < stop_after:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "DONE").exists()
    with pytest.raises(ViddaError, match="--resume"):
        personalize(again)
    assert personalize(again, resume=True) == 0
    assert_same_run(whole, killed)
    assert personalize(again, resume=True) == 0


def test_missing_class_images_are_drawn_as_they_were(
    base: Path, target: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    method = {**DREAMBOOTH, "steps": 1}
    personalize(content(base, target, whole, method))
    (broken / "class_images").mkdir(parents=True)
    kept = broken / "class_images" / "00001.png"
    kept.write_bytes((whole / "class_images" / "00001.png").read_bytes())
    (broken / "config.yaml").write_text(
        config.dump(
            PersonalizeConfig.model_validate_json(
                json.dumps(content(base, target, broken, method)), strict=True
            )
        )
    )
    personalize(content(base, target, broken, method), resume=True)
    assert files(whole / "class_images") == files(broken / "class_images")
    assert files(whole / "result") == files(broken / "result")


@pytest.fixture
def other_precision() -> Any:
    """accelerate keeps one precision per process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_velocities_at_zero_terminal_snr_in_bf16_with_every_choice_on(
    target: Path, tmp_path: Path, other_precision: None
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


def test_every_mistake_is_told_before_anything_is_written(
    base: Path, target: Path, tmp_path: Path
) -> None:
    empty = target.parent / "empty.csv"
    empty.write_text(target.read_text().splitlines()[0] + "\n")
    frames = {"count": 12, "held_out": 2}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"target": str(empty)}, "no clips"),
        ({"frames": {"held_out": 6}}, "frames.held_out: 6 of only 6 clips"),
        ({"frames": {"count": 99, "held_out": 2}}, "which has 8; lower it"),
        ({"frames": {**frames, "resolution": 34}}, "34 is not a multiple of 4.*take 32 or 36"),
        ({"method": {**INVERSION, "token": "Person"}}, "in the base's vocabulary already"),
        ({"method": {**INVERSION, "token": "a"}}, "in the base's vocabulary already"),
        ({"method": {**INVERSION, "initializer": "valid"}}, "'valid' is 5 tokens"),
        ({"method": {**INVERSION, "initializer": "<|endoftext|>"}}, "unknown to the base"),
        ({"method": {**INVERSION, "templates": ["a photo"]}}, r"has no \{token\}"),
        ({"method": {**INVERSION, "vectors": 80}}, "the text encoder reads 75"),
        ({"method": {**LORA, "prompt": "a " * 80 + "{token}"}}, "the text encoder reads 75"),
        ({"method": {**LORA, "targets": ["to_nothing"]}}, "no layer of the UNet ends in"),
        ({"method": {**DREAMBOOTH, "prompt": "an object"}}, r"has no \{token\}"),
        ({"method": {**LORA, "optimizer": "adamw_8bit"}}, "adamw_8bit needs a CUDA device"),
        ({"precision": "fp16"}, "fp16 needs a CUDA device"),
        ({"base": {"name": "folder", "path": str(tmp_path)}}, "model_index.json"),
    ]
    for number, (changes, text) in enumerate(cases):
        run = tmp_path / f"bad{number}"
        with pytest.raises(ViddaError, match=text):
            personalize({**content(base, target, run, LORA), **changes})
        assert not run.exists(), changes


def test_two_mistakes_are_told_at_once(base: Path, target: Path, tmp_path: Path) -> None:
    changes = {"frames": {"held_out": 6, "resolution": 34}}
    method = {**INVERSION, "initializer": "valid", "token": "a"}
    with pytest.raises(ViddaError) as told:
        personalize({**content(base, target, tmp_path / "run", method), **changes})
    assert len(str(told.value).splitlines()) == 4


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    base: Path, target: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    wild = {**LORA, "lr": 1e30, "clip_grad": None}
    with pytest.raises(ViddaError, match=r"at step \d+.*lower method.lr"):
        personalize(content(base, target, run, wild, save_every=1))
    assert (run / "checkpoints" / "last" / "learned.safetensors").exists()
    assert not (run / "DONE").exists() and not (run / "result").exists()


def test_dry_run_writes_nothing(
    base: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert personalize(content(base, target, run, LORA), dry_run=True) == 0
    assert not run.exists()
    assert "weights that learn; 12 frames and 2 held out, 32x32" in capsys.readouterr().out


def test_global_generators_are_left_alone(base: Path, target: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    personalize(content(base, target, tmp_path / "run", {**LORA, "steps": 1}))
    assert torch.equal(torch.rand(3), expected)


def test_frames_tell_their_content() -> None:
    one = np.zeros((2, 8, 8, 3), np.uint8)
    other = one.copy()
    other[0, 0, 0, 0] = 1
    assert Frames(one, one, 0).fingerprint() == Frames(one.copy(), one, 0).fingerprint()
    assert Frames(one, one, 0).fingerprint() != Frames(other, one, 0).fingerprint()
    assert Frames(one, other, 0).fingerprint() != Frames(other, one, 0).fingerprint()
