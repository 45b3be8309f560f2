"""Wan VACE is diffusers' own pipeline for a clip; its inputs, LoRAs, references and memory."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanVACEPipeline
from diffusers.pipelines.wan import pipeline_wan_vace
from safetensors.torch import load_file, save_file

from tests.tiny_wan import write_wan_lora
from tests.translate.backbone_cases import CASES, backbone_config, source
from tests.translate.target_clips import write_target
from tests.translate.test_backbones import job_of
from tests.translate.translations import start
from vidda.control.control_config import ControlConfig
from vidda.errors import ViddaError
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.noise import generator
from vidda.translate.wan_vace.vace_config import VaceSamplingConfig
from vidda.translate.wan_vace.vace_inputs import vace_inputs, whole_latents
from vidda.translate.wan_vace.vace_translator import WanVaceTranslator
from vidda.translate.wan_vace.wan_vace import WanVaceConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return CASES["wan_vace"].write(tmp_path_factory.mktemp("wan_vace"))


def made(weights: dict[str, Any], **sampling: Any) -> WanVaceConfig:
    config = backbone_config("wan_vace", weights, **sampling)
    assert isinstance(config, WanVaceConfig)
    return config


def loaded(weights: dict[str, Any], **sampling: Any) -> WanVaceTranslator:
    return made(weights, **sampling).find().load(CPU, 0)


@pytest.fixture(scope="module")
def job(weights: dict[str, Any]) -> ClipJob:
    return job_of(made(weights).find(), 3)


def test_a_clip_is_diffusers_own_pipeline(
    weights: dict[str, Any], job: ClipJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = loaded(weights, scale=0.7)
    (ours,) = translator.translate([job])
    # Theirs repairs broken characters with a library that vidda does without.
    monkeypatch.setattr(pipeline_wan_vace, "prompt_clean", lambda text: text)
    pipeline = WanVACEPipeline(
        tokenizer=translator._prompts._tokenizer,
        text_encoder=translator._prompts._text_encoder,
        vae=translator._pipeline.vae,
        transformer=translator._pipeline.transformer,
        scheduler=translator._pipeline.scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    assert job.mask is not None and job.controls.depth is not None
    pose = job.controls.pose_maps
    depth = np.repeat(job.controls.depth[..., None], 3, axis=3)
    video = np.where(job.mask[..., None], pose, depth) / np.float32(255)
    other = pipeline(
        video=[video],
        mask=[np.ones_like(video)],
        prompt=job.prompt,
        negative_prompt=job.negative,
        height=32,
        width=32,
        num_frames=len(video),
        num_inference_steps=3,
        guidance_scale=3.0,
        conditioning_scale=0.7,
        generator=generator(job.seed, "noise"),
    ).frames[0]
    assert other.std() > 0.05
    assert np.abs(ours.astype(int) - np.rint(other * 255)).max() <= 1


def test_controls_are_apart_and_a_kept_person_is_in_whole_latents() -> None:
    rng = np.random.default_rng(0)
    job = replace(job_of(FiveFrames(), 1), seed=0)
    mask = np.zeros(job.frames.shape[:3], bool)
    mask[3, 4:8, 4:8] = True  # only in one of a latent's four frames
    job = replace(job, mask=mask)
    assert job.controls.depth is not None
    depth = np.repeat(job.controls.depth[..., None], 3, axis=3)
    both = vace_inputs(job, VaceSamplingConfig(), 4)
    assert np.array_equal(both.video[~mask], depth[~mask]) and both.mask.min() == 255
    assert np.array_equal(both.video[mask], job.controls.pose_maps[mask])  # type: ignore[index]
    alone = vace_inputs(job, VaceSamplingConfig(person=None), 4)
    assert np.array_equal(alone.video, depth)
    kept = vace_inputs(
        job, VaceSamplingConfig.model_validate({"keep_person": {"name": "pixels"}}), 4
    )
    path = whole_latents(mask, 4)
    assert path[1:5, 4:8, 4:8].all() and path.sum() == 4 * 16
    assert np.array_equal(kept.mask == 0, path)
    assert np.array_equal(kept.video[path], job.frames[path])
    assert np.array_equal(kept.video[~path], depth[~path])
    floats = replace(job.controls, depth=rng.random(mask.shape))
    with pytest.raises(AssertionError):  # diffusers would take 0..255 for 0..1 in silence
        vace_inputs(replace(job, controls=floats), VaceSamplingConfig(), 4)


class FiveFrames:
    """The lengths of Wan VACE, without its models."""

    def frames(self, count: int) -> int:
        return -(-(count - 1) // 4) * 4 + 1


def test_controls_of_scale_0_do_not_act(weights: dict[str, Any], job: ClipJob) -> None:
    assert job.controls.depth is not None
    other = replace(job, controls=replace(job.controls, depth=255 - job.controls.depth))
    none = loaded(weights, scale=0.0)
    first, second = none.translate([job, other])
    assert np.array_equal(first, second)


def test_maps_of_another_size_and_missing_masks_are_errors(
    weights: dict[str, Any], job: ClipJob
) -> None:
    translator = loaded(weights)
    small = replace(job.controls, depth=np.zeros((len(job.frames), 16, 32), np.uint8))
    with pytest.raises(ViddaError, match=r"maps of depth are \(9, 16, 32\), the frames"):
        translator.translate([replace(job, controls=small)])
    with pytest.raises(ViddaError, match="two controls need the person's mask"):
        translator.translate([replace(job, mask=None)])
    alone = loaded(weights, person=None)
    assert len(alone.translate([replace(job, mask=None)])) == 1


def test_the_config_says_what_it_needs() -> None:
    config = WanVaceConfig()
    control = ControlConfig.model_validate({"pose": {"name": "sidecar"}})
    (line,) = config.problems(control)
    assert "backbone.sampling.scene reads depth, but control.depth is null" in line
    assert config.keeps_person and config.describe_controls(control).startswith("pose sidecar for")
    for keys, wrong in (
        ({"person": None, "scene": None}, "both null"),
        ({"scene": None, "keep_person": {"name": "pixels"}}, "choose a control as scene"),
    ):
        with pytest.raises(ValueError, match=wrong):
            VaceSamplingConfig.model_validate(keys)
    one = VaceSamplingConfig(person="depth", scene="depth")
    assert not one.needs_mask and VaceSamplingConfig(person=None).controls == {"scene": "depth"}
    with pytest.raises(ViddaError, match="leave `personalized` out"):
        config.with_personalized("lora", Path("x"))


def test_settings_that_change_frames_are_in_the_settings() -> None:
    own = WanVaceConfig().settings()
    for key, value in {"vae_tiling": True, "flow_shift": 5.0, "scale": 0.5}.items():
        assert WanVaceConfig.model_validate({"sampling": {key: value}}).settings() != own
    assert WanVaceConfig(precision="fp32").settings() != own


def test_clips_that_are_too_long_are_refused(
    weights: dict[str, Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source_clips = request.getfixturevalue("source")
    backbone = made(weights).find()
    assert [backbone.frames(count) for count in (1, 2, 5, 16, 81)] == [1, 5, 5, 17, 81]
    with pytest.raises(ViddaError, match="82 frames, and Wan takes 81 at once; choose fewer"):
        backbone.frames(82)
    assert made(weights, longest=85).find().frames(82) == 85
    content = {
        "input": str(source_clips),
        "out": str(tmp_path / "out"),
        "size": 32,
        "backbone": {"name": "wan_vace", "weights": weights, "sampling": {"longest": 1}},
        "control": {"pose": {"name": "sidecar"}, "depth": {"name": "sidecar"}},
        "device": "cpu",
    }
    assert start(content, dry_run=True) == 1
    assert "will fail: 4 frames, and Wan takes 1 at once" in capsys.readouterr().out


def test_a_reference_image_is_of_the_target(
    weights: dict[str, Any], job: ClipJob, tmp_path: Path
) -> None:
    target = write_target(tmp_path / "target")
    plain = made(weights).find()
    shown = made(weights, reference={"target": str(target), "clips": 2}).find()
    assert len(shown.references) == 2 and shown.fingerprint() != plain.fingerprint()
    (without,), (with_one,) = (one.load(CPU, 0).translate([job]) for one in (plain, shown))
    assert with_one.shape == job.frames.shape
    assert np.abs(without.astype(int) - with_one).mean() > 0.1
    translator = shown.load(CPU, 0)
    images = [np.asarray((translator._reference(seed) or [])[0]) for seed in (0, 1, 2)]
    assert np.array_equal(images[0], images[2]) and not np.array_equal(images[0], images[1])
    shown.references[0].unlink()
    with pytest.raises(ViddaError, match=f"{shown.references[0].name}: not there"):
        shown.config.find()
    with pytest.raises(ViddaError, match=r"nothing\.csv"):
        made(weights, reference={"target": str(tmp_path / "nothing.csv")}).find()


def test_loras_change_the_transformer_or_are_refused(
    weights: dict[str, Any], job: ClipJob, tmp_path: Path
) -> None:
    file = write_wan_lora(tmp_path / "lora", Path(weights["base"]["path"]), 5)
    own = file / "pytorch_lora_weights.safetensors"
    with_lora = weights | {"loras": [{"source": source(file), "scale": 4.0}]}
    backbone = made(with_lora).find()
    assert backbone.fingerprint() != made(weights).find().fingerprint()
    translator = backbone.load(CPU, 0)
    assert not any("lora" in name for name, _ in translator._pipeline.transformer.named_modules())
    (changed,), (plain,) = translator.translate([job]), loaded(weights).translate([job])
    assert np.abs(changed.astype(int) - plain).mean() > 0.1

    state = load_file(own)
    block = {
        key.replace("blocks.0", "blocks.7"): state[key].clone()
        for key in state
        if "blocks.0" in key
    }
    for number, (content, wrong) in enumerate(
        (
            (state | block, "8 of its 24 layers are not in this transformer"),
            ({key.replace("transformer.", "unet."): state[key] for key in state}, "16 of its 16"),
            ({"weight": torch.zeros(2)}, "holds no LoRA"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file(content, folder / own.name)
        with pytest.raises(ViddaError, match=wrong):
            made(weights | {"loras": [{"source": source(folder)}]}).find().load(CPU, 0)


def test_less_memory_gives_the_same_frames(
    weights: dict[str, Any],
    job: ClipJob,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (expected,) = loaded(weights).translate([job])
    for times, told in ((1, "the text encoder in main"), (2, "a layer at a time on the device")):
        translator = loaded(weights)
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger="vidda"):
            caplog.clear()
            _out_of_memory(translator, patch, times)
            (found,) = translator.translate([job])
            assert len(caplog.messages) == times and told in caplog.messages[-1]
        assert np.abs(found.astype(int) - expected).max() <= 1
    translator = loaded(weights)
    _out_of_memory(translator, monkeypatch, 99)
    with pytest.raises(ViddaError, match=r"not enough memory.*vae_tiling=true"):
        translator.translate([job])


def _out_of_memory(
    translator: WanVaceTranslator, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Lets the transformer run out of memory so many times."""
    transformer = translator._pipeline.transformer
    forward, left = transformer.forward, iter(range(times))

    def run(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is not None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(*arguments, **named)

    monkeypatch.setattr(transformer, "forward", run)
