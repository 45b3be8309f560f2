"""A translation by depth, segmentation and masks, from the manifest to the clips."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.translate.translations import SAMPLING, config, settings, start, write_source
from vidda.control.control_config import ControlConfig
from vidda.control.depth import DepthAnythingConfig
from vidda.control.mask import dilate_mask
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.sidecar import default_sidecar
from vidda.translate.clip_translator import ClipTranslator, load
from vidda.translate.identity import config_fingerprint
from vidda.translate.workload import disk_needs

KINDS = ("depth", "segmentation", "mask")
SIDECARS = {kind: {"name": "sidecar"} for kind in KINDS}


def by_maps(models: Path, source: Path, out: Path, **more: Any) -> dict[str, Any]:
    """Keys of a job with a ControlNet of each kind, and controls from sidecars."""
    content = settings(models, source, out, **more)
    content["backbone"]["weights"]["controlnets"] = [
        {"kind": kind, "source": {"name": "folder", "path": str(models / written)}}
        for kind, written in zip(KINDS, ("edges", "pose", "edges"), strict=True)
    ]
    content["control"] = {"edges": None, **SIDECARS}
    return content


def test_sidecars_guide_a_translation(models: Path, source: Path, tmp_path: Path) -> None:
    content = by_maps(models, source, tmp_path / "run", cache=str(tmp_path / "cache"))
    assert start(content) == 0
    with (tmp_path / "run" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert rows[0]["control"].split("; ") == [f"{kind} sidecar x1 in 0-1" for kind in KINDS]


def test_a_kind_without_its_control_is_one_line(models: Path, source: Path, tmp_path: Path) -> None:
    content = by_maps(models, source, tmp_path / "run")
    content["control"] = {}
    with pytest.raises(ViddaError) as error:
        start(content, dry_run=True)
    assert str(error.value).splitlines() == [
        f"backbone.weights.controlnets.{number} reads {kind}, but control.{kind} is null; choose"
        f" control.{kind}.name, or leave this ControlNet out"
        for number, kind in enumerate(KINDS)
    ]


def test_clips_without_the_array_are_named_by_a_dry_run(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_source(tmp_path / "source")
    clips = load_manifest(source).clips
    paths = [tmp_path / "source" / default_sidecar(clip.path) for clip in clips]
    paths[0].unlink()
    with np.load(paths[1]) as arrays:
        without = {name: arrays[name] for name in arrays if name != "depth"}
    np.savez(paths[1], **without)
    assert start(by_maps(models, source, tmp_path / "run"), dry_run=True) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "will fail" in line]
    assert len(lines) == 2
    assert lines[0].endswith("column 'sidecar', or take depth.name=depth_anything")
    assert lines[1].endswith("has no array 'depth'; write one, or take depth.name=depth_anything")


def test_the_person_is_kept_by_the_mask_of_the_controls(
    models: Path, source: Path, tmp_path: Path
) -> None:
    sampling = {**SAMPLING, "keep_person": {"name": "pixels"}}
    content = by_maps(models, source, tmp_path / "run", mask_grow=3, sampling=sampling)
    translator = load(config(content), device="cpu")
    manifest = load_manifest(source)
    clip, root = manifest.clips[0], manifest.root
    job = translator.read(clip, root, "a person").job
    assert job.controls.mask is not None and job.mask is not None
    np.testing.assert_array_equal(job.mask, dilate_mask(job.controls.mask, 3))
    assert job.mask.sum() > job.controls.mask.sum() > 0
    # The same without the key, from the sidecar.
    content["control"]["mask"] = None
    content["backbone"]["weights"]["controlnets"].pop()
    same = load(config(content), device="cpu").read(clip, root, "a person").job
    np.testing.assert_array_equal(same.mask, job.mask)
    given = replace(job.controls, mask=~job.controls.mask)
    changed = translator.read(clip, root, "a person", given).job
    np.testing.assert_array_equal(changed.mask, dilate_mask(~job.controls.mask, 3))


def test_a_control_s_source_decides_the_translation(
    models: Path, source: Path, tmp_path: Path
) -> None:
    whole = config(by_maps(models, source, tmp_path / "run"))
    other = by_maps(models, source, tmp_path / "run")
    other["control"]["mask"] = {"name": "segmenter"}
    assert config_fingerprint(whole) != config_fingerprint(config(other))


def test_the_cache_of_estimated_maps_is_charged(models: Path, source: Path, tmp_path: Path) -> None:
    job = config(by_maps(models, source, tmp_path / "run", cache=str(tmp_path / "cache")))
    plain = sum(disk_needs(job, 3, 10**9).values())
    control = ControlConfig(edges=None, depth=DepthAnythingConfig())
    estimated = job.model_copy(update={"control": control})
    assert sum(disk_needs(estimated, 3, 10**9).values()) == plain + 10**9


def test_a_translator_loads_every_estimator(models: Path, source: Path, tmp_path: Path) -> None:
    content = by_maps(models, source, tmp_path / "run")
    nowhere = {"name": "folder", "path": str(tmp_path / "nowhere")}
    for kind, name in (("depth", "depth_anything"), ("segmentation", "segmenter")):
        content["control"][kind] = {"name": name, "weights": nowhere}
        with pytest.raises(ViddaError, match=rf"{kind}\.weights: .*nowhere: no such folder"):
            load(config(content), device="cpu")
        with pytest.raises(ViddaError, match="nowhere: no such folder"):
            start(content, dry_run=True)
        content["control"][kind] = {"name": "sidecar"}
    assert isinstance(load(config(content), device="cpu"), ClipTranslator)
