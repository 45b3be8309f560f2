"""The sampler: chunks and batches change nothing, and what cannot work is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from pydantic import ValidationError

from tests.translate.tiny_translator import SIDE, clip_job, config, last, precise, tiny_models
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.attention_context import (
    AttendAnchors,
    AttendFirst,
    AttendFirstPrevious,
    AttendOwn,
    ContextConfig,
)
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.keep_person import KeepLatents, KeepPixels
from vidda.translate.stable_diffusion.latents import decode_latents, encode_frames, mask_to_latents
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.noise import FlowWarpedNoise, IndependentNoise
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator, match_to_first
from vidda.translate.stable_diffusion.sampling_start import (
    DdimInversion,
    FromImage,
    Zodi,
    add_noise,
    alpha_bar,
    set_timesteps,
)
from vidda.translate.stable_diffusion.schedulers import SCHEDULERS, SchedulerConfig

CONTEXTS = [AttendOwn(), AttendFirst(), AttendFirstPrevious(), AttendAnchors(count=3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def models(folder: Path) -> Models:
    return tiny_models(folder)


@pytest.fixture(scope="module")
def exact(folder: Path) -> Models:
    return precise(tiny_models(folder, ("edges",)))


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_the_chunk_size_changes_nothing(
    models: Models, exact: Models, context: ContextConfig
) -> None:
    clip = clip_job(17)
    for networks, sizes, tolerance in ((models, (1, 4, 16), 1e-5), (exact, (4, 16), 1e-7)):
        choices = config(context=context, noise=FlowWarpedNoise(), steps=2)
        found = [
            last(networks, choices.model_copy(update={"chunk": size}), [clip]) for size in sizes
        ]
        for other in found[1:]:
            assert (found[0] - other).abs().max() < tolerance


def test_contexts_differ(exact: Models) -> None:
    found = [last(exact, config(context=context), [clip_job(5)]) for context in CONTEXTS]
    for number, one in enumerate(found):
        for other in found[:number]:
            assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("context", "scheduler"),
    [
        (AttendOwn(), "lcm"),
        (AttendFirst(), "unipc"),
        (AttendFirstPrevious(), "lcm"),
        (AttendAnchors(), "unipc"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_clips_together_are_what_they_are_alone(
    exact: Models, context: ContextConfig, scheduler: str
) -> None:
    """So frames see none of another clip, and seeds are a clip's own."""
    clips = [clip_job(length, seed) for seed, length in enumerate((3, 1, 4))]
    choices = config(
        context=context,
        chunk=3,
        scheduler=SchedulerConfig(name=scheduler),
        noise=IndependentNoise(),
    )
    alone = [last(exact, choices, [clip]) for clip in clips]
    together = last(exact, choices, clips)
    backwards = last(exact, choices, clips[::-1]).split([4, 1, 3])[::-1]
    assert (together - torch.cat(alone)).abs().max() < 1e-5
    assert (together - torch.cat(backwards)).abs().max() < 1e-5


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_samples(exact: Models, name: str) -> None:
    choices = config(scheduler=SchedulerConfig(name=name), start=FromImage(strength=0.7), steps=5)
    clip = clip_job(2)
    one, two = (last(exact, choices.model_copy(update={"chunk": c}), [clip]) for c in (1, 2))
    assert torch.isfinite(one).all()
    assert (one - two).abs().max() < 1e-5


@pytest.mark.parametrize("start", [Zodi(strength=0.7), DdimInversion()], ids=lambda s: s.name)
def test_starts_that_ask_the_networks(exact: Models, start: Any) -> None:
    """Their passes go through chunks and context like all others."""
    clip = clip_job(5)
    found = [last(exact, config(start=start, chunk=size), [clip]) for size in (2, 5)]
    assert (found[0] - found[1]).abs().max() < 1e-5
    other = last(exact, config(start=FromImage(strength=start.strength)), [clip])
    assert (found[0] - other).abs().max() > 1e-3


def test_an_overridden_wrapper_is_an_error_before_sampling(folder: Path) -> None:
    models = tiny_models(folder)
    translator = StableDiffusionTranslator(models, config(context=AttendFirstPrevious()))
    models.unet.set_attn_processor(AttnProcessor2_0())
    ran = []
    models.unet.register_forward_pre_hook(lambda _, inputs: ran.append(1))
    with pytest.raises(ViddaError, match="off in 7 of 7 layers"):
        translator.translate([clip_job(2)])
    assert not ran


def test_a_later_translator_has_its_own_attention(models: Models) -> None:
    clip = clip_job(3)
    before = last(models, config(context=AttendOwn()), [clip])
    last(models, config(context=AttendFirstPrevious()), [clip])
    assert torch.equal(last(models, config(context=AttendOwn()), [clip]), before)


@pytest.mark.parametrize("release", [0.6, 0.0])
def test_the_person_s_latents_are_the_source_s_until_released(
    models: Models, release: float
) -> None:
    mask = np.zeros((3, SIDE, SIDE), bool)
    mask[:, 8:24, 8:16] = True
    clip = clip_job(3, mask=mask)
    keep = KeepLatents(release=release, feather=0)
    choices = config(
        steps=8, keep_person=keep, scheduler=SchedulerConfig(name="ddim"), noise=IndependentNoise()
    )
    steps = [
        latents.clone() for latents in StableDiffusionTranslator(models, choices).denoise([clip])
    ]

    scheduler = schedulers.build_scheduler(choices.scheduler, models.scheduler_config)
    timesteps = set_timesteps(scheduler, 8, 1.0)
    source = encode_frames(models.vae, clip.frames, Fitting(2, "vae_chunk"))
    noise = IndependentNoise().draw(clip.seed, 3, (4, 8, 8), clip.controls)
    inside = mask_to_latents(mask, (8, 8), 0).bool().expand(-1, 4, -1, -1)
    assert 0 < inside.float().mean() < 0.5
    kept = []
    for latents, following in zip(steps, timesteps[1:], strict=False):
        own = add_noise(scheduler, source, noise, following)
        level = (1 - alpha_bar(scheduler, following)) ** 0.5
        kept.append(level > release)
        assert torch.allclose(latents[inside], own[inside], atol=1e-4) == kept[-1]
        assert (latents[~inside] - own[~inside]).abs().max() > 0.1
    assert set(kept) == ({True} if release == 0 else {True, False})
    assert keep.problems(scheduler, timesteps) == []
    first = (1 - alpha_bar(scheduler, timesteps[0])) ** 0.5
    (problem,) = KeepLatents(release=first).problems(scheduler, timesteps)
    assert "would never be kept; lower it" in problem
    with pytest.raises(ValidationError, match="less than 1"):
        KeepLatents(release=1.0)


def test_the_person_s_pixels_are_pasted(models: Models) -> None:
    mask = np.zeros((2, SIDE, SIDE), bool)
    mask[:, 8:24, 8:16] = True
    clip = clip_job(2, mask=mask)
    plain = StableDiffusionTranslator(models, config()).translate([clip])[0]
    hard, soft = (
        StableDiffusionTranslator(models, config(keep_person=KeepPixels(feather=f))).translate(
            [clip]
        )[0]
        for f in (0, 1.0)
    )
    assert np.array_equal(hard[mask], clip.frames[mask])
    assert np.array_equal(hard[~mask], plain[~mask])
    assert np.array_equal(soft[:, 16, 12], clip.frames[:, 16, 12])
    assert np.array_equal(soft[:, 0, 0], plain[:, 0, 0])
    assert not np.array_equal(soft[mask], clip.frames[mask])  # near the edge


def test_a_soft_mask_stays_a_share() -> None:
    mask = np.zeros((2, 64, 64), bool)
    mask[0, 16:48, 16:48] = True
    mask[1, :6, :6] = True
    hard, soft = (mask_to_latents(mask, (16, 16), feather) for feather in (0, 1.0))
    assert hard[0].sum() == 64
    assert hard[1, 0, :2, :2].flatten().tolist() == [1.0, 0.5, 0.5, 0.25]
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert abs(soft[0].sum() - 64) < 1e-3
    assert 0 < soft[0, 0, 3, 8] < 0.5 < soft[0, 0, 4, 8] < 1


def test_colors_are_those_of_the_first_frame(models: Models) -> None:
    frames = np.random.default_rng(0).integers(80, 160, (3, 16, 16, 3), np.uint8)
    frames[2] = frames[2] // 2 + 20
    first = frames[0].copy()
    assert np.abs(frames.mean(axis=(1, 2)) - first.mean(axis=(0, 1))).max() > 20
    match_to_first(frames)
    assert np.array_equal(frames[0], first)
    assert np.abs(frames.mean(axis=(1, 2)) - first.mean(axis=(0, 1))).max() < 0.5
    assert np.abs(frames.std(axis=(1, 2)) - first.std(axis=(0, 1))).max() < 0.5
    matched = StableDiffusionTranslator(models, config(match_color=True)).translate([clip_job(3)])[
        0
    ]
    means = matched.astype(float).mean(axis=(1, 2))
    assert np.abs(means - means[0]).max() < 2


def test_frames_come_out_in_their_size_and_half_precision_is_near(folder: Path) -> None:
    clips = [clip_job(3, 1), clip_job(2, 2)]
    exact = StableDiffusionTranslator(tiny_models(folder), config()).translate(clips)
    assert [frames.shape for frames in exact] == [clip.frames.shape for clip in clips]
    assert {frames.dtype for frames in exact} == {np.dtype(np.uint8)}
    half = tiny_models(folder)
    for module in half.modules():
        module.to(torch.bfloat16)
    near = StableDiffusionTranslator(half, config()).translate(clips)
    for one, other in zip(exact, near, strict=True):
        assert 0 < np.abs(one.astype(int) - other).mean() < 8


def test_the_autoencoder_s_slices_change_nothing(models: Models) -> None:
    frames = clip_job(5).frames
    parts = [encode_frames(models.vae, frames, Fitting(size, "vae_chunk")) for size in (1, 2, 8)]
    assert all(torch.allclose(parts[0], part, atol=1e-5) for part in parts[1:])
    images = [
        decode_latents(models.vae, parts[0], Fitting(size, "vae_chunk")) for size in (1, 2, 8)
    ]
    assert all(np.abs(images[0].astype(int) - other).max() <= 1 for other in images[1:])


def test_everything_that_is_missing_is_named_at_once(models: Models) -> None:
    clip = clip_job(2)
    empty = replace(clip, controls=replace(clip.controls, edges=None, flow_anchor=None), prompt="x")
    narrow = replace(clip, frames=clip.frames[:, :, :30])
    translator = StableDiffusionTranslator(
        models, config(noise=FlowWarpedNoise(), keep_person=KeepPixels())
    )
    with pytest.raises(ViddaError) as error:
        translator.translate([empty, narrow])
    for part in (
        "for edges has no control images: set control.edges",
        "needs optical flow: set control.flow",
        "keep_person needs the person's mask",
        "frames of 30x32 pixels; both sides must be multiples of 4",
        "maps of pose are (2, 32, 32), the frames (2, 32, 30)",
        "cannot be translated together",
    ):
        assert part in str(error.value)


def test_a_prompt_that_would_be_cut_off_is_refused(models: Models) -> None:
    with pytest.raises(ViddaError, match=r"a prompt has \d+ tokens and 75 fit; shorten 'person"):
        StableDiffusionTranslator(models, config()).translate([clip_job(2, prompt="person " * 100)])


def test_values_that_are_not_finite_are_refused(models: Models) -> None:
    latents = torch.full((1, 4, 8, 8), float("nan"))
    with pytest.raises(ViddaError, match="not finite; take bf16 or fp32"):
        decode_latents(models.vae, latents, Fitting(1, "vae_chunk"))


def test_a_strength_that_leaves_no_step_is_refused() -> None:
    with pytest.raises(ValidationError, match="leave no step to take"):
        config(steps=4, start=FromImage(strength=0.2))
