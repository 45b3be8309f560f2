"""Crops of the photographs of drone commands around their person."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import crop_drone_gestures as tool
from tools import drone_gestures
from vidda.control.blazepose_networks import LANDMARK_SIDE, BlazePerson, CropRegion


def person(left: int, top: int, width: int, height: int) -> BlazePerson:
    """A person whose mask is a rectangle of a picture of 256x256 pixels."""
    mask = np.zeros((LANDMARK_SIDE, LANDMARK_SIDE), np.float32)
    mask[top : top + height, left : left + width] = 1
    middle = (LANDMARK_SIDE - 1) / 2
    region = CropRegion(np.array([middle, middle]), LANDMARK_SIDE, 0.0)
    points = np.linspace([left, top], [left + width - 1, top + height - 1], 33)
    return BlazePerson(points, np.ones(33), np.zeros((33, 3)), 1.0, region, mask, region)


@pytest.mark.parametrize(
    ("box", "corner", "side"),
    [
        ((100, 80, 20, 100), (30, 50), 160),  # in the middle
        ((4, 80, 20, 100), (0, 50), 160),  # at the left edge
        ((100, 0, 20, 250), (0, 0), 256),  # as large as the picture
        ((100, 80, 20, 50), (70, 65), 80),  # small
    ],
)
def test_the_crop_is_around_the_person_and_inside_the_picture(
    box: tuple[int, int, int, int], corner: tuple[int, int], side: int
) -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    left, top, width, height = box
    picture[top : top + height, left : left + width] = 200
    found = person(*box)
    crop, points = tool.crop_person(picture, found)
    assert crop.shape == (tool.SIZE, tool.SIZE, 3)
    np.testing.assert_allclose(points, (found.points + 0.5 - corner) / side)
    if side == tool.SIZE:
        whole = picture[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
        np.testing.assert_array_equal(crop, whole)
    inside = np.argwhere(crop[..., 0] > 100)[:, ::-1]
    ends = (inside + 0.5) / tool.SIZE
    np.testing.assert_allclose(ends.min(0), points.min(0), atol=0.02)
    np.testing.assert_allclose(ends.max(0), points.max(0), atol=0.02)


def test_the_list_of_subjects_is_of_distinct_photographs() -> None:
    with tool.SUBJECTS.open() as stream:
        rows = list(csv.DictReader(stream))
    assert Counter(row["subject"] for row in rows) == {"A": 1623, "B": 1467}
    assert len({row["id"] for row in rows}) == len(rows)
    assert {len(row["id"]) for row in rows} == {tool.ID_LENGTH}


@pytest.mark.parametrize("lists", ["id,person\n", "id,subject\n0,A\n", None])
def test_a_mistake_is_one_line(
    tmp_path: Path, lists: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects = tmp_path / "subjects.csv"
    if lists:
        subjects.write_text(lists + "0\n" * (lists.count("\n") < 2))
    command = [str(tmp_path), str(tmp_path / "out"), "--subjects", str(subjects)]
    assert tool.main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_photographs_of_known_persons_become_crops_that_the_next_tool_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    from tests.tiny_tflite import write_blazepose

    photos, subjects, out = tmp_path / "photos", tmp_path / "subjects.csv", tmp_path / "out"
    subjects.write_text("id,subject\n0000aaaa,A\n1111bbbb,B\n")
    for name in ("left/0000aaaa-1_org.jpg", "right/1111bbbb-2_org.jpg", "right/2222cccc-3_org.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        level = 60 * len(name) % 256
        Image.fromarray(np.full((240, 320, 3), level, np.uint8)).save(photos / name)
    for cells, said in (
        (((14, 14),), "written: 2 crops"),
        ((), "written: 0 crops"),
    ):
        weights = write_blazepose(tmp_path / f"networks{len(cells)}", cells=cells, next_side=1)
        command = [str(photos), str(out / f"{len(cells)}"), "--subjects", str(subjects)]
        assert tool.main([*command, "--weights", str(weights)]) == 0
        printed = capsys.readouterr().out
        assert said in printed and "1 without a subject" in printed
    assert "2 in which nobody is found" in printed
    with (out / "1" / "photos.csv").open() as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    assert {name: row["subject"] for name, row in rows.items()} == {
        "left/0000aaaa-1.jpg": "A",
        "right/1111bbbb-2.jpg": "B",
    }
    manifest = drone_gestures.prepare(out / "1", tmp_path / "clips")
    assert [clip.subject for clip in manifest.clips] == ["A", "B"]
    assert manifest.classes == ("left", "right")
