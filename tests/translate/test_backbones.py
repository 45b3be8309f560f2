"""What the job relies on holds for every backbone of the union, with tiny random weights."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.translate.backbone_cases import CASES, NAMES, backbone_config, source
from tests.translate.tiny_translator import clip_job
from tests.translate.translations import config as translate_config
from tests.translate.translations import media, start
from vidda.control.control_config import ControlConfig
from vidda.errors import ViddaError
from vidda.translate.backbone import Backbone, Translator
from vidda.translate.clip_job import ClipJob

CPU = torch.device("cpu")
FRAMES = 6  # no backbone takes as many by itself but stable_diffusion


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def weights(name: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return CASES[name].write(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def backbone(name: str, weights: dict[str, Any]) -> Backbone:
    return backbone_config(name, weights).find()


@pytest.fixture(scope="module")
def translator(backbone: Backbone) -> Translator:
    return backbone.load(CPU, 0)


def job_of(backbone: Backbone, seed: int = 0, **changes: Any) -> ClipJob:
    """A clip of a length that the backbone takes, with all kinds of controls and a mask."""
    length = backbone.frames(FRAMES)
    clip = clip_job(length, seed)
    rng = np.random.default_rng(seed)
    shape = clip.frames.shape[:3]
    mask = np.zeros(shape, bool)
    mask[:, 8:24, 8:24] = True
    depth = rng.integers(0, 256, shape, np.uint8)
    controls = replace(clip.controls, depth=depth)
    return replace(clip, controls=controls, mask=mask, **changes)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean difference of each frame, (T,)."""
    return np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))


def test_every_backbone_of_the_union_has_a_case() -> None:
    assert set(CASES) == set(NAMES)


def test_frames_are_as_many_and_as_large_as_the_clips(
    backbone: Backbone, translator: Translator
) -> None:
    assert 32 % backbone.multiple == 0
    assert all(backbone.frames(count) >= count for count in range(1, 40))
    assert all(backbone.frames(backbone.frames(n)) == backbone.frames(n) for n in range(1, 40))
    job = job_of(backbone)
    (found,) = translator.translate([job])
    assert found.shape == job.frames.shape and found.dtype == np.uint8
    assert found.std() > 1 and difference(found[1:], found[:-1]).min() > 0.1


def test_a_clip_depends_on_its_seed_and_prompt_alone(
    backbone: Backbone, translator: Translator
) -> None:
    one, other = job_of(backbone, 0), job_of(backbone, 1)
    torch.manual_seed(5)
    (first,) = translator.translate([one])
    torch.manual_seed(6)
    second, again = translator.translate([other, one])
    assert np.abs(first.astype(int) - again).max() <= 1  # rounding
    assert np.array_equal(translator.translate([one])[0], first)
    (reseeded,) = translator.translate([replace(one, seed=7)])
    (asked,) = translator.translate([replace(one, prompt="a person with a hat")])
    for found in (second, reseeded, asked):
        assert difference(found, first).min() > 0.05
    fresh = backbone.load(CPU, 0)
    assert np.array_equal(fresh.translate([one])[0], first)


def test_each_kind_of_control_matters_most_where_it_changes(
    name: str, backbone: Backbone, translator: Translator
) -> None:
    job = job_of(backbone)
    (first,) = translator.translate([job])
    for kind in CASES[name].kinds:
        maps = getattr(job.controls, kind).copy()
        maps[-1] = 255
        changed = replace(job, controls=replace(job.controls, **{kind: maps}))
        effect = difference(translator.translate([changed])[0], first)
        assert effect[-1] > 0.01 and effect[-1] == effect.max(), kind


def test_a_kind_that_is_asked_for_and_not_there_is_an_error(
    name: str, backbone: Backbone, translator: Translator
) -> None:
    job = job_of(backbone)
    for kind in CASES[name].kinds:
        without = replace(job, controls=replace(job.controls, **{kind: None}))
        with pytest.raises(ViddaError, match=kind.removesuffix("_maps")):
            translator.translate([without])
    none = ControlConfig(edges=None)
    assert len(backbone.config.problems(none)) == len(CASES[name].kinds)  # type: ignore[attr-defined]


def test_maps_in_another_range_are_not_taken_in_silence(
    name: str, backbone: Backbone, translator: Translator
) -> None:
    job = job_of(backbone)
    for kind in CASES[name].kinds:
        floats = getattr(job.controls, kind).astype(np.float32) / 255
        with pytest.raises(AssertionError):
            translator.translate([replace(job, controls=replace(job.controls, **{kind: floats}))])


def test_the_kept_person_is_the_sources(name: str, weights: dict[str, Any]) -> None:
    config = backbone_config(name, weights, keep_person={"name": "pixels", "feather": 0.0})
    assert config.keeps_person
    backbone = config.find()
    job = job_of(backbone)
    (found,) = backbone.load(CPU, 0).translate([job])
    assert job.mask is not None
    assert np.array_equal(found[job.mask], job.frames[job.mask])
    assert difference(found, job.frames).min() > 1
    with pytest.raises(ViddaError, match="keep_person needs the person's mask"):
        backbone.load(CPU, 0).translate([replace(job, mask=None)])


def test_the_fingerprint_is_of_all_weights(
    name: str, weights: dict[str, Any], backbone: Backbone
) -> None:
    folders = [Path(one["path"]) for one in _sources(weights)]
    own = backbone.fingerprint()
    for folder in folders:
        for file in folder.rglob("*.safetensors"):
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            kept = file.read_bytes()
            file.write_bytes(content)
            try:
                assert backbone_config(name, weights).find().fingerprint() != own, file
            finally:
                file.write_bytes(kept)


def _sources(content: Any) -> list[dict[str, str]]:
    """The folders that keys of weights name."""
    if isinstance(content, dict) and content.get("name") == "folder":
        return [content]
    below = content.values() if isinstance(content, dict) else content
    deep = [one for one in below if isinstance(one, dict | list)]
    return [one for value in deep for one in _sources(value)]


def test_it_can_be_sent_to_worker_processes(backbone: Backbone) -> None:
    assert pickle.loads(pickle.dumps(backbone)).fingerprint() == backbone.fingerprint()


def test_another_pipeline_is_refused_by_its_class(
    name: str, weights: dict[str, Any], tmp_path: Path
) -> None:
    for kind in ("StableDiffusionXLPipeline", "LTXPipeline"):
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
        config = backbone_config(name, weights | {"base": source(tmp_path)})
        with pytest.raises(ViddaError) as refused:
            config.find()
        (line,) = str(refused.value).splitlines()
        assert f"a {kind}" in line and f"backbone {name} takes" in line and "Pipeline" in line
    assert config.folder_problems()


def test_a_long_prompt_is_told(backbone: Backbone) -> None:
    long = "person " * 2000
    assert set(backbone.too_long([long, "a person"])) == {long}


@pytest.mark.slow
def test_a_job_resumes_and_shards_with_identical_bytes(
    name: str, weights: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clips = request.getfixturevalue("source")

    def job(out: Path, **more: Any) -> dict[str, Any]:
        content = {
            "input": str(clips),
            "out": str(out),
            "size": 32,
            "backbone": {
                "name": name,
                "weights": weights,
                "sampling": CASES[name].sampling,
                "precision": "fp32",
            },
            "control": {"pose": {"name": "sidecar"}, "depth": {"name": "sidecar"}},
            "prompt": {"template": "a person"},
            "device": "cpu",
            **more,
        }
        translate_config(content)
        return content

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start(job(whole), dry_run=True) == 0 and not whole.exists()
    assert start(job(whole)) == 0
    for shard in ("2/2", "1/2"):
        assert start(job(parts, shard=shard)) == 0
    assert media(whole) == media(parts) and len(media(whole)) == 3
    before = media(whole)
    next(whole.rglob("*.mp4")).unlink()
    assert start(job(whole), resume=True) == 0
    assert media(whole) == before
