"""Attributes of clips: their values where these are known, and what is told without a sidecar."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from tests.sidecars import rendered, write_clip
from vidda import video
from vidda.errors import ViddaError
from vidda.gap.clip_attributes import (
    ATTRIBUTES,
    measure_attributes,
    movement_attributes,
    pair_numbers,
)
from vidda.gap.gray_attributes import gray_attributes
from vidda.gap.person_attributes import PersonTruth, background_similarity, place_attributes
from vidda.sidecar import default_sidecar
from vidda.types import ClipRecord

CLIP = ClipRecord("a", "a.mp4", None, "", "")
OF_PEOPLE = {
    *("box_area", "box_aspect", "box_x", "box_y", "mask_share", "facing", "occlusion"),
    *("person_visible", "background_similarity", "box_brightness", "box_contrast"),
    *("box_entropy", "box_sharpness"),
}


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 16, 17, 150])
def test_pairs_are_neighbors_and_each_frame_is_in_one(frames: int) -> None:
    numbers = pair_numbers(frames, 8)
    assert len(set(numbers.tolist())) == len(numbers) and 0 <= min(numbers) <= max(numbers) < frames
    if frames > 1:
        assert (numbers[1::2] - numbers[::2] == 1).all()
        assert len(numbers) == 2 * min(8, frames // 2)


def test_gray_attributes_are_their_formulas() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    found = gray_attributes(gray)
    assert found["brightness"] == pytest.approx(gray.mean())
    assert found["contrast"] == pytest.approx(gray.std())
    shares = np.unique(gray, return_counts=True)[1] / gray.size
    assert found["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), rel=1e-5)
    padded = np.pad(gray.astype(float), 1, mode="reflect")
    edges = -4 * gray.astype(float)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edges += padded[down : down + 20, right : right + 30]
    assert found["sharpness"] == pytest.approx(np.log1p(edges.var()))


def test_background_similarity_is_1_for_the_same_color_and_less_for_another() -> None:
    person = np.zeros((30, 40), np.uint8)
    person[10:20, 15:25] = 1
    frame = np.full((30, 40, 3), (0, 200, 0), np.uint8)
    assert background_similarity(frame, person) == pytest.approx(1)
    frame[person > 0] = (200, 0, 0)
    # One of the boundary's three pixels is the background's: those of the dilated edge.
    boundary = np.zeros_like(person)
    boundary[9:21, 14:26] = 1
    boundary[12:18, 17:23] = 0
    inside = (boundary & person).sum() / boundary.sum()
    mean = np.array([200 * inside, 200 * (1 - inside)])
    assert background_similarity(frame, person) == pytest.approx(mean[1] / np.linalg.norm(mean))
    assert np.isnan(background_similarity(frame, 0 * person))
    assert np.isnan(background_similarity(0 * frame, person))


def test_movement_is_the_cameras_or_the_contents() -> None:
    still = np.repeat(moving(1, 96, 128), 8, axis=0)
    found = movement_attributes(still, 30)
    assert found["motion"] == pytest.approx(0, abs=1e-3) and found["shake"] == pytest.approx(0)
    # Every second pair moves by 4 of 96 pixels, and the rest of the image with it.
    large = moving(1, 120, 160)[0]
    frames = [large[10:106, 10 + d : 138 + d] for d in (0, 0, 0, 4) * 2]
    found = movement_attributes(np.stack(frames), 30)
    assert found["shake"] == pytest.approx(30 * 4 / 96 / 2, rel=0.15)
    assert found["motion"] < 30 * 3
    assert np.isnan(list(movement_attributes(still[:1], 0).values())).all()


def test_a_clip_with_a_sidecar_has_all_attributes(tmp_path: Path) -> None:
    clip = rendered(frames=9)
    record = write_clip(tmp_path, clip)
    found = measure_attributes(record, tmp_path, 8, 64)
    assert found.keys() == ATTRIBUTES.keys() and np.isfinite(list(found.values())).all()
    boxes = clip.box[pair_numbers(9, 8)[::2]] / 64
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert found["box_area"] == pytest.approx(area.mean(), rel=1e-5)
    assert found["box_x"] == pytest.approx((boxes[:, 0] + boxes[:, 2]).mean() / 2, rel=1e-5)
    assert (found["seconds"], found["fps"], found["height"]) == (9 / 8, 8, 64)
    assert found["person_visible"] == 1 and 0.2 < found["mask_share"] < 1
    # Shares are the same whatever the size at which the rest is measured.
    other = measure_attributes(record, tmp_path, 8, 32)
    for name in ("box_area", "box_aspect", "box_x", "box_y", "occlusion", "facing"):
        assert other[name] == pytest.approx(found[name])


@pytest.mark.parametrize("array", ["box", "keypoints", "mask"])
def test_any_array_of_people_gives_their_box(tmp_path: Path, array: str) -> None:
    clip = rendered()
    record = write_clip(tmp_path, clip)
    whole = measure_attributes(record, tmp_path, 8, 64)
    np.savez(tmp_path / default_sidecar(record.path), **{array: getattr(clip, array)})
    found = measure_attributes(record, tmp_path, 8, 64)
    assert found["box_area"] == pytest.approx(whole["box_area"], rel=0.6)
    assert abs(found["box_y"] - whole["box_y"]) < 0.1
    assert ("mask_share" in found, "occlusion" in found) == (array == "mask", array == "keypoints")


def test_without_a_sidecar_there_are_those_of_the_frame_alone(tmp_path: Path) -> None:
    video.write(tmp_path / "a.mp4", moving(12, 48, 64), 12)
    found = measure_attributes(CLIP, tmp_path, 4, 48)
    assert found.keys() == ATTRIBUTES.keys() - OF_PEOPLE
    assert np.isfinite(list(found.values())).all()


def test_a_box_of_the_manifest_is_taken_where_there_is_no_sidecar(tmp_path: Path) -> None:
    video.write(tmp_path / "a.mp4", moving(12, 48, 64), 12)
    meta = {"box_x0": "16", "box_y0": "12", "box_x1": "32", "box_y1": "36"}
    found = measure_attributes(replace(CLIP, meta=meta), tmp_path, 4, 48)
    assert found["box_area"] == pytest.approx(16 * 24 / 48 / 64)
    assert found["box_aspect"] == pytest.approx(16 / 24) and found["box_brightness"] > 0
    empty = replace(CLIP, meta=meta | {"box_x1": "16"})
    assert measure_attributes(empty, tmp_path, 4, 48)["person_visible"] == 0
    with pytest.raises(ViddaError, match="clip 'a': box_y0 'x' is not a number; correct"):
        measure_attributes(replace(CLIP, meta=meta | {"box_y0": "x"}), tmp_path, 4, 48)


def test_nobody_in_sight_is_told_by_nan(tmp_path: Path) -> None:
    video.write(tmp_path / "a.mp4", moving(12, 48, 64), 12)
    (tmp_path / "sidecar").mkdir()
    np.savez(tmp_path / "sidecar/a.npz", box=np.zeros((12, 4)))
    found = measure_attributes(CLIP, tmp_path, 4, 48)
    assert found["person_visible"] == 0 and np.isnan(found["box_area"])


def test_of_several_people_the_largest_counts() -> None:
    joints = np.zeros((2, 17, 3))
    joints[:, 5], joints[:, 6] = [30, 10, 2], [10, 10, 1]
    joints[:, 11], joints[:, 12] = [25, 50, 2], [15, 50, 2]
    boxes = np.array([[0.1, 0.2, 0.3, 0.6], [np.nan] * 4])
    found = place_attributes(PersonTruth(boxes, joints, None), 2.0)
    assert found["box_area"][0] == pytest.approx(0.08)
    assert found["box_aspect"][0] == pytest.approx(1.0)
    assert found["facing"][0] == pytest.approx(20 / 40)
    assert found["occlusion"][0] == pytest.approx(14 / 17)
    assert all(np.isnan(found[name][1]) for name in ("box_area", "occlusion", "facing"))


def test_an_image_is_a_clip_and_a_damaged_sidecar_is_named(tmp_path: Path) -> None:
    video.write_clip(tmp_path / "a.png", moving(1, 48, 64), 0, 18)
    image = ClipRecord("a", "a.png", None, "", "")
    found = measure_attributes(image, tmp_path, 4, 48)
    assert np.isnan(found["motion"]) and found["seconds"] == 0 and found["brightness"] > 0
    (tmp_path / "sidecar").mkdir()
    (tmp_path / "sidecar/a.png.npz").write_bytes(b"no")
    with pytest.raises(ViddaError, match=r"a\.png\.npz: damaged .*write it again"):
        measure_attributes(image, tmp_path, 4, 48)
    np.savez(tmp_path / "sidecar/a.png.npz", box=np.zeros((3, 4)))
    with pytest.raises(ViddaError, match=r"clip 'a': .*box"):
        measure_attributes(image, tmp_path, 4, 48)
