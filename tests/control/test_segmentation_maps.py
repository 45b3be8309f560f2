"""Segmentation as a control image, in ADE20K's colors."""

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from tests.sidecars import rendered, write_clip
from tests.tiny_transformers import write_segmenter
from vidda.control.class_colors import ade20k_palette, class_colors
from vidda.control.control_config import ControlConfig
from vidda.control.controls import ControlReader
from vidda.control.segmentation_maps import SidecarSegmentationConfig
from vidda.control.segmenter import SegmenterConfig
from vidda.errors import ViddaError
from vidda.sidecar import sidecar_path
from vidda.types import ClipRecord
from vidda.weights import Folder

CLIP = ClipRecord("one", "one.mp4", None, "real", "ground")
WALL, PERSON, SKY = (120, 120, 120), (150, 5, 61), (6, 230, 230)


def test_the_palette_is_that_of_ade20k() -> None:
    palette = ade20k_palette()
    assert len(palette) == 150 and list(palette)[12] == "person" and list(palette)[149] == "flag"
    assert (palette["wall"], palette["person"], palette["sky"]) == (WALL, PERSON, SKY)
    assert palette["road"] == palette["skyscraper"] == (140, 140, 140)  # as published
    assert len(set(palette.values())) == 149 and (0, 0, 0) not in palette.values()


def test_other_classes_get_colors_of_their_own() -> None:
    names = ["Road, route", "vegetation", "bed ", "person", *(f"c{n}" for n in range(300))]
    colors, foreign = class_colors(names)
    found = [tuple(color) for color in colors.tolist()]
    palette = ade20k_palette()
    assert [found[0], found[2], found[3]] == [palette["road"], palette["bed"], PERSON]
    assert foreign == ["vegetation", *names[4:]]
    assert len(set(found)) == len(names)
    own = {found[1], *found[4:]}
    assert not own & {(0, 0, 0), *palette.values()}


def test_people_of_a_sidecar_have_the_color_of_a_person(tmp_path: Path) -> None:
    clip = rendered(frames=3, size=48)
    record = write_clip(tmp_path, clip)
    config = ControlConfig(edges=None, flow=None, segmentation=SidecarSegmentationConfig())
    found = ControlReader(config, None).read(clip.frames, record, tmp_path).segmentation
    assert found is not None and found.dtype == np.uint8 and found.shape == (3, 48, 48, 3)
    assert len(np.unique(clip.mask)) > 3
    assert (found[clip.mask > 0] == PERSON).all() and not found[clip.mask == 0].any()
    np.savez(sidecar_path(record, tmp_path), depth=clip.depth)
    with pytest.raises(ViddaError, match=r"has no array 'mask'; write one, or let `vidda mask`"):
        ControlReader(config, None).read(clip.frames, record, tmp_path)


def test_a_segmenter_s_labels_are_colored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = SegmenterConfig(weights=Folder(path=write_segmenter(tmp_path / "w")), device="cpu")
    config = ControlConfig(edges=None, flow=None, segmentation=source)
    frames = moving(3, 45, 61)
    with caplog.at_level(logging.WARNING, "vidda"):
        reader = ControlReader(config, None)
        found = reader.read(frames, CLIP, tmp_path).segmentation
    assert not caplog.records  # its classes are wall, Person and sky
    labels = source.build().labels(frames)
    assert np.array_equal(found, np.array([WALL, PERSON, SKY], np.uint8)[labels])


def test_classes_that_are_not_ade20k_s_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {"id2label": {0: "wall", 1: "rider", 2: "sky"}, "label2id": {}}
    weights = Folder(path=write_segmenter(tmp_path / "w", names=names))
    config = ControlConfig(
        edges=None, flow=None, segmentation=SegmenterConfig(weights=weights, device="cpu")
    )
    with caplog.at_level(logging.WARNING, "vidda"):
        reader = ControlReader(config, None)
        for seed in range(2):
            reader.read(moving(2, 45, 61, seed), CLIP, tmp_path)
    (record,) = caplog.records
    assert "1 of the model's 3 classes are not ADE20K's (rider)" in record.getMessage()
