"""A trained recognizer called from Python: frames and files alike, and as vidda predict."""

import csv
from pathlib import Path

import numpy as np
import pytest
from trained import CLASSES, checkpoint, saved_manifest

import vidda
from vidda.cli import main
from vidda.data.frame_sampling import ViewsSampling
from vidda.errors import ViddaError
from vidda.recognize.predictor import Predictor, load
from vidda.types import Manifest
from vidda.video import VideoError, read


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "run")


@pytest.fixture
def clips(tmp_path: Path) -> Manifest:
    return saved_manifest(tmp_path, 4)[1]


def on_cpu(run: Path, **more: int) -> Predictor:
    return load(run, device="cpu", **more)  # type: ignore[arg-type]


def test_frames_files_and_manifests_are_predicted_alike(run: Path, clips: Manifest) -> None:
    predictor = on_cpu(run)
    paths = [clips.root / clip.path for clip in clips.clips]
    by_path = predictor.predict(paths)
    by_frames = predictor.predict([read(path) for path in paths])
    mixed = predictor.predict([read(paths[0]), str(paths[1])])
    tested = predictor.predict_clips(clips)
    assert by_path.ids == tuple(path.name for path in paths)
    assert by_frames.ids == ("0", "1", "2", "3") and mixed.ids == ("0", "1.mp4")
    assert tested.ids == tuple(clip.id for clip in clips.clips)
    for found in (by_frames, tested):
        assert found.logits == pytest.approx(by_path.logits, abs=1e-5)
    assert mixed.logits == pytest.approx(by_path.logits[:2], abs=1e-5)
    assert predictor.predict(clips.root).logits == pytest.approx(by_path.logits, abs=1e-5)
    assert by_path.classes == predictor.classes == CLASSES and len(by_path) == 4
    assert by_path.logits.dtype == np.float32 and len(set(by_path.names)) > 1
    assert by_path.probabilities.sum(1) == pytest.approx(np.ones(4))
    assert by_path.names == tuple(CLASSES[n] for n in by_path.probabilities.argmax(1))
    nothing = predictor.predict([])
    assert len(nothing) == 0 and nothing.logits.shape == (0, 3) and nothing.names == ()


def test_it_is_what_the_command_writes(run: Path, clips: Manifest, tmp_path: Path) -> None:
    views = {"clips": 3, "stride": 2, "crops": 3}
    keys = [f"{key}={value}" for key, value in views.items()]
    out = tmp_path / "out.csv"
    command = ["predict", str(run), str(clips.root), f"out={out}", "device=cpu", "workers=0"]
    assert main([*command, *keys]) == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    wanted = np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in rows])
    predictor = on_cpu(run, **views)
    found = predictor.predict([read(clips.root / row["clip"]) for row in rows])
    assert found.probabilities == pytest.approx(wanted, abs=2e-6)
    assert found.names == tuple(row["class"] for row in rows)
    once = on_cpu(run).predict(clips.root).probabilities
    assert np.abs(once - wanted).max() > 1e-4, "views change nothing here"


def test_frames_of_any_size_are_resized_as_reading_does(tmp_path: Path, clips: Manifest) -> None:
    run = checkpoint(tmp_path / "views", sampling=ViewsSampling(frames=4, stride=2, clips=2))
    path = clips.root / clips.clips[0].path
    predictor = on_cpu(run)
    wide = vidda.video.resize(read(path), (70, 110))
    assert wide.shape[1:3] == (70, 110)
    assert np.array_equal(vidda.video.resize(read(path), 32), read(path, size=32))
    assert predictor.predict(read(path)).logits == pytest.approx(
        predictor.predict(path).logits, abs=1e-5
    )
    assert predictor.predict(wide).logits.shape == (1, 3)


def test_what_cannot_be_predicted(run: Path, clips: Manifest, tmp_path: Path) -> None:
    predictor = on_cpu(run)
    frames = read(clips.root / clips.clips[0].path)
    for wrong in (frames[0], frames.astype(np.float32), frames[..., :1], frames[:0]):
        with pytest.raises(VideoError, match=r"clip 0: an array of .* \(T, H, W, 3\) uint8"):
            predictor.predict(wrong)
    with pytest.raises(ViddaError, match="no such file or folder"):
        predictor.predict(tmp_path / "none.mp4")
    (clips.root / clips.clips[1].path).write_bytes(b"")
    with pytest.raises(VideoError, match=r"1\.mp4"):
        predictor.predict_clips(clips)
    assert len(predictor.predict_clips(clips, on_error="skip")) == 3
    with pytest.raises(ViddaError, match="no trained recognizer"):
        on_cpu(tmp_path / "videos")
    with pytest.raises(ViddaError, match="crops: ") as raised:
        on_cpu(run, crops=2, batch_size=0)
    assert "batch_size: " in str(raised.value)
