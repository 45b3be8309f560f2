"""Test-time adaptation: statistics of norm layers, and answers clip by clip."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from tests.adapt.tiny_adapt import adapt, adapt_config, write_clips
from tests.tiny import BICONVLSTM, VIDEOMAE, train_config
from vidda import config
from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.joint import MethodSettings
from vidda.adapt.norm_statistics import (
    load_statistics,
    norm_layers,
    tally_statistics,
    weights_digest,
)
from vidda.adapt.vitta import Vitta, VittaConfig
from vidda.cli import main
from vidda.data import load_manifest
from vidda.data.manifest import save_manifest
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.recognize.biconvlstm import BiConvLstmConfig
from vidda.recognize.infer import infer
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.method import SourceBatch, Supervised, TargetBatch
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.videomae import VideoMaeConfig

STREAM = {
    "batch_size": 4,
    "target_batch_size": 1,
    "epochs": 1,
    "optimizer": {"name": "sgd", "lr": 1e-3},
    "schedule": {"name": "constant"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, and `start`, which was trained on some of them."""
    folder = write_clips(tmp_path_factory.mktemp("data"))
    assert main(["train", str(train_config(folder, folder / "start", epochs=1))]) == 0
    return folder


def stream(data: Path, place: Path, **changes: Any) -> Path:
    options = {"start": str(data / "start"), "train": [str(data / "train.csv")], **STREAM}
    return adapt_config(data, place, "vitta", **(options | changes))


def tiny(name: str) -> Recognizer:
    torch.manual_seed(0)
    if name == "biconvlstm":
        return BiConvLstmConfig.model_validate(BICONVLSTM).build(3)
    return VideoMaeConfig.model_validate(VIDEOMAE).build(3)


@pytest.mark.parametrize("name", ["biconvlstm", "videomae"])
def test_the_statistics_are_those_of_each_clip(name: str) -> None:
    model = tiny(name).eval()
    video = torch.randn(3, 3, 8, 32, 32)
    layers, seen = norm_layers(model), {}
    for layer in layers:
        module = model.get_submodule(layer)
        keep = lambda m, i, out, layer=layer: seen.update({layer: out.clone()})  # noqa: E731
        module.register_forward_hook(keep)
    with torch.no_grad(), tally_statistics(model, layers) as whole:
        model(video)
    moments = whole.averages()
    if name == "videomae":
        assert "fc_norm" in layers and "fc_norm" not in moments  # pooled: one place a clip
    assert len(moments) >= 3
    for layer, (mean, variance) in moments.items():
        out = seen[layer].numpy()
        clips = out.reshape(3, -1, *out.shape[1:])
        places = np.moveaxis(clips, -1 if name == "videomae" else 2, -1)
        places = places.reshape(3, -1, places.shape[-1])
        np.testing.assert_allclose(mean, places.mean(1).mean(0), atol=1e-5)
        np.testing.assert_allclose(variance, places.var(1).mean(0), atol=1e-5)
    with torch.no_grad(), tally_statistics(model, layers) as parts:
        model(video[:2])
        model(video[2:])
    for layer, both in parts.averages().items():
        torch.testing.assert_close(both.mean, moments[layer].mean, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(both.variance, moments[layer].variance, atol=1e-6, rtol=1e-4)


def begun(model: Recognizer, folder: Path, infer: Callable[[], Any], **options: Any) -> Vitta:
    settings = MethodSettings(32, 4, np.zeros(0, np.int64), False, False)
    method = VittaConfig(**options).build(model, Supervised(3, 0, 0, 0), settings)
    assert isinstance(method, Vitta)
    method.begin(model, folder, infer, lambda number: torch.zeros(len(number), 3))
    return method


@pytest.mark.parametrize("name", ["biconvlstm", "videomae"])
def test_nothing_is_left_to_do_on_the_source_itself_and_the_distance_falls_elsewhere(
    name: str, tmp_path: Path
) -> None:
    model = tiny(name).eval()
    clip = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        method = begun(model, tmp_path, lambda: model(clip))
    nothing = SourceBatch(
        clip[:0], torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    )

    def target(video: torch.Tensor) -> TargetBatch:
        return TargetBatch(video.repeat(2, 1, 1, 1, 1), torch.zeros(2, dtype=torch.int64))

    same = method.step(model, nothing, target(clip)).losses
    assert same["statistics"] < 1e-5 and same["views"] < 1e-6

    # With the whole weight on the clip at hand, or the average would lag behind the model.
    with torch.no_grad():
        method = begun(model, tmp_path, lambda: None, momentum=1.0)
    moved = clip * 0.5 + torch.linspace(0, 1, 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    found = []
    for _ in range(20):
        losses = method.step(model, nothing, target(moved)).losses
        optimizer.zero_grad()
        losses["statistics"].backward()
        optimizer.step()
        found.append(float(losses["statistics"].detach()))
    assert found[-1] < 0.7 * found[0]


def test_the_answers_are_the_models_right_after_each_step(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    still = {"optimizer": {"name": "sgd", "lr": 1e-12}}
    assert adapt(stream(data, run, **still)) == 0
    answers = load_predictions(run / "online" / "epoch_000.npz").predictions
    target = load_manifest(data / "target.csv")
    assert answers.ids == tuple(clip.id for clip in target.clips) and answers.labels is None
    model, card = load_model(data / "start")
    loader = InferenceConfig(workers=0).loader(card, target.unlabeled(), "error")
    plain = infer(model, loader, torch.device("cpu"), "fp32")
    np.testing.assert_allclose(answers.logits, plain.logits, atol=1e-4)

    moving = tmp_path / "moving"
    assert adapt(stream(data, moving)) == 0
    first = load_predictions(moving / "online" / "epoch_000.npz").predictions.logits
    last = load_predictions(moving / "predictions" / "target" / "epoch_000.npz").predictions.logits
    # The last clip of the stream was answered by the final weights, the others by earlier ones.
    same = np.isclose(first, last, atol=1e-6).all(1)
    assert same.sum() == 1 and not np.allclose(first, plain.logits, atol=1e-6)


def test_statistics_are_computed_once_and_belong_to_their_weights(
    data: Path, tmp_path: Path
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    assert adapt(stream(data, first)) == 0
    file = first / "statistics.safetensors"
    model = load_model(data / "start")[0]
    with safe_open(file, "pt") as content:
        assert content.metadata() == {"model": weights_digest(model)}
    layers = norm_layers(model)
    assert list(load_statistics(file, weights_digest(model), layers)) == layers
    # With them the source's clips are not opened.
    manifest = load_manifest(data / "train.csv")
    gone = tuple(replace(clip, path=f"gone/{clip.path}") for clip in manifest.clips)
    save_manifest(replace(manifest, clips=gone), data / "gone.csv")
    reuse = {
        "train": [str(data / "gone.csv")],
        "method": {"name": "vitta", "statistics": str(file)},
    }
    assert adapt(stream(data, again, **reuse)) == 0
    assert not (again / "statistics.safetensors").exists()
    one, other = (run / "online" / "epoch_000.npz" for run in (first, again))
    assert one.read_bytes() == other.read_bytes()

    other_start = tmp_path / "other"
    assert main(["train", str(train_config(data, other_start, epochs=1, seed=1))]) == 0
    wrong = stream(data, tmp_path / "wrong", **reuse, start=str(other_start))
    with pytest.raises(ViddaError, match="statistics of other weights"):
        adapt(wrong)
    file.write_bytes(b"nothing")
    with pytest.raises(ViddaError, match="not a statistics file"):
        adapt(stream(data, tmp_path / "damaged", **reuse))


def test_what_cannot_be_adapted_is_refused(data: Path, tmp_path: Path) -> None:
    missing = {"method": {"name": "vitta", "statistics": str(tmp_path / "none")}}
    with pytest.raises(ViddaError, match=r"method\.statistics: .* is not a file"):
        adapt(stream(data, tmp_path / "a", **missing))
    with pytest.raises(ViddaError, match="compile: ViTTA reads"):
        adapt(stream(data, tmp_path / "b", compile=True))
    checked = config.load(AdaptConfig, stream(data, tmp_path / "c"))
    assert checked.method.target_views == 2
    plain = nn.Sequential(nn.Linear(2, 2))
    with tally_statistics(plain, norm_layers(plain)) as tally:
        plain(torch.zeros(1, 2))
    assert tally.averages() == {}
