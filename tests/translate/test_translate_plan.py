"""What is found wrong with a translation before its first second of work."""

from pathlib import Path

import pytest

from tests.tiny_diffusion import write_embedding
from tests.translate.translations import CLASSES, SAMPLING, settings, start, without_pose
from vidda.data import load_manifest
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.translate.workload import disk_needs
from vidda.types import ClipRecord, Manifest


def test_a_dry_run_checks_everything_and_writes_nothing(
    models: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = settings(models, source, tmp_path / "run", cache=str(tmp_path / "cache"))
    assert start(content, dry_run=True) == 0
    output = capsys.readouterr().out
    assert "3 clips, 13 frames, of 3 clips in all" in output
    assert "2 steps, 4 passes of the UNet, 8 of ControlNets" in output and "disk" in output
    assert list(tmp_path.iterdir()) == []
    broken = without_pose(models, source, tmp_path / "run")
    broken |= {
        "prompt": {"template": "a {weather}"},
        "control": {"flow": None, "edges": None},
        "keep_if": {"min_pck": 0.5},
        "check_pose": {"name": "sidecar"},
        "camera": {"target": str(tmp_path / "none.csv")},
        "workers": 3,
    }
    broken["backbone"]["sampling"] = {"noise": {"name": "flow_warped"}}
    broken["backbone"]["weights"]["base"]["path"] = str(tmp_path / "nowhere")
    with pytest.raises(ViddaError) as raised:
        start(broken, dry_run=True)
    text = str(raised.value)
    for part in (
        "backbone.weights.controlnets.0 reads edges, but control.edges is null",
        "flow_warped needs control.flow",
        "check_pose.name: a sidecar holds the source's pose",
        "engine=processes",
        "template names {weather}",
        "no such folder; correct backbone.weights.base.path",
        "none.csv: no such manifest",
    ):
        assert part in text, part


def test_two_clips_for_one_place_are_refused(models: Path, source: Path, tmp_path: Path) -> None:
    manifest = load_manifest(source)
    twice = [ClipRecord(f"c{n}", manifest.clips[0].path, 0, "synthetic", "ground") for n in "ab"]
    save_manifest(Manifest(manifest.root, CLASSES, tuple(twice)), tmp_path / "twice.csv")
    with pytest.raises(ViddaError, match="clips 'ca' and 'cb' would both become"):
        start(settings(models, tmp_path / "twice.csv", tmp_path / "run"))


def test_prompts_that_are_too_long_are_named_with_their_class_and_length(
    models: Path, source: Path, tmp_path: Path
) -> None:
    """Also where a word of the prompt is several tokens, which an embedding taught."""
    write_embedding(tmp_path / "word", "<long>", 70, 0)
    content = settings(models, source, tmp_path / "run")
    content["backbone"]["weights"]["embeddings"] = [
        {"source": {"name": "folder", "path": str(tmp_path / "word")}}
    ]
    content["prompt"] = {
        "template": "a <long> {class}",
        "classes": {"Advance": "a", "Halt": "person person person person person", "Rally": "a"},
        "negative": "person " * 76,
    }
    with pytest.raises(ViddaError) as raised:
        start(content)
    of_clip, negative = str(raised.value).splitlines()
    assert of_clip.startswith(
        "clip 'clip/1' (class 'Halt'): its prompt has 76 tokens and 75 fit; shorten prompt.template"
    )
    assert negative.startswith("prompt.negative has 76 tokens and 75 fit; shorten 'person person")
    assert not (tmp_path / "run").exists()
    content["prompt"]["classes"]["Halt"] = "person person person person"
    content["prompt"]["negative"] = "person " * 75
    assert start(content, dry_run=True) == 0


def test_an_embedding_that_does_not_fit_is_reported_before_the_start(
    models: Path, source: Path, tmp_path: Path
) -> None:
    write_embedding(tmp_path / "word", "person</w>", 1, 0)
    content = settings(models, source, tmp_path / "run")
    content["backbone"]["weights"]["embeddings"] = [
        {"source": {"name": "folder", "path": str(tmp_path / "word")}}
    ]
    with pytest.raises(ViddaError, match="the word 'person</w>' is known already"):
        start(content, dry_run=True)


def test_steps_and_a_release_without_effect_are_refused(
    models: Path, source: Path, tmp_path: Path
) -> None:
    content = settings(models, source, tmp_path / "run")
    content["backbone"]["sampling"] = {**SAMPLING, "scheduler": {"name": "lcm"}, "steps": 60}
    with pytest.raises(ViddaError, match=r"sampling\.steps: LCMScheduler cannot take 60 .*correct"):
        start(content)
    content["backbone"]["sampling"] = {
        **SAMPLING,
        "steps": 10,
        "start": {"name": "image", "strength": 0.1},
        "keep_person": {"name": "latents", "release": 0.5},
    }
    with pytest.raises(ViddaError, match=r"release 0\.5: sampling begins at a deviation of 0\.0"):
        start(content)
    content["backbone"]["sampling"]["start"]["strength"] = 1.0
    assert start(content, dry_run=True) == 0
    assert not (tmp_path / "run").exists()


def test_the_cache_is_charged_to_its_own_disk(
    models: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.translate.translations import config

    def needed(**more: object) -> dict[Path, int]:
        return disk_needs(config(settings(models, source, tmp_path / "run", **more)), 3, 10**9)

    out = tmp_path / "run"
    ((place, plain),) = needed().items()
    beside = needed(cache=str(tmp_path / "cache"))
    assert place == out and beside.keys() == {out} and beside[out] >= plain + 10**9
    warped = {**SAMPLING, "noise": {"name": "flow_warped"}}
    more = needed(cache=str(tmp_path / "cache"), sampling=warped)
    assert more[out] >= beside[out] + 10**9  # a second flow is kept
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one disk")
    apart = needed(cache=str(other / "vidda"))
    assert apart == {out: plain, other / "vidda": beside[out] - plain}
    content = settings(models, source, out, cache=str(other / "vidda"))
    assert start(content, dry_run=True) == 0
    assert f"GiB in {other / 'vidda'}" in capsys.readouterr().out
    assert not (other / "vidda").exists()
