"""A recognizer of poses through every command, on clips of stick figures."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained import checkpoint

import vidda
from tests.recognize.stick_figures import CLASSES, write_figures
from tests.recognize.test_train import assert_same_run, metrics
from tests.sidecars import rendered, write_clip
from vidda.cli import main
from vidda.control.control_config import Smoothing
from vidda.control.mmpose_estimator import MMPoseConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.saved_predictions import load_predictions
from vidda.errors import ViddaError
from vidda.recognize.pose_tracks import PoseReader, PoseTrack
from vidda.recognize.saved_recognizer import load_model
from vidda.types import Manifest
from vidda.video import VideoError

CAMERAS = {"cameras": {"azimuth": 20, "elevation": [0, 20], "distance": [4, 8]}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests `train`, `val` and `test`, each with its videos."""
    folder = tmp_path_factory.mktemp("figures")
    for seed, (name, count) in enumerate({"train": 24, "val": 6, "test": 12}.items()):
        write_figures(folder / name, count, seed=seed)
    return folder


def config(data: Path, run: Path, **changes: Any) -> str:
    """A config file of `vidda train`. data: holds the manifests."""
    model = {"name": "pose", "width": 16, "heads": 2, "layers": 1, **changes.pop("model", {})}
    content: dict[str, Any] = {
        "run": str(run),
        "train": [str(data / "train" / "manifest.csv")],
        "val": str(data / "val" / "manifest.csv"),
        "model": model,
        "sampling": {"name": "uniform", "frames": 4},
        "test_sampling": {"name": "uniform", "frames": 4, "jitter": False},
        "epochs": 12,
        "batch_size": 8,
        "optimizer": {"name": "adamw", "lr": 5e-3},
        "workers": 0,
        "device": "cpu",
        "log_every": 1,
        **changes,
    }
    file = run.with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return str(file)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", config(data, run, model={"augment": CAMERAS})]) == 0
    return run


def refused(command: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main([command, *arguments]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    return line


def test_it_learns_and_is_evaluated(data: Path, trained: Path) -> None:
    test = data / "test" / "manifest.csv"
    out = trained.parent / "evaluated"
    keys = [f"model={trained}", f"manifest={test}", f"out={out}", "device=cpu", "workers=0"]
    assert main(["evaluate", *keys]) == 0
    measured = json.loads((out / "metrics.json").read_text())
    assert measured["accuracy"] > 0.9
    assert load_model(trained)[1].classes == CLASSES


def test_predictions_of_files_windows_and_python(
    data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "whole.csv"
    folder = data / "test"
    assert main(["predict", str(trained), str(folder), f"out={out}", "workers=0"]) == 0
    assert len(out.read_text().splitlines()) == 13
    windows = ["window=3", "unit=frames", f"out={tmp_path / 'windows.csv'}"]
    assert main(["predict", str(trained), str(folder / "2.mp4"), *windows]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-4:][0].count("Up") == 1, "the third clip, window by window"
    predictor = vidda.recognize.load(trained, device="cpu")
    assert predictor.predict(folder / "2.mp4").names == ("Up",)
    with pytest.raises(
        ViddaError, match=r"clip 0: frames have no sidecar .* poses\.name=blazepose"
    ):
        predictor.predict(np.zeros((6, 32, 32, 3), np.uint8))


def test_several_windows_of_a_clip_are_averaged(data: Path, trained: Path) -> None:
    one, two = (
        vidda.recognize.load(trained, device="cpu", clips=clips, stride=1).predict(
            data / "test" / "0.mp4"
        )
        for clips in (1, 3)
    )
    assert two.logits.shape == one.logits.shape == (1, 3)
    assert not np.array_equal(one.logits, two.logits)


@pytest.mark.slow
def test_an_exported_model_says_what_it_takes(
    data: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for clip in ([], [f"clip={data / 'test' / '1.mp4'}"]):
        assert main(["export", str(trained), "onnx", *clip]) == 0
        session = ort.InferenceSession(trained / "model.onnx")
        (given,) = session.get_inputs()
        assert (given.name, given.shape) == ("poses", ["batch", 4, 17, 3])
        facts = session.get_modelmeta().custom_metadata_map
        assert "middle of the hips" in facts["vidda.normalization"]
        assert json.loads(facts["vidda.joints"])[0] == "nose"
        (trained / "model.onnx").unlink()


@pytest.mark.parametrize(
    "method", ["dan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("coral", "mcc"))]
)
def test_it_adapts_by_methods_on_features(data: Path, tmp_path: Path, method: str) -> None:
    run = tmp_path / "run"
    file = config(data, run, epochs=2, model={"augment": CAMERAS}, method={"name": method})
    assert main(["adapt", file, f"target={data / 'test' / 'manifest.csv'}"]) == 0
    found = load_predictions(run / "predictions" / "target" / "epoch_001.npz").predictions
    assert found.labels is None and found.logits.shape == (12, 3)


def test_photographs_are_clips_of_one_frame(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_figures(tmp_path / "photos", 9, frames=1, seed=5)
    run = tmp_path / "run"
    watch = {"photos": str(tmp_path / "photos" / "manifest.csv")}
    one = {"name": "uniform", "frames": 1}
    assert main(["train", config(data, run, sampling=one, test_sampling=one, watch=watch)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert float(line.split()[2].rstrip("%")) > 85 and "of 9 clips" in line


@pytest.mark.slow
def test_workers_and_a_second_run_change_nothing(data: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"epochs": 2, "repeats": 2, "model": {"augment": CAMERAS}}
    assert main(["train", config(data, tmp_path / "one", **keys)]) == 0
    assert main(["train", config(data, tmp_path / "two", workers=2, **keys)]) == 0
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_augmentation_has_an_effect_on_training_alone(data: Path, tmp_path: Path) -> None:
    losses = []
    for name, augment in (("none", None), ("default", {}), ("cameras", CAMERAS)):
        run = tmp_path / name
        assert main(["train", config(data, run, epochs=1, model={"augment": augment})]) == 0
        losses.append(next(line["train/loss"] for line in metrics(run) if "train/loss" in line))
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform": {"size": 64}}, "transform: pose takes poses, not pixels; leave it out"),
        ({"transform": {"color_jitter": {}}}, "transform: pose takes poses, not pixels"),
        ({"mixup": 0.4}, "mixup, cutmix: pose takes poses, which do not mix; set both to 0"),
        ({"model": {"width": 30, "heads": 4}}, "width 30 is not a multiple of 2 and of heads 4"),
        ({"method": {"name": "adamatch"}}, "adamatch works on frames, but pose takes poses"),
        ({"frozen": "F", "method": {"name": "dan"}}, "frozen: pose is small, and augments poses"),
    ],
)
def test_keys_that_need_pixels_are_refused_in_one_line(
    data: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = config(data, tmp_path / "run", **changes)
    adapted = [f"target={data / 'test' / 'manifest.csv'}"] if "method" in changes else []
    command = "adapt" if adapted else "train"
    assert message in refused(command, file, *adapted, capsys=capsys)
    assert not (tmp_path / "run").exists()


def test_crops_and_poses_are_refused_where_they_do_not_fit(
    data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(data / "test" / "0.mp4")
    found = refused("predict", str(trained), clip, "crops=3", capsys=capsys)
    assert "crops=3: pose takes poses, which are not cropped" in found
    frames = checkpoint(tmp_path / "frames")
    found = refused("predict", str(frames), clip, "poses.name=sidecar", capsys=capsys)
    assert "poses: biconvlstm takes frames, not poses; leave it out" in found


def test_predictions_take_another_source_of_poses(
    data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = shutil.copy(data / "test" / "0.mp4", tmp_path)
    assert main(["predict", str(trained), clip]) == 1
    assert "has no sidecar" in capsys.readouterr().err
    pose = "poses={name: mmpose, model: no.json, weights: no.safetensors}"
    assert "no.json" in refused("predict", str(trained), clip, pose, capsys=capsys)


@pytest.fixture
def bare(data: Path, tmp_path: Path) -> Path:
    """The same data, in which one training clip has no sidecar."""
    copy = tmp_path / "bare"
    shutil.copytree(data, copy)
    for name in ("train", "val", "test"):
        file = copy / name / "manifest.csv"
        file.write_text(file.read_text().replace(str(data), str(copy)))
    (copy / "train" / "sidecar" / "4.npz").unlink()
    return copy


def test_a_clip_without_sidecar_is_one_line_with_the_remedy(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused("train", config(bare, tmp_path / "run"), capsys=capsys)
    assert "clip 'Sideways/4' has no sidecar" in line
    assert "poses.name=mmpose, onnx, blazepose or vitpose (model.poses.name" in line


def test_clips_without_sidecars_can_be_skipped(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config(bare, tmp_path / "run", epochs=1, on_error="skip")
    assert main(["train", file]) == 0
    shown = capsys.readouterr().err
    assert "skipped clip 'Sideways/4' (1 of 24 clips so far)" in shown


def test_random_cameras_need_joints_in_3d(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sidecar = bare / "train" / "sidecar" / "4.npz"
    with np.load(bare / "train" / "sidecar" / "3.npz") as content:
        np.savez(sidecar, keypoints=content["keypoints"])
    file = config(bare, tmp_path / "run", model={"augment": CAMERAS})
    line = refused("train", file, capsys=capsys)
    assert f"{sidecar}: has no array 'keypoints_3d' for random cameras" in line
    assert "set model.augment.cameras=null" in line


def test_of_several_people_the_largest_is_followed(tmp_path: Path) -> None:
    manifest = write_figures(tmp_path, 1)
    sidecar = tmp_path / "sidecar" / "0.npz"
    with np.load(sidecar) as content:
        one = content["keypoints"]
    small = one * [0.3, 0.3, 1] + [40, 40, 0]
    both = np.stack([small, one], axis=1)
    both[3] = both[3, ::-1]  # the order of people may change
    np.savez(sidecar, keypoints=both.astype(np.float32))
    reader = PoseReader(SidecarPosesConfig(), None, 0.3)
    track = reader.read(manifest.clips[0], manifest.root)
    np.testing.assert_allclose(track.keypoints, one[..., :2], atol=1e-4)


def test_a_clip_of_nobody_is_recognized_and_reported(
    data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_figures(tmp_path, 3)
    with np.load(tmp_path / "sidecar" / "1.npz") as content:
        np.savez(tmp_path / "sidecar" / "1.npz", keypoints=0 * content["keypoints"])
    out = tmp_path / "all.csv"
    assert main(["predict", str(trained), str(tmp_path), f"out={out}", "workers=0"]) == 0
    assert len(out.read_text().splitlines()) == 4
    assert "note: nobody is found in 1 of 3 clips" in capsys.readouterr().err


BUILTIN = MMPoseConfig(
    model=Path("builtin:mini_pose/model.json"),
    weights=Path("builtin:mini_pose/weights.safetensors"),
)


@pytest.mark.parametrize("content", [None, b"no video"])
def test_a_video_that_cannot_be_read_is_skipped_before_an_estimator_is_loaded(
    tmp_path: Path, content: bytes | None
) -> None:
    manifest = write_figures(tmp_path, 1)
    video = tmp_path / "0.mp4"
    video.unlink()
    if content:
        video.write_bytes(content)
    reader = PoseReader(BUILTIN, Smoothing(), 0.3, cache=tmp_path / "cache")
    (fault,) = reader.read_all(manifest, skip=True)
    assert isinstance(fault, str) and str(video) in fault
    with pytest.raises(VideoError):
        reader.read_all(manifest, skip=False)


@pytest.mark.slow
def test_poses_are_estimated_once(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, rendered(frames=3, size=112))
    manifest = Manifest(tmp_path, CLASSES, (clip,))
    fresh, cached = (
        PoseReader(BUILTIN, Smoothing(), 0.3, cache=tmp_path / "cache").read_all(
            manifest, skip=False
        )
        for _ in range(2)
    )
    assert isinstance(fresh[0], PoseTrack) and isinstance(cached[0], PoseTrack)
    np.testing.assert_array_equal(fresh[0].keypoints, cached[0].keypoints)
    (file,) = (tmp_path / "cache").rglob("*.npz")
    with np.load(file) as content:
        np.savez_compressed(file, keypoints=content["keypoints"] + 1, scores=content["scores"])
    reader = PoseReader(BUILTIN, Smoothing(), 0.3, cache=tmp_path / "cache")
    again = reader.read(clip, tmp_path)
    np.testing.assert_allclose(again.keypoints, fresh[0].keypoints + 1, atol=1e-3)
    (tmp_path / clip.path).write_bytes((tmp_path / clip.path).read_bytes() + b"\0")
    renewed = reader.read(clip, tmp_path)
    np.testing.assert_array_equal(renewed.keypoints, fresh[0].keypoints)
