"""Where models of transformers come from, and what is refused, in a line that names the key."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.clips import moving
from tests.tiny_transformers import write_depth, write_detector, write_segmenter, write_vitpose
from vidda.control.depth import DepthAnythingConfig
from vidda.control.detr import DetrConfig
from vidda.control.segmenter import SegmenterConfig
from vidda.control.transformers_model import TransformersModelConfig
from vidda.control.vitpose import VitPoseConfig
from vidda.errors import ViddaError
from vidda.weights import Folder, Hub

KINDS: dict[str, tuple[type, Callable[[Path], Path]]] = {
    "pose": (VitPoseConfig, write_vitpose),
    "pose.boxes": (DetrConfig, write_detector),
    "depth": (DepthAnythingConfig, write_depth),
    "segmentation": (SegmenterConfig, write_segmenter),
}
every_kind = pytest.mark.parametrize("key", KINDS)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each kind, under its key."""
    folder = tmp_path_factory.mktemp("models")
    for key, (_, write) in KINDS.items():
        write(folder / key)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, value in (("HF_HUB_OFFLINE", "0"), ("https_proxy", "http://127.0.0.1:9")):
        monkeypatch.setenv(name, value)
    return tmp_path


def refusal(config: TransformersModelConfig) -> str:
    with pytest.raises(ViddaError) as error:
        config.build()  # type: ignore[attr-defined]
    assert "\n" not in str(error.value)
    return str(error.value)


def config_of(key: str, path: Path) -> TransformersModelConfig:
    config: TransformersModelConfig = KINDS[key][0](weights=Folder(path=path), device="cpu")
    return config


@every_kind
def test_nothing_is_fetched_unasked(key: str, cache: Path) -> None:
    default = KINDS[key][0](device="cpu")
    assert refusal(default) == (
        f"{key}.weights: {default.weights.repo} is not in this machine's cache:"
        f" {key}.download=true fetches it"
    )
    asked = default.model_copy(update={"download": True})
    assert f"copy its folder to this machine and name it with {key}.weights.name=folder" in refusal(
        asked
    )


def test_a_hub_name_is_read_from_the_cache(disk: Path, cache: Path) -> None:
    snapshot = cache / "models--me--depth" / "snapshots" / "abc"
    shutil.copytree(disk / "depth", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    frames = moving(2, 45, 61)
    wanted = DepthAnythingConfig(weights=Folder(path=disk / "depth"), device="cpu")
    found = DepthAnythingConfig(weights=Hub(repo="me/depth"), device="cpu")
    np.testing.assert_array_equal(found.build().estimate(frames), wanted.build().estimate(frames))
    detector = DetrConfig(weights=Hub(repo="me/depth"), device="cpu")
    assert "holds a DepthAnythingForDepthEstimation" in refusal(detector)


@every_kind
def test_a_missing_folder_and_a_missing_device(key: str, disk: Path) -> None:
    assert refusal(config_of(key, disk / "none")) == (
        f"{key}.weights: {disk}/none: no such folder; correct {key}.weights.path"
    )
    config = config_of(key, disk / key).model_copy(update={"device": "mps:9"})
    assert refusal(config).startswith(f"{key}.device 'mps:9' is not on this machine")


@every_kind
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_or_damaged_file(key: str, file: str, disk: Path, tmp_path: Path) -> None:
    folder = tmp_path / key
    shutil.copytree(disk / key, folder)
    (folder / file).write_text("{damaged")
    assert refusal(config_of(key, folder)).startswith(f"{folder}: cannot be loaded (")
    (folder / file).unlink()
    assert refusal(config_of(key, folder)) == (
        f"{key}.weights: {folder}: no {file}; copy the folder again, or name another"
    )


@every_kind
def test_a_model_of_another_class(key: str, disk: Path) -> None:
    for other in KINDS.keys() - {key}:
        said = refusal(config_of(key, disk / other))
        assert said.startswith(f"{disk / other}: holds a ")
        assert f"; {key}.weights names a model for " in said


def test_a_pickle_is_named_and_not_read(disk: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(disk / "depth", tmp_path / "depth")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "(pytorch_model.bin is a pickle, which vidda does not load)" in refusal(
        config_of("depth", folder)
    )


def test_code_of_a_repository_is_not_run(disk: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(disk / "depth", tmp_path / "depth")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('it ran')")
    assert "cannot be loaded" in refusal(config_of("depth", folder))


def test_missing_weights_are_counted(disk: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(disk / "depth", tmp_path / "depth")
    state = load_file(folder / "model.safetensors")
    state = {name: weight for name, weight in state.items() if not name.startswith("head.")}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    said = refusal(config_of("depth", folder))
    assert "6 weights are missing (first head.conv1.bias); copy the folder again" in said


def test_half_precision_weights_are_read_in_float32(disk: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(disk / "depth", tmp_path / "depth")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    half = {name: weight.half() for name, weight in state.items()}
    save_file(half, folder / "model.fp16.safetensors", {"format": "pt"})
    source = Folder(path=folder, variant="fp16")
    found = DepthAnythingConfig(weights=source, device="cpu").build().estimate(moving(1, 45, 61))
    wanted = config_of("depth", disk / "depth").build().estimate(moving(1, 45, 61))  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-3)
    assert np.ptp(wanted) > 0.1
