"""The baseline of nearest poses, on stick figures."""

from pathlib import Path

import numpy as np
import pytest
from stick_figures import CLASSES, write_figures

from tools.nearest_poses import ClipPoses, main, predict, read_poses
from vidda.cli import main as vidda
from vidda.data.saved_predictions import load_predictions
from vidda.types import ClipRecord, Manifest


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Manifests of six rendered figures and of nine photographs."""
    write_figures(tmp_path / "train", 6)
    write_figures(tmp_path / "test", 9, frames=1, seed=1, domain="real")
    return str(tmp_path / "train" / "manifest.csv"), str(tmp_path / "test" / "manifest.csv")


def made(labels: list[int]) -> Manifest:
    """Clips without files."""
    clips = (ClipRecord(f"{n}", f"{n}.mp4", label, "", "") for n, label in enumerate(labels))
    return Manifest(Path(), CLASSES, tuple(clips))


def test_photographs_are_recognized_from_figures_and_measured_as_by_evaluate(
    tmp_path: Path, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nearest.npz"
    assert main([*files, "--neighbors", "3", "--out", str(out)]) == 0
    row = capsys.readouterr().out
    assert row == "| 3 nearest of 24 true poses | 100.0 [70.1, 100.0] | 100.0 |\n"
    saved = load_predictions(out)
    assert saved.predictions.labels is not None and saved.classes == CLASSES
    assert (saved.predictions.logits.argmax(1) == saved.predictions.labels).all()
    assert vidda(["evaluate", f"predictions={out}"]) == 0
    assert "accuracy 100.0% of 9 clips; 95% intervals: [70.1, 100.0]" in capsys.readouterr().out


def test_the_nearest_vote_and_a_tie_is_the_nearer_classes() -> None:
    known = ClipPoses(np.array([[0.0], [1.0], [2.0], [3.5], [9.0]]), np.array([0, 1, 2, 3, 4]))
    train, test = made([0, 1, 1, 2, 2]), made([0, 0, 0])
    asked = ClipPoses(np.array([[0.1], [9.0]]), np.array([0, 2]))
    one, three, four = (predict(train, known, test, asked, k).logits for k in (1, 3, 4))
    assert one.argmax(1).tolist()[::2] == [0, 2]
    assert three.argmax(1).tolist()[::2] == [1, 2]
    # Of the last one's neighbors two are of class 2, the nearest, and two of class 1.
    assert four.argmax(1).tolist()[::2] == [1, 2]
    np.testing.assert_allclose(np.exp(three).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.exp(three[1]), 1 / 3, rtol=1e-6)  # without any pose


def test_frames_are_normalized_one_by_one_and_spread_over_the_clip(tmp_path: Path) -> None:
    manifest = write_figures(tmp_path, 1)
    sidecar = tmp_path / "sidecar" / "0.npz"
    with np.load(sidecar) as content:
        keypoints = content["keypoints"]
    keypoints[:, :, :2] *= np.arange(1, 7)[:, None, None]
    np.savez(sidecar, keypoints=keypoints)
    poses = read_poses(manifest, None)
    assert poses.points.shape == (4, 34) and poses.clips.tolist() == [0] * 4
    assert np.ptp(poses.points, axis=0).max() < 0.5  # by the clip's median, up to six times


def test_poses_of_frames_are_estimated(
    tmp_path: Path, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    from tests.tiny_tflite import write_blazepose

    found = write_blazepose(tmp_path / "one", next_side=1)
    assert main([*files, "--weights", str(found)]) == 0
    assert capsys.readouterr().out.startswith("| 15 nearest of 24 BlazePose's poses |")
    nobody = write_blazepose(tmp_path / "none", cells=())
    assert main([*files, "--weights", str(nobody)]) == 2
    errors = capsys.readouterr().err
    assert "note: nobody is found in 24 of 24 frames\n" in errors
    assert "error: --neighbors 15 of 0 training poses" in errors


@pytest.mark.parametrize("neighbors", ["0", "25"])
def test_more_neighbors_than_poses_are_refused(
    files: tuple[str, str], neighbors: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*files, "--neighbors", neighbors]) == 2
    assert f"error: --neighbors {neighbors} of 24 training poses" in capsys.readouterr().err
