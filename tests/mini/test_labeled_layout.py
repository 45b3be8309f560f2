"""`vidda mini OUT gestures=...`: other gestures than RoCoG-v2's, as a plain labeled dataset."""

import csv
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.mini.test_gestures import WAVE
from tests.mini.test_mini_job import digests
from vidda import load_manifest, video
from vidda.cli import main
from vidda.mini import labeled_layout, layout
from vidda.mini.clip import render
from vidda.mini.gesture_file import load_gestures
from vidda.mini.rooms import draw_room
from vidda.sidecar import read_rows

SMALL = ["size=32", "frames=3", "clips=3", "seed=3", "jobs=1"]
PREPARE = Path(__file__).parents[2] / "configs" / "prepare" / "mini_gestures.yaml"


def drone_plans(clips: int) -> list[layout.ClipPlan]:
    return labeled_layout.plans(0, load_gestures("drone13"), clips)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two gestures of a user's file."""
    folder = tmp_path_factory.mktemp("labeled")
    (folder / "mine.yaml").write_text(WAVE)
    gestures = f"gestures={folder / 'mine.yaml'}"
    assert main(["mini", str(folder / "out"), gestures, *SMALL]) == 0
    return folder


def test_every_class_has_the_same_places_and_validation_has_its_own() -> None:
    places: dict[tuple[int, str], set[str]] = defaultdict(set)
    plans = drone_plans(60)
    assert len({plan.path for plan in plans}) == len(plans) == 13 * 60
    for plan in plans:
        places[plan.label, plan.lists[0]].add(labeled_layout.class_and_scene(plan)[1])
    for part, count in (("train", 48), ("val", 12)):
        found = [scenes for (_, own), scenes in places.items() if own == part]
        assert len(found) == 13 and all(scenes == found[0] for scenes in found)
        assert len(found[0]) == count
    assert not places[0, "train"] & places[0, "val"]


def test_clips_vary_in_person_camera_and_place() -> None:
    scenes = [plan.scene for plan in drone_plans(60) if plan.label == 0]
    assert len({scene.person for scene in scenes}) > 20
    assert 0.4 < np.mean([scene.indoor for scene in scenes]) < 0.8
    assert np.std([scene.viewpoint.azimuth for scene in scenes]) > 0.15
    assert np.std([scene.viewpoint.roll for scene in scenes]) > 0.05
    assert all(0.9 <= scene.viewpoint.height_m <= 1.8 for scene in scenes)


@pytest.mark.parametrize("indoor", [True, False])
def test_a_person_fills_much_of_the_frame_and_holds_the_gesture(indoor: bool) -> None:
    plans = [plan for plan in drone_plans(9) if plan.path.startswith("take_off/")]
    scenes = [plan.scene for plan in plans if plan.scene.indoor == indoor]
    assert len(scenes) > 1
    for scene in scenes:
        clip = render(scene, 3, 8.0, 64)
        tall = clip.box[:, 3] - clip.box[:, 1]
        assert (tall > 0.4 * 64).all() and np.ptp(clip.frames.astype(int)) > 60
        shoulder, wrist = clip.keypoints_3d[:, 6, 2], clip.keypoints_3d[:, 10, 2]
        assert (wrist > shoulder + 0.3).all()


def test_a_room_is_seen_whole_from_any_camera() -> None:
    for seed in range(40):
        room = draw_room(np.random.default_rng(seed), 0.3)
        assert (room.boxes[:, 3:6] > room.boxes[:, :3]).all()
        assert (room.low[:2] < -0.6).all() and room.high[2] > 2.0


def test_the_folder_is_read_by_prepare_with_its_sidecars(mine: Path, tmp_path: Path) -> None:
    assert main(["prepare", str(PREPARE), f"root={mine / 'out'}", f"out={tmp_path / 'p'}"]) == 0
    manifest = load_manifest(tmp_path / "p" / "manifest.csv")
    assert manifest.classes == ("point_and_raise", "wave")
    assert {(clip.domain, clip.view) for clip in manifest.clips} == {("synthetic", "ground")}
    assert Counter(clip.label for clip in manifest.clips) == {0: 3, 1: 3}
    info = video.probe(manifest.root / manifest.clips[0].path)
    assert (info.frames, info.width, info.height) == (3, 32, 32)
    for clip in manifest.clips:
        assert read_rows(clip, manifest.root, "keypoints_3d", 3, None).shape == (3, 17, 3)
    rows = list(csv.DictReader((mine / "out" / "val.csv").open()))
    assert [(row["label"], row["scene"]) for row in rows] == [
        ("point_and_raise", "scene01"),
        ("wave", "scene01"),
    ]


def test_a_resumed_dataset_is_as_if_never_killed(mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(mine / "out", out)
    for lost in ("wave/scene01_001.mp4", "train.csv", "class_dict.json"):
        (out / lost).unlink()
    gestures = f"gestures={mine / 'mine.yaml'}"
    assert main(["mini", str(out), gestures, *SMALL, "--resume"]) == 0
    assert digests(out) == digests(mine / "out")


def test_other_gestures_in_the_same_folder_are_refused(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(mine / "out", out)
    assert main(["mini", str(out), "gestures=drone13", *SMALL, "--resume"]) == 2
    assert "gestures is " in capsys.readouterr().err
    changed = tmp_path / "mine.yaml"
    changed.write_text(WAVE.replace("0.4", "0.3"))
    before = (out / "mini.json").read_text()
    (out / "mini.json").write_text(before.replace(str(mine / "mine.yaml"), str(changed)))
    assert main(["mini", str(out), f"gestures={changed}", *SMALL, "--resume"]) == 2
    assert "gestures_sha256 is " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["gestures=drone14"], "gestures: 'drone14' is neither a file nor one of rocog, drone13"),
        (["gestures=drone13", "syn_train=3"], "syn_train: has no effect on gestures=drone13"),
        (["clips=3"], "clips: has no effect on gestures=rocog"),
        (["gestures=drone13", "clips=1"], "clips: "),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mini", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
