"""The rendered drone commands cover those of real people; and the script that measures it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tools.check_gestures import (
    Poses,
    nearest_classes,
    normalized,
    photographed_poses,
    rendered_poses,
    report,
)
from vidda.cli import main
from vidda.control.blazepose import COCO_POINTS
from vidda.mini import labeled_layout
from vidda.mini.gesture_file import load_gestures
from vidda.mini.staging import find_joints

PHOTOS = Path(__file__).parents[3] / "shared" / "real_gestures"


def posed(seed: int, clips: int) -> Poses:
    """Poses of drone13's performances, two a clip."""
    gestures = load_gestures("drone13")
    points, classes = [], []
    for plan in labeled_layout.plans(seed, gestures, clips):
        points.append(find_joints(plan.scene, 2, 2.0, 128)[0])
        classes += [labeled_layout.class_and_scene(plan)[0]] * 2
    return Poses(normalized(np.concatenate(points)), classes, ["made"] * len(classes))


def share_right(rendered: Poses, other: Poses) -> float:
    pairs = zip(nearest_classes(rendered, other), other.classes, strict=True)
    return float(np.mean([found == label for found, label in pairs]))


def test_a_pose_does_not_depend_on_where_and_how_large_a_person_is() -> None:
    points = np.random.default_rng(0).normal(size=(3, 17, 2))
    np.testing.assert_allclose(normalized(points), normalized(30.0 * points + [5.0, -9.0]))


def test_other_performances_are_nearest_to_their_own_class() -> None:
    """The thirteen are told apart by the upper body's joints in one frame, whoever performs."""
    assert share_right(posed(0, 16), posed(7, 4)) > 0.9


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the shared photographs are not here")
def test_nearest_rendered_poses_of_photographs_are_of_their_class() -> None:
    assert share_right(posed(0, 60), photographed_poses(PHOTOS)) > 0.95


def test_the_script_reads_both_folders_and_reports_confusions(tmp_path: Path) -> None:
    out = tmp_path / "out"
    mini = ["mini", str(out), "gestures=drone13", "clips=2", "frames=2", "size=32", "jobs=1"]
    assert main(mini) == 0
    rendered = rendered_poses(out, None)
    assert len(rendered.points) == 13 * 2 * 2 and len(set(rendered.classes)) == 13
    # A photograph of each clip's first pose, the last one labeled as another class.
    gestures = load_gestures("drone13")
    plans = labeled_layout.plans(0, gestures, 2)
    with (tmp_path / "photos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("class", "subject", "keypoints33_xy_in_crop"))
        for number, plan in enumerate(plans):
            points = np.zeros((33, 2))
            points[list(COCO_POINTS)] = find_joints(plan.scene, 2, 8.0, 32)[0][0] / 32
            label = "land" if number == len(plans) - 1 else labeled_layout.class_and_scene(plan)[0]
            writer.writerow((label, "AB"[number % 2], " ".join(map(str, points.ravel()))))
    photographed = photographed_poses(tmp_path)
    lines = report(photographed, nearest_classes(rendered, photographed))
    assert lines[0].split() == ["class", "all", "A", "B"]
    assert ["land", "66.7", "100.0", "50.0"] in [line.split() for line in lines]
    assert lines[-1] == "    1 land taken for video_pause"
