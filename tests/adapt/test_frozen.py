"""Methods on a frozen part of the model, whose output for each clip is computed once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.adapt.tiny_adapt import (
    adapt,
    adapt_config,
    assert_same_run,
    interrupted_at,
    metrics,
    write_clips,
)
from tests.tiny import BICONVLSTM, VIDEOMAE, train_config
from vidda import config
from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.frozen import StatesBatch, StatesDataset, compute_states, states_loader
from vidda.cli import main
from vidda.data import load_manifest
from vidda.data.dataset import ClipDataset
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.recognize.framewise import Framewise, FrozenHead
from vidda.recognize.infer import infer
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import load_model

STILL = VIDEOMAE | {"drop_path": 0}
MODELS = {"biconvlstm": BICONVLSTM, "videomae": STILL}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_clips(tmp_path_factory.mktemp("data"))
    for name, model in MODELS.items():
        file = train_config(folder, folder / name, epochs=1, model=model)
        assert main(["train", str(file)]) == 0
    return folder


def on_states(data: Path, place: Path, name: str, **changes: Any) -> Path:
    options = {"start": str(data / "biconvlstm"), "frozen": str(place.parent / "states")}
    return adapt_config(data, place, name, **(options | changes))


@pytest.mark.parametrize("name", ["dann", "transvae"])
def test_only_what_is_above_learns_and_the_saved_model_takes_clips(
    data: Path, tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    assert adapt(on_states(data, run, name)) == 0
    before, after = load_model(data / "biconvlstm")[0], load_model(run)[0]
    assert isinstance(after, Framewise)
    for (key, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.equal(old, new) == key.startswith(after.lower_prefixes), key
    model, card = load_model(run)
    best = json.loads((run / "selection.json").read_text())["selected"]
    for part in ("val", "target"):
        manifest = load_manifest(data / f"{part}.csv").unlabeled()
        seen = infer(
            model,
            InferenceConfig(workers=0).loader(card, manifest, "error"),
            torch.device("cpu"),
            "fp32",
        )
        kept = load_predictions(run / "predictions" / part / f"epoch_{best:03d}.npz").predictions
        assert kept.ids == seen.ids
        np.testing.assert_allclose(kept.logits, seen.logits, atol=1e-5)


def test_states_give_what_training_on_the_same_images_gives(data: Path, tmp_path: Path) -> None:
    """With a model that has no dropout and no batch norm below, and one view of each clip."""
    alike = {
        "model": STILL,
        "start": str(data / "videomae"),
        "sampling": {"name": "uniform", "frames": 8, "jitter": False},
        "transform": {"size": 32, "crop": {"name": "center_crop"}},
    }
    short, long = tmp_path / "short", tmp_path / "long"
    assert adapt(on_states(data, short, "coral", **alike)) == 0
    assert adapt(adapt_config(data, long, "coral", freeze=["videomae.*"], **alike)) == 0
    for first, second in zip(metrics(short), metrics(long), strict=True):
        assert first.keys() == second.keys()
        np.testing.assert_allclose(list(first.values()), list(second.values()), atol=1e-4)


@pytest.mark.parametrize("name", ["biconvlstm", "videomae"])
@pytest.mark.parametrize("workers", [0, 1])
def test_the_part_above_gives_the_whole_models_outputs_from_batches_of_states(
    data: Path, tmp_path: Path, name: str, workers: int
) -> None:
    trained = load_model(data / name)[0].eval()
    assert isinstance(trained, Framewise)
    options = {"model": MODELS[name], "start": str(data / name), "workers": workers}
    checked = config.load(AdaptConfig, on_states(data, tmp_path / "run", "mcc", **options))
    manifest = load_manifest(data / "val.csv")
    compute_states(checked, trained, manifest, torch.device("cpu"))
    loader = states_loader(checked, trained, manifest, 4, lambda epoch: np.arange(6))
    clips = ClipDataset(manifest, checked.test_sampling, checked.test_transform)
    head = FrozenHead(trained)
    for batch in loader.epoch(0):
        assert isinstance(batch, StatesBatch)
        items = [clips[n] for n in batch.number.tolist()]
        assert batch.label.tolist() == [item.label for item in items]
        video = torch.stack([item.video for item in items])
        with torch.no_grad():
            wanted, states = trained.framewise(video), trained.states(video)
            found, alone = head.framewise(batch.states), head(batch.states)
        assert batch.states.shape == states.shape  # in the model's own layout
        torch.testing.assert_close(batch.states, states)
        torch.testing.assert_close(found, wanted)
        assert all(torch.equal(a, b) for a, b in zip(alone, found.clip, strict=True))
    assert loader.dataset.manifest == manifest
    assert [key.removeprefix("model.") for key in head.state_dict()] == [*trained.state_dict()]


def test_states_are_computed_once_for_all_runs(data: Path, tmp_path: Path) -> None:
    file = on_states(data, tmp_path / "first", "coral")
    assert adapt(file) == 0
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "states").rglob("*.safetensors")}
    # 12 and 10 translated for training, 6 for validation, 10 of the target.
    assert len(kept) == 38
    lost, *others = sorted(kept)
    lost.unlink()
    assert adapt(on_states(data, tmp_path / "second", "mcc")) == 0
    now = {p: p.stat().st_mtime_ns for p in (tmp_path / "states").rglob("*.safetensors")}
    assert now.keys() == kept.keys() and all(now[p] == kept[p] for p in others)

    checked = config.load(AdaptConfig, file)
    model = load_model(data / "biconvlstm")[0]
    assert isinstance(model, Framewise)
    manifest = load_manifest(data / "val.csv")
    states = StatesDataset(checked, model, manifest)
    clip = states[3]
    assert clip.label == manifest.clips[3].label and clip.number == 3
    assert torch.equal(states[3 + 2 * len(manifest)].states, clip.states)
    other = StatesDataset(checked, load_model(tmp_path / "first")[0], manifest)
    assert other.folder == states.folder  # only the part above differs
    with torch.no_grad():
        next(model.lstm.parameters()).add_(1)
    assert StatesDataset(checked, model, manifest).folder != states.folder
    states.path(3).write_bytes(b"nothing")
    with pytest.raises(ViddaError, match=r"3\.safetensors: damaged"):
        states[3]


def test_damaged_states_are_reported_and_computed_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adapt(on_states(data, tmp_path / "first", "coral")) == 0
    files = sorted((tmp_path / "states").rglob("*.safetensors"))[:3]
    before = [file.read_bytes() for file in files]
    for file, content in zip(files, (before[0][:-1], b"", b"\xff" * 40), strict=True):
        file.write_bytes(content)
    capsys.readouterr()
    assert adapt(on_states(data, tmp_path / "second", "coral")) == 0
    assert_same_run(tmp_path / "first", tmp_path / "second")
    assert [file.read_bytes() for file in files] == before
    said = capsys.readouterr().err
    assert all(f"{file}: damaged" in said for file in files)


def test_a_run_on_states_resumes_exactly(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert adapt(on_states(data, whole, "dann", save_every=1)) == 0
    file = on_states(data, stopped, "dann", save_every=1)
    with monkeypatch.context() as patch:
        interrupted_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            adapt(file)
    assert adapt(file, resume=True) == 0
    assert_same_run(whole, stopped)


def test_what_needs_clips_is_refused(data: Path, tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("mic", {}, "frozen: mic works on the clips themselves"),
        ("vitta", {}, "frozen: vitta works on the clips themselves"),
        ("mcc", {"mixup": 0.2}, "these mix clips, not frozen features"),
        ("mcc", {"test_sampling": {"name": "views", "frames": 8}}, "one view of each clip"),
    ]
    for name, changes, text in cases:
        with pytest.raises(ViddaError, match=text):
            adapt(on_states(data, tmp_path / "run", name, **changes))
    other = {"model": {"name": "torchvision", "arch": "r3d_18"}, "start": None}
    with pytest.raises(ViddaError, match="frozen needs features of each time step"):
        adapt(on_states(data, tmp_path / "run", "mcc", **other), dry_run=True)
    assert not (tmp_path / "run").exists() and not (tmp_path / "states").exists()
