"""Networks of timm on frames: the library's own outputs and depths, and every command with them."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file

from tests.adapt.tiny_adapt import adapt, adapt_config, write_clips
from tests.recognize.test_recognizers import refused
from tests.tiny import train_config
from vidda.cli import main
from vidda.data.saved_predictions import load_predictions
from vidda.recognize.recognizers import ModelConfig
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.timm_frames import TimmFramesConfig, TimmWeightsConfig
from vidda.weights import Folder, Hub

GRU = {"name": "timm", "arch": "test_resnet", "pooling": {"name": "gru", "hidden": 8}}


def timm_weights(path: Path) -> TimmWeightsConfig:
    return TimmWeightsConfig(source=Folder(path=path))


@pytest.mark.parametrize("arch", ["test_resnet", "test_vit", "test_efficientnet"])
@torch.no_grad()
def test_a_frame_network_is_timms_own(
    arch: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model(arch, num_classes=5).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    with caplog.at_level("INFO", logger="vidda"):
        ours = TimmFramesConfig(arch=arch, weights=timm_weights(tmp_path)).build(5).eval()
    assert "transform.normalize=" + ("imagenet" if "efficient" in arch else "half") in caplog.text
    ours.classifier.load_state_dict(theirs.get_classifier().state_dict())
    video = torch.randn(2, 3, 3, 160, 160)
    frames = torch.stack([theirs(video[:, :, t]) for t in range(3)])
    # The average of features has the average of logits.
    torch.testing.assert_close(ours(video).logits, frames.mean(0), rtol=1e-4, atol=1e-5)
    assert frames.std() > 1e-4


def test_depths_of_a_frame_network_are_timms_own() -> None:
    model = TimmFramesConfig(arch="vit_tiny_patch16_224").build(3)
    assert model.depth == 13  # the embedding, twelve blocks, the head
    assert model.depth_of("trunk.pos_embed") == model.depth_of("trunk.patch_embed.proj.bias") == 0
    assert model.depth_of("trunk.blocks.11.attn.qkv.weight") == model.depth_of("trunk.norm.bias")
    assert model.depth_of("classifier.bias") == 13


@torch.no_grad()
def test_a_gru_knows_the_order_of_frames_and_the_mean_does_not() -> None:
    torch.manual_seed(0)
    video = torch.randn(1, 3, 4, 32, 32)
    for pooling, differ in (({"name": "gru", "hidden": 8}, True), ({"name": "mean"}, False)):
        config = {"name": "timm", "arch": "test_resnet", "pooling": pooling}
        model = TypeAdapter(ModelConfig).validate_python(config).build(3).eval()
        backwards = model(video.flip(2)).logits
        assert torch.allclose(model(video).logits, backwards, atol=1e-6) is not differ


def test_a_frame_network_that_cannot_be_made(tmp_path: Path) -> None:
    for arch, reason in {
        "vit_smal_patch16_224": "'vit_smal_patch16_224'; did you mean vit_small_patch",
        "x": "timm has no architecture 'x'; timm.list_models() lists them",
        "hf-hub:timm/resnet18": "timm has no architecture 'hf-hub:timm/resnet18'; ",
        "resnet18.x": "Invalid pretrained tag (x) for resnet18. Leave the tag out: weights names",
    }.items():
        with pytest.raises(ValidationError) as caught:
            TimmFramesConfig(arch=arch)
        assert reason in str(caught.value)
    # Nothing is fetched unasked, and no pickle is read.
    hub = TimmWeightsConfig(source=Hub(repo="timm/resnet18.a1_in1k"))
    message = refused(lambda: TimmFramesConfig(weights=hub).build(3))
    assert "model.weights.source: timm/resnet18.a1_in1k is not in this machine's cache" in message
    assert message.endswith("model.weights.download=true fetches it")
    torch.save({}, tmp_path / "pytorch_model.bin")
    message = refused(lambda: TimmFramesConfig(weights=timm_weights(tmp_path)).build(3))
    assert "pytorch_model.bin is a pickle, which vidda does not load" in message
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "model.safetensors")
    message = refused(lambda: TimmFramesConfig(weights=timm_weights(tmp_path)).build(3))
    assert "not the weights of this model" in message


def test_it_trains_on_pretrained_frozen_frames_adapts_and_predicts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = timm.create_model("test_resnet")
    save_file(image.state_dict(), tmp_path / "image.safetensors")
    weights = {"source": {"name": "folder", "path": str(tmp_path / "image.safetensors")}}
    data = write_clips(tmp_path / "data")
    run, adapted = tmp_path / "run", tmp_path / "adapted"
    model = {**GRU, "weights": weights, "dropout": 0.1}
    options: dict[str, Any] = {"model": model, "freeze": ["trunk.*"], "layer_decay": 0.9}
    file = train_config(data, run, **options, epochs=1)
    assert main(["train", str(file)]) == 0
    trained, card = load_model(run)
    assert card.model == TimmFramesConfig.model_validate_json(json.dumps(GRU | {"dropout": 0.1}))
    kept = dict(image.named_parameters())
    assert all(torch.equal(p, kept[name]) for name, p in trained.trunk.named_parameters())
    # From what is stored of the frozen frames, by a method that needs features of time steps.
    ta3n = {"name": "ta3n", "width": 16, "bottleneck": 8, "segments": 3}
    stored = {
        "start": str(run),
        "frozen": str(tmp_path / "states"),
        "model": GRU,
    }
    assert adapt(adapt_config(data, adapted, "ta3n", method=ta3n, **stored, epochs=1)) == 0
    again = load_model(adapted)[0]
    assert all(torch.equal(p, kept[name]) for name, p in again.trunk.named_parameters())
    options = {"manifest": data / "val.csv", "model": adapted, "device": "cpu", "workers": 0}
    assert main(["evaluate", *(f"{name}={value}" for name, value in options.items())]) == 0
    (file,) = adapted.glob("evaluations/*/predictions.npz")
    assert load_predictions(file).predictions.logits.shape == (6, 3)
