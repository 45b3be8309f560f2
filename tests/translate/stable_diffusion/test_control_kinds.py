"""ControlNets of every kind: the images that they get, and that these matter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.translate.tiny_translator import SIDE, clip_job, config, last, tiny_models
from vidda.errors import ViddaError
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.conditions import Conditions
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.prompt_encoder import PromptEncoder
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.stable_diffusion import StableDiffusionConfig
from vidda.translate.stable_diffusion.weights_config import ControlNetConfig, WeightsConfig
from vidda.weights import Folder, Hub

KINDS = ("depth", "segmentation", "mask")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A ControlNet of each of the three kinds; one for edges and one for poses stand in."""
    folder = tmp_path_factory.mktemp("models")
    tiny_models(folder)  # writes them
    for kind, written in zip(KINDS, ("edges", "pose", "edges"), strict=True):
        (folder / kind).symlink_to(folder / written)
    return tiny_models(folder, KINDS, ((0.0, 1.0),) * 3)


@pytest.fixture
def clip() -> ClipJob:
    rng = np.random.default_rng(1)
    job = clip_job(3)
    return replace(
        job,
        controls=replace(
            job.controls,
            edges=None,
            pose_maps=None,
            depth=rng.integers(0, 256, (3, SIDE, SIDE), np.uint8),
            segmentation=rng.integers(0, 256, (3, SIDE, SIDE, 3), np.uint8),
            mask=rng.integers(0, 2, (3, SIDE, SIDE)).astype(bool),
        ),
    )


def test_each_controlnet_gets_its_own_images(models: Models, clip: ClipJob) -> None:
    encoder = PromptEncoder(models.tokenizer, models.text_encoder)
    conditions = Conditions([clip_job(2), clip], models, encoder)
    controls = clip.controls
    assert controls.depth is not None and controls.mask is not None
    assert controls.segmentation is not None
    gray = {"depth": controls.depth, "mask": controls.mask * np.uint8(255)}
    for kind in KINDS:
        images = conditions.control_images(kind, [4, 2])  # the clip's last and first frame
        assert images.shape == (2, 3, SIDE, SIDE)
        levels = gray[kind][..., None] if kind in gray else controls.segmentation
        wanted = torch.from_numpy(levels[[2, 0]]).permute(0, 3, 1, 2) / 255
        assert torch.equal(images, wanted.expand_as(images)), kind


def test_each_control_changes_the_translation(models: Models, clip: ClipJob) -> None:
    translator = StableDiffusionTranslator(models, config())
    (before,) = translator.translate([clip])
    assert before.shape == (3, SIDE, SIDE, 3)
    for kind in KINDS:
        maps = getattr(clip.controls, kind)
        changed = replace(clip, controls=replace(clip.controls, **{kind: np.zeros_like(maps)}))
        (after,) = translator.translate([changed])
        assert not np.array_equal(before, after), kind


def test_frames_in_chunks_get_the_same_images(models: Models, clip: ClipJob) -> None:
    clips = [clip, replace(clip, seed=1)]
    whole, parts = (last(models, config(chunk=size), clips) for size in (6, 1))
    assert torch.allclose(whole, parts, atol=1e-4)


def test_what_is_missing_is_named_by_its_key(models: Models, clip: ClipJob) -> None:
    none = replace(clip, controls=replace(clip.controls, **dict.fromkeys(KINDS)))
    with pytest.raises(ViddaError) as error:
        StableDiffusionTranslator(models, config()).translate([none])
    assert str(error.value).splitlines() == [
        f"the ControlNet for {kind} has no control images: set control.{kind}" for kind in KINDS
    ]


def test_controlnets_are_found_in_a_folder_by_their_kind(tmp_path: Path) -> None:
    nets = tuple(ControlNetConfig(kind=kind, source=Hub(repo="a/b")) for kind in KINDS)
    backbone = StableDiffusionConfig(weights=WeightsConfig(controlnets=nets))
    found = backbone.with_base(tmp_path).weights.controlnets
    assert [net.source for net in found] == [
        Folder(path=tmp_path / f"controlnet_{kind}") for kind in KINDS
    ]
