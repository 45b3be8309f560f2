"""What every method keeps: finite losses, weights that move, no target labels, exact resume."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.adapt.tiny_adapt import (
    METHODS,
    adapt,
    adapt_config,
    assert_same_run,
    interrupted_at,
    metrics,
    state,
    write_clips,
)
from tests.tiny import BICONVLSTM, VIDEOMAE, train_config
from vidda import config
from vidda.adapt.adapt_config import AdaptConfig, load_adapt_data
from vidda.cli import main
from vidda.data import load_manifest
from vidda.data.dataset import Clip, ClipDataset
from vidda.data.loader import ClipLoader
from vidda.data.manifest import save_manifest
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.recognize.infer import infer
from vidda.recognize.saved_recognizer import load_model

SOURCE_FREE = {"atcon", "vitta"}
FROZEN_HEAD = {"atcon"}
MODELS = {"biconvlstm": BICONVLSTM, "videomae": VIDEOMAE}
QUICK = {"source_only", "dann", "mic", "vitta"}
"""One of each kind with the quicker model; the others are in the slow part."""
PAIRS = [
    pytest.param(name, model, marks=[] if quick else pytest.mark.slow)
    for name in METHODS
    for model in MODELS
    for quick in [name in QUICK and model == "biconvlstm"]
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("data"))


def source_free(data: Path, folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """The config of such a method: a trained run, and source clips without their files."""
    start = folder / "start"
    assert main(["train", str(train_config(data, start, epochs=1, model=model))]) == 0
    manifest = load_manifest(data / "train.csv")
    gone = [replace(clip, path=f"gone/{clip.path}") for clip in manifest.clips]
    save_manifest(replace(manifest, clips=tuple(gone)), data / "gone.csv")
    sizes = {"target_batch_size": 5}
    return {"start": str(start), "train": [str(data / "gone.csv")], **sizes}


@pytest.mark.parametrize(("name", "model"), PAIRS)
def test_a_method_trains_without_target_labels_and_resumes_exactly(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, model: str
) -> None:
    """The second run reads other target labels, and is stopped in the middle of an epoch."""
    alone = name in SOURCE_FREE
    common = {"model": MODELS[model], "save_every": 1}
    if alone:
        common |= source_free(data, tmp_path, MODELS[model])
        if name == "vitta":  # it looks at the source once
            common["train"] = [str(data / "train.csv")]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert adapt(adapt_config(data, whole, name, **common)) == 0
    file = adapt_config(data, stopped, name, target=str(data / "shuffled.csv"), **common)
    with monkeypatch.context() as patch:
        interrupted_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            adapt(file)
    assert not (stopped / "DONE").exists()
    assert adapt(file, resume=True) == 0
    assert_same_run(whole, stopped)

    steps = [line for line in metrics(whole) if "epoch/epoch" not in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4]
    assert all(line.keys() == steps[0].keys() for line in steps)
    assert np.isfinite([list(line.values()) for line in steps]).all()
    learned = state(whole, "model")
    torch.manual_seed(0)
    checked = config.load(AdaptConfig, file)
    new = checked.model.build(3)
    if alone:
        new = load_model(tmp_path / "start")[0]
    moved = {n for n, p in new.named_parameters() if not torch.equal(p.detach(), learned[n])}
    every = {name for name, _ in new.named_parameters()}
    stays = "classifier." if name in FROZEN_HEAD else "none"
    assert moved == {n for n in every if not n.startswith(stays)}
    assert load_model(whole)[0].classes == 3


def test_what_a_method_learns_besides_the_model_moves(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert adapt(adapt_config(data, run, "dann", epochs=1, save_every=1, keep=9)) == 0
    first, last = (
        load_file(run / "checkpoints" / step / "method.safetensors")
        for step in ("000001", "000002")
    )
    assert first.keys() == last.keys() and len(first) > 5
    assert all(not torch.equal(first[key], last[key]) for key in first)


def test_source_only_is_plain_training(data: Path, tmp_path: Path) -> None:
    plain, adapted = tmp_path / "plain", tmp_path / "adapted"
    assert main(["train", str(train_config(data, plain))]) == 0
    same = {"train": [str(data / "train.csv")], "batch_size": 4}
    assert adapt(adapt_config(data, adapted, "source_only", **same)) == 0
    for one, other in zip(metrics(plain), metrics(adapted), strict=True):
        # Only where there is a target are there scores of it.
        assert one == {k: v for k, v in other.items() if not k.startswith("epoch/score_")}


def test_the_labels_of_the_target_are_not_even_in_memory(data: Path, tmp_path: Path) -> None:
    file = adapt_config(data, tmp_path / "run", "mcc")
    found = load_adapt_data(config.load(AdaptConfig, file))
    assert {clip.label for clip in found.target.clips} == {None}
    assert {clip.label for clip in found.watch["target"].clips} == {None}


def test_the_target_is_predicted_after_each_epoch(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert adapt(adapt_config(data, run, "coral", epochs=2)) == 0
    files = sorted((run / "predictions" / "target").iterdir())
    assert [file.name for file in files] == ["epoch_000.npz", "epoch_001.npz"]


def test_parts_of_a_batch_and_averaged_weights_work_with_a_target(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = {"accumulate": 2, "ema": 0.9, "mixup": 0.2, "epochs": 1}
    assert adapt(adapt_config(data, run, "mcc", **options)) == 0
    assert all(
        np.isfinite(line["train/confusion"]) for line in metrics(run) if "train/loss" in line
    )


def test_it_begins_from_a_trained_run(data: Path, tmp_path: Path) -> None:
    trained, run = tmp_path / "trained", tmp_path / "run"
    assert main(["train", str(train_config(data, trained, epochs=1))]) == 0
    slow = {"optimizer": {"name": "sgd", "lr": 1e-12}, "epochs": 1, "start": str(trained)}
    assert adapt(adapt_config(data, run, "dan", **slow)) == 0
    before, after = load_model(trained)[0], load_model(run)[0]
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-6, rtol=1e-6)
    wrong = adapt_config(data, tmp_path / "wrong", "dan", start=str(trained), model=VIDEOMAE)
    with pytest.raises(ViddaError, match="not the weights of this model"):
        adapt(wrong)


def test_every_mistake_is_reported_before_training(data: Path, tmp_path: Path) -> None:
    one = {"train": [str(data / "train.csv")]}
    cases: list[tuple[str, dict[str, Any], str]] = [
        (
            "mcc",
            {"target_batch_size": 7, "accumulate": 2},
            "target_batch_size: 7 is not a multiple",
        ),
        ("mcc", {"watch": {"target": str(data / "val.csv")}}, "watch.target"),
        ("mcc", {"batch_size": 1000}, "batch_size: 1000 is more than"),
        ("mic", {"method": {"name": "mic"}}, "method.block: 64"),
        ("feature_similarity", one, "no clip is the translation of another"),
        ("feature_similarity", {"mixup": 0.3}, "a mixed clip has no translation"),
        ("atcon", {}, "start: atcon starts from a recognizer"),
        ("atcon", {"target_batch_size": 99}, "target_batch_size: 99 is more than the 10 clips"),
    ]
    for number, (name, changes, text) in enumerate(cases):
        place = tmp_path / f"bad{number}"
        with pytest.raises(ViddaError, match=text):
            adapt(adapt_config(data, place, name, **changes))
        assert not place.exists()
    assert adapt(adapt_config(data, tmp_path / "dry", "mcc"), dry_run=True) == 0
    assert not (tmp_path / "dry").exists()


def test_outputs_before_an_epoch_are_those_of_testing(data: Path, tmp_path: Path) -> None:
    file = adapt_config(data, tmp_path / "run", "mcc")
    checked = config.load(AdaptConfig, file)
    target = load_adapt_data(checked).target
    dataset = ClipDataset(target, checked.test_sampling, checked.test_transform)
    loader = ClipLoader(dataset, 4)
    torch.manual_seed(0)
    model = checked.model.build(3)
    outputs = infer(model, loader, torch.device("cpu"), "fp32")
    assert outputs.features.shape == (10, model.feature_dim)
    assert outputs.ids == tuple(clip.id for clip in target.clips)
    torch.testing.assert_close(model.classifier(outputs.features).detach(), outputs.logits)


def test_features_of_each_epoch_are_kept_on_request(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert adapt(adapt_config(data, run, "mcc", features=True, ema=0.5)) == 0
    for name, clips in (("val", 6), ("target", 10)):
        with np.load(run / "features" / name / "epoch_001.npz", allow_pickle=False) as kept:
            assert kept["ids"].shape == (clips,) and kept["weight"].shape[0] == 3
            found = load_predictions(run / "predictions" / name / "epoch_001.npz").predictions
            assert kept["ids"].tolist() == list(found.ids)
            assert np.array_equal(kept["logits"], found.logits)
            plain = kept["features"] @ kept["weight"].T
            spread = kept["logits"] - plain
            np.testing.assert_allclose(spread, spread[:1].repeat(clips, 0), atol=1e-4)


def test_features_and_predictions_agree_for_several_views(data: Path, tmp_path: Path) -> None:
    run, views = tmp_path / "run", {"name": "views", "frames": 4, "stride": 1, "clips": 3}
    options = {"test_sampling": views, "features": True, "epochs": 1}
    assert adapt(adapt_config(data, run, "mcc", **options)) == 0
    for name in ("val", "target"):
        found = load_predictions(run / "predictions" / name / "epoch_000.npz").predictions
        with np.load(run / "features" / name / "epoch_000.npz", allow_pickle=False) as kept:
            assert kept["ids"].tolist() == list(found.ids)
            assert np.array_equal(kept["logits"], found.logits)
        # As probabilities: their logarithm is normalized.
        np.testing.assert_allclose(np.exp(found.logits).sum(1), 1, atol=1e-5)


def test_clips_are_decoded_once_an_epoch_for_predictions_and_features(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[str] = Counter()
    read = ClipDataset.__getitem__

    def counted(dataset: ClipDataset, item: int) -> Clip:
        if not dataset.sampling.random:  # as in testing
            decoded[dataset.manifest.clips[item].id] += 1
        return read(dataset, item)

    monkeypatch.setattr(ClipDataset, "__getitem__", counted)
    watch = {"own": str(data / "train.csv")}
    options = {"features": True, "select": "transfer_score", "watch": watch}
    assert adapt(adapt_config(data, tmp_path / "run", "mcc", **options)) == 0
    clips = [
        c.id
        for name in ("val", "target", "train")
        for c in load_manifest(data / f"{name}.csv").clips
    ]
    assert decoded == dict.fromkeys(clips, 2)


def test_a_target_clip_that_cannot_be_read_is_absent_from_all_that_is_saved(
    data: Path, tmp_path: Path
) -> None:
    start, run = tmp_path / "start", tmp_path / "run"
    assert main(["train", str(train_config(data, start, epochs=1))]) == 0
    manifest = load_manifest(data / "target.csv")
    gone = replace(manifest.clips[3], path="gone.mp4")
    clips = (*manifest.clips[:3], gone, *manifest.clips[4:])
    save_manifest(replace(manifest, clips=clips), data / "torn.csv")
    options = {"start": str(start), "target_batch_size": 5, "features": True, "on_error": "skip"}
    file = adapt_config(data, run, "atcon", target=str(data / "torn.csv"), **options)
    assert adapt(file) == 0
    kept = [clip.id for clip in clips if clip is not gone]
    found = load_predictions(run / "predictions" / "target" / "epoch_001.npz").predictions
    assert list(found.ids) == kept
    with np.load(run / "features" / "target" / "epoch_001.npz", allow_pickle=False) as saved:
        assert saved["ids"].tolist() == kept and len(saved["features"]) == len(kept)
    assert state(run, "method")["labels"].shape == (10,)


def test_a_trained_recognizer_can_be_the_teacher(data: Path, tmp_path: Path) -> None:
    teacher, run = tmp_path / "teacher", tmp_path / "run"
    assert main(["train", str(train_config(data, teacher, epochs=1, model=VIDEOMAE))]) == 0
    method = {"name": "unite", "block": 8, "teacher": str(teacher)}
    assert adapt(adapt_config(data, run, "unite", method=method, epochs=1)) == 0
    kept, before = state(run, "method"), load_model(teacher)[0].state_dict()
    assert all(torch.equal(kept[f"given.{name}"], value) for name, value in before.items())
    width = before["classifier.weight"].shape[1]
    assert kept["projection.weight"].shape[0] == width
