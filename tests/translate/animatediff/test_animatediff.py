"""AnimateDiff is diffusers' own for one window; longer clips, memory, and what is refused."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AnimateDiffVideoToVideoControlNetPipeline,
    MotionAdapter,
    UNet2DConditionModel,
    UNetMotionModel,
)
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny_diffusion import write_lora, write_motion_adapter
from tests.translate.backbone_cases import CASES, backbone_config, source
from tests.translate.stable_diffusion.test_sd15_shapes import SD15_UNET
from tests.translate.tiny_translator import clip_job
from vidda.errors import ViddaError
from vidda.translate.animatediff.animatediff import MOTION, AnimateDiffConfig
from vidda.translate.animatediff.motion_denoiser import MotionDenoiser
from vidda.translate.stable_diffusion import cost, schedulers
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.latents import encode_frames
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.noise import IndependentNoise
from vidda.translate.stable_diffusion.sampler import ClipSampler
from vidda.translate.stable_diffusion.sampling_start import set_timesteps

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return CASES["animatediff"].write(tmp_path_factory.mktemp("animatediff"))


def made(weights: dict[str, Any], **sampling: Any) -> AnimateDiffConfig:
    config = backbone_config("animatediff", weights, **sampling)
    assert isinstance(config, AnimateDiffConfig)
    return config


def loaded(weights: dict[str, Any], **sampling: Any) -> ClipSampler:
    return made(weights, **sampling).find().load(CPU, 0)


def theirs(models: Models, config: AnimateDiffConfig, clip: Any) -> np.ndarray:
    """The frames of diffusers' pipeline with the same models, start and control images."""
    sampling, nets = config.sampling, models.controlnets
    scheduler = schedulers.build_scheduler(sampling.scheduler, models.scheduler_config)
    pipeline = AnimateDiffVideoToVideoControlNetPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        motion_adapter=None,
        controlnet=[net.model for net in nets],
        scheduler=scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    count = len(clip.frames)
    noise = IndependentNoise().draw(clip.seed, count, (4, 8, 8), clip.controls)
    timesteps = set_timesteps(scheduler, sampling.steps, sampling.start.strength)
    latents = noise * scheduler.init_noise_sigma
    if sampling.start.strength < 1:
        # Their pipeline draws from the VAE's distribution: it is given the mode as ready latents.
        clean = encode_frames(models.vae, clip.frames, Fitting(4, "vae_chunk"))
        latents = scheduler.add_noise(clean, noise, timesteps[:1])
    edges = np.repeat(clip.controls.edges[..., None], 3, axis=3)
    maps = [list(images / np.float32(255)) for images in (edges, clip.controls.pose_maps)]
    found = pipeline(
        prompt=clip.prompt,
        negative_prompt=clip.negative,
        height=32,
        width=32,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.guidance,
        strength=sampling.start.strength,
        latents=latents.permute(1, 0, 2, 3)[None],
        conditioning_frames=maps,
        controlnet_conditioning_scale=[net.scale for net in nets],
        control_guidance_start=[net.start for net in nets],
        control_guidance_end=[net.end for net in nets],
        output_type="np",
    ).frames[0]
    return np.asarray(found * 255).round().astype(np.uint8)


@pytest.mark.parametrize("start", [{"name": "noise"}, {"name": "image", "strength": 0.6}])
def test_one_window_is_diffusers_own_pipeline(
    weights: dict[str, Any], start: dict[str, Any]
) -> None:
    nets = [
        {**net, "scale": 2.0, **window}
        for net, window in zip(weights["controlnets"], ({"end": 0.7}, {"start": 0.2}), strict=True)
    ]
    keys = weights | {"controlnets": nets}
    config = made(keys, steps=5, start=start, scheduler={"name": "ddim"})
    translator = config.find().load(CPU, 0)
    clip = clip_job(4, seed=5)
    (ours,) = translator.translate([clip])
    models = translator._models
    other = theirs(models, config, clip)
    assert np.abs(ours.astype(int) - other).max() <= 1
    assert other.std() > 10 and np.abs(other[0].astype(int) - other[1]).mean() > 1


def test_a_long_clip_is_sampled_as_a_whole(weights: dict[str, Any]) -> None:
    translator = loaded(weights)
    clip = clip_job(8, seed=1)
    (whole,) = translator.translate([clip])
    assert whole.shape == (8, 32, 32, 3)
    apart = [
        frames
        for overlap in (0, 2)
        for frames in loaded(weights, overlap=overlap).translate([clip])
    ]
    assert np.array_equal(apart[1], whole) and not np.array_equal(apart[0], whole)


def out_of_memory(models: Models, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Lets the UNet run out of memory so many times; a list of its passes' sizes after that."""
    forward, sizes = models.unet.forward, []
    left = iter(range(times))

    def run(sample: torch.Tensor, *more: Any, **named: Any) -> Any:
        if next(left, None) is not None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        sizes.append(len(sample))
        return forward(sample, *more, **named)

    monkeypatch.setattr(models.unet, "forward", run)
    return sizes


def test_less_memory_gives_the_same_frames(
    weights: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clip = clip_job(4, seed=2)
    (expected,) = loaded(weights).translate([clip])
    for times, told in ((1, "the passes of guidance"), (2, "a layer at a time on the device")):
        translator = loaded(weights)
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger="vidda"):
            caplog.clear()
            sizes = out_of_memory(translator._models, patch, times)
            (found,) = translator.translate([clip])
            assert set(sizes) == {1} and len(caplog.messages) == times
            assert told in caplog.messages[-1]
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_no_memory_at_all_is_an_error_with_its_remedy(
    weights: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = loaded(weights)
    out_of_memory(translator._models, monkeypatch, 99)
    with pytest.raises(ViddaError, match=r"not enough memory.*shorter backbone.sampling.window"):
        translator.translate([clip_job(4)])


def test_loras_reach_the_unet_with_motion(weights: dict[str, Any], tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora", Path(weights["base"]["path"]), 4)
    clip = clip_job(4)
    (plain,) = loaded(weights).translate([clip])
    keys = weights | {"loras": [{"source": source(lora), "scale": 3.0}]}
    (changed,) = loaded(keys).translate([clip])
    assert np.abs(plain.astype(int) - changed).mean() > 1


def test_motion_modules_that_do_not_fit_are_refused(
    weights: dict[str, Any], tmp_path: Path
) -> None:
    wide = MotionAdapter(block_out_channels=(8, 8), motion_norm_num_groups=4)
    wide.save_pretrained(tmp_path / "wide")
    keys = weights | {"motion_adapter": source(tmp_path / "wide")}
    with pytest.raises(ViddaError, match=r"wide: motion modules for a UNet of widths \[8, 8\]"):
        made(keys).find()
    with pytest.raises(ViddaError, match=r"window: 17 frames, but .*motion takes 16 at once"):
        made(weights, window=17).find()
    missing = weights | {"motion_adapter": source(Path(weights["base"]["path"]) / "unet")}
    with pytest.raises(ViddaError, match=r"holds a UNet2DConditionModel; name .* a MotionAdapter"):
        made(missing).find()
    with pytest.raises(ValueError, match="overlap 4 is not under window 4"):
        made(weights, overlap=4)
    assert made(keys).folder_problems() == []  # sizes are compared by find alone


def test_the_same_modules_elsewhere_have_the_same_fingerprint(
    weights: dict[str, Any], tmp_path: Path
) -> None:
    own = made(weights).find().fingerprint()
    for seed in (3, 4):
        motion = write_motion_adapter(tmp_path / str(seed), seed)
        other = made(weights | {"motion_adapter": source(motion)}).find().fingerprint()
        assert (other == own) == (seed == 3)


def test_the_noise_schedule_stays_that_of_the_modules_with_another_scheduler() -> None:
    for keys in ({"name": "euler"}, {"overrides": {"timestep_spacing": "trailing"}}):
        config = AnimateDiffConfig.model_validate({"sampling": {"scheduler": keys}})
        assert config.sampling.scheduler.overrides["beta_schedule"] == "linear"


def test_hours_grow_with_windows_before_files_are_there() -> None:
    config = AnimateDiffConfig()
    one, two = (config.cost(frames, 512, 512) for frames in (16, 17))
    assert one and two
    # 20 of 25 steps, two passes each, two ControlNets; 17 frames are filled to 28, in two windows.
    frame = 40 * (cost.UNET + MOTION + 2 * cost.CONTROLNET)
    assert one == pytest.approx(16 * (frame + cost.ENCODE + cost.DECODE))
    assert two == pytest.approx(32 * frame + 28 * (cost.ENCODE + cost.DECODE))


@pytest.mark.slow
def test_the_work_of_motion_modules_is_what_pytorch_counts() -> None:
    with torch.device("meta"), torch.no_grad():
        plain = UNet2DConditionModel(**SD15_UNET)
        moving = UNetMotionModel.from_unet2d(plain, MotionAdapter(), load_weights=False)
        assert round(sum(p.numel() for p in MotionAdapter().parameters()) / 1e6) == 453
        text, timestep = torch.empty(16, 77, 768), torch.empty((), dtype=torch.int64)
        with FlopCounterMode(display=False) as alone:
            plain(torch.empty(16, 4, 64, 64), timestep, encoder_hidden_states=text)
        with FlopCounterMode(display=False) as both:
            moving(torch.empty(1, 4, 16, 64, 64), timestep, encoder_hidden_states=text)
    added = (both.get_total_flops() - alone.get_total_flops()) / 16e12
    assert added == pytest.approx(MOTION, rel=0.01)
    assert alone.get_total_flops() / 16e12 == pytest.approx(cost.UNET, rel=0.01)


def test_the_denoiser_takes_whole_windows_alone(weights: dict[str, Any]) -> None:
    translator = loaded(weights)
    assert isinstance(translator._denoiser, MotionDenoiser)
    with pytest.raises(AssertionError):
        translator.translate([clip_job(5)])
