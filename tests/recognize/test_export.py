"""`vidda export`: the ONNX file says what PyTorch says, or is not kept."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from trained import CLASSES, checkpoint, clip_files

from vidda.cli import main
from vidda.data.dataset import ClipDataset
from vidda.data.transforms import NORMALIZATIONS
from vidda.errors import ViddaError
from vidda.recognize import export
from vidda.recognize.biconvlstm import BiConvLstmConfig
from vidda.recognize.predict_job import find_clips
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.timm_frames import GruPoolingConfig, TimmFramesConfig
from vidda.recognize.videomae import VideoMaeConfig
from vidda.recognize.videomae_start import VideoMaeScratch

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def errors(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert main(["export", *map(str, arguments)]) == 2
    return [line.removeprefix("error: ") for line in capsys.readouterr().err.splitlines()]


def test_an_exported_model_gives_the_same_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = checkpoint(tmp_path / "run")
    clip_files(tmp_path / "videos", 3)
    assert main(["export", str(run), "onnx", "--dry-run"]) == 0
    assert not (run / "model.onnx").exists()
    real = f"clip={tmp_path / 'videos' / '1.mp4'}"
    capsys.readouterr()
    assert main(["export", str(run), "onnx", real]) == 0
    shown = capsys.readouterr().out
    assert "ONNX Runtime" in shown and "PyTorch" in shown and "largest difference" in shown
    assert [p.name for p in run.iterdir() if p.is_file()] == ["model.onnx"]

    session = ort.InferenceSession(run / "model.onnx")
    (given,), (got,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, got.name) == ("video", ["batch", 3, 4, 32, 32], "logits")
    facts = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert tuple(facts["vidda.classes"]) == CLASSES
    assert tuple(facts["vidda.mean"]) == NORMALIZATIONS["imagenet"][0]
    assert facts["vidda.sampling"] == {"name": "uniform", "frames": 4, "jitter": False}
    assert facts["vidda.transform"]["size"] == 32

    # A program that knows only the file and its metadata gives the logits that vidda gives.
    model, card = load_model(run)
    items = ClipDataset(find_clips(tmp_path / "videos"), card.sampling, card.transform)
    clips = torch.stack([items[n].video for n in range(3)])
    with torch.inference_mode():
        wanted = model(clips).logits.numpy()
    found = session.run(["logits"], {"video": clips.numpy()})[0]
    assert np.abs(found - wanted).max() < 1e-5
    assert errors(capsys, run, "onnx")[0].startswith(f"{run / 'model.onnx'} exists already")


@pytest.mark.parametrize("name", ["videomae", "differences", "timm"])
def test_other_models_take_batches_of_any_size(tmp_path: Path, name: str) -> None:
    start = VideoMaeScratch(patch=8, width=16, layers=2, heads=2, mlp=32)
    config = {
        "videomae": VideoMaeConfig(frames=4, size=16, start=start),
        "differences": BiConvLstmConfig(
            trunk={"name": "small", "widths": (4, 6)},
            input="both",
            standardize=True,
            hidden=4,
            head={"name": "flat", "grid": 2, "hidden": (8,)},
        ),
        "timm": TimmFramesConfig(arch="test_resnet", pooling=GruPoolingConfig(hidden=4)),
    }[name]
    model = export.Logits(config.build(3)).eval()
    file = tmp_path / "m.onnx"
    export.export(model, (3, 4, 16, 16), {}, file)
    difference = export.compare(model, export._session(file), torch.randn(2, 3, 4, 16, 16))
    assert 0 <= difference < 1e-5


class Scaled(nn.Module):
    """Adds an offset to the means of a clip."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return video.mean((2, 3, 4)) + self.offset


class Fixed(nn.Module):
    """Can be traced for one size of batch alone."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return video.reshape(len(video), 3, -1).mean(2)


class Strange(nn.Module):
    """Uses an operation that ONNX does not have."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return torch.special.airy_ai(video).mean((2, 3, 4))


def test_a_file_that_differs_is_an_error(tmp_path: Path) -> None:
    export.export(Scaled(0.0), (3, 2, 4, 4), {}, tmp_path / "a.onnx")
    session = export._session(tmp_path / "a.onnx")
    real = torch.randn(1, 3, 2, 4, 4)
    assert export.compare(Scaled(5e-5), session, real) == pytest.approx(5e-5, rel=0.1)
    with pytest.raises(ViddaError, match=r"differ from PyTorch's by 2\.0e-04.*no file is saved"):
        export.compare(Scaled(2e-4), session, real)
    with pytest.raises(ViddaError, match="by nan"):
        export.compare(Scaled(float("nan")), session, real)
    export.export(Fixed(), (3, 2, 4, 4), {}, tmp_path / "b.onnx")
    with pytest.raises(ViddaError, match="does not accept a batch of 1"):
        export.compare(Fixed(), export._session(tmp_path / "b.onnx"), real)


def test_a_failed_export_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = checkpoint(tmp_path / "run")
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    assert "no file is saved" in errors(capsys, run, "onnx")[0]
    assert [p.name for p in run.iterdir()] == ["checkpoints"]
    with pytest.raises(ViddaError) as caught:
        export.export(Strange(), (3, 2, 4, 4), {}, tmp_path / "c.onnx")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("this model cannot be exported to ONNX: ")


def test_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no trained recognizer" in errors(capsys, tmp_path, "onnx")[0]
    assert "format" in errors(capsys, tmp_path, "tflite")[0]
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    (line,) = errors(capsys, tmp_path, "onnx")
    assert line.startswith("export needs onnxscript: pip install")


def test_the_rendered_clip_is_a_clip_that_moves(tmp_path: Path) -> None:
    _, card = load_model(checkpoint(tmp_path / "run"))
    views = export.real_views(card, None)
    assert views.shape == (1, 3, 4, 32, 32)
    assert views.std() > 0.2 and views.diff(dim=2).abs().mean() > 0.01
