"""The benchmark of translation at tiny sizes: it runs, and counts operations without computing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tools.bench_translate import BUILTIN, main
from tools.translation_bench.jobs import HERE, job_keys, time_job, write_clips
from tools.translation_bench.memory import count_memory
from tools.translation_bench.networks import SIZES, random_models, write_models
from tools.translation_bench.sampling import count_teraflops, sampling_config
from vidda.config import load
from vidda.data import load_manifest
from vidda.translate.translate_config import TranslateConfig

TINY = replace(SIZES["tiny"], frames=3, steps=2)


def test_operations_are_counted_without_computing_them() -> None:
    config = sampling_config(TINY, "none", 3, compiled=False)
    step, decoding = count_teraflops(TINY, config)
    across = sampling_config(TINY, "first_previous", 3, compiled=False)
    chunks = sampling_config(TINY, "first_previous", 2, compiled=False)
    three = count_teraflops(TINY, across)[0]  # frames that each attends to
    # Of a clip of several chunks, control images are embedded in every step.
    assert step < three < 1.3 * step and three < count_teraflops(TINY, chunks)[0]
    models = random_models(TINY, torch.device("cpu"), torch.float32)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        models.vae.decode(torch.zeros(3, 4, 16, 16))
    # On the CPU PyTorch does not count the decoder's one layer of attention.
    assert decoding == pytest.approx(counter.get_total_flops() / 1e12, rel=0.1)


@pytest.mark.slow
def test_memory_at_stable_diffusions_sizes_fits_a_card_of_24_gb_at_any_length() -> None:
    """A GPU's allocator had 6.0 GiB in use at 16 frames, before anything was counted."""
    found = []
    for frames in (16, 48):
        size = replace(SIZES["sd15"], frames=frames)
        config = sampling_config(size, "first_previous", 16, compiled=False)
        found.append(count_memory(size, config, 4))
    (step, decoding), (longer, _) = found
    assert 5.9 < step < longer < 6.2 and decoding < step


@pytest.mark.parametrize("few", [False, True])
def test_the_keys_of_a_run_are_those_of_its_recipe(tmp_path: Path, few: bool) -> None:
    file, *keys = job_keys(HERE, tmp_path, "bf16", few=few)
    config = load(TranslateConfig, Path(file), keys)
    weights = config.backbone.weights
    paths = [weights.base.path, *(net.source.path for net in weights.controlnets)]  # type: ignore[union-attr]
    assert paths == [tmp_path, tmp_path / "controlnet_edges", tmp_path / "controlnet_pose"]
    assert (weights.vae is not None) == few and not weights.loras
    assert config.backbone.sampling.steps == (4 if few else 20)


@pytest.mark.slow
@pytest.mark.parametrize("few", [False, True])
def test_the_recipe_runs_with_models_of_random_weights(tmp_path: Path, few: bool) -> None:
    write_models(random_models(TINY, torch.device("cpu"), torch.float32), tmp_path / "models")
    manifest = write_clips(tmp_path / "source", 2, frames=3, pixels=64)
    keys = job_keys(HERE, tmp_path / "models", "fp32", few=few)
    keys += [f"input={manifest}", "size=64", "backbone.sampling.steps=2", "device=cpu"]
    assert time_job(HERE, keys, tmp_path / "out", 2).cpu > 0


@pytest.mark.slow
def test_sampling_is_timed_in_all_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--frames=3", "--steps=2", "--chunk=2", "--clips=0"]) == 0
    output = capsys.readouterr().out
    for part in ("none ", "first_previous ", "of none's time", "autoencoder", "diffusers'"):
        assert part in output, output


@pytest.mark.slow
def test_a_run_is_timed_between_its_first_clip_and_its_last(tmp_path: Path) -> None:
    manifest = write_clips(tmp_path / "source", 3, frames=3, pixels=64)
    assert len(load_manifest(manifest)) == 3
    keys = [BUILTIN, f"input={manifest}", "size=48", "backbone.sampling.steps=1", "device=cpu"]
    found = time_job(HERE, keys, tmp_path / "out", 3)
    assert found.seconds > 0 and found.cpu > 0 and found.idle is None
    results = sorted((tmp_path / "out" / "videos").rglob("*.json"))
    assert [json.loads(file.read_text())["id"] for file in results] == [
        f"clip/{number:03d}" for number in range(3)
    ]
