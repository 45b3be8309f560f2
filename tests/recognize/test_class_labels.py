"""Labels in annotated videos: large enough to read, whole, and clear of the rest of the picture."""

import numpy as np
import pytest

from vidda.recognize.annotate import READABLE_SIDE, enlarge
from vidda.recognize.class_labels import BAR, SMALLEST_TEXT, ClassLabels

LONG = ("a_class_name_of_a_large_dataset_with_words", "Pneumonoultramicroscopicsilicosis" * 2, "x")


def test_bars_are_as_long_as_the_probability() -> None:
    lengths = []
    for share in (0.0, 0.5, 1.0):
        picture = np.full((64, 200, 3), 200, np.uint8)
        labels = ClassLabels(64, 200, ("", ""))
        labels.draw(picture, np.array([share, 1e-9 - share]))
        lengths.append((picture == BAR).all(-1).any(0).sum())
    assert lengths[0] == 0 and lengths[1] == pytest.approx(43, abs=2)
    assert lengths[2] == pytest.approx(86, abs=2)


@pytest.mark.parametrize("side", [64, 112, 1080])
def test_names_are_whole_and_within_the_picture(side: int) -> None:
    picture = enlarge(np.full((side, side, 3), 200, np.uint8))
    labels = ClassLabels(*picture.shape[:2], LONG)
    for name, lines in zip(LONG, labels.lines, strict=True):
        assert "".join(lines) == name
        for line in lines:
            assert labels.name_left + labels.font.getlength(line) <= labels.box_width
    assert labels.box_width <= picture.shape[1]
    assert all(line.endswith("_") for line in labels.lines[0][:-1]), "broken between words"


@pytest.mark.parametrize("height,width", [(112, 112), (240, 320), (720, 1280), (1080, 1920)])
def test_text_is_readable_at_every_size(height: int, width: int) -> None:
    picture = enlarge(np.full((height, width, 3), 255, np.uint8))
    assert min(picture.shape[:2]) >= READABLE_SIDE
    before = picture.copy()
    labels = ClassLabels(*picture.shape[:2], ("Advance", "Halt", "Rally"))
    labels.draw(picture, np.array([0.2, 0.7, 0.1]))
    size = labels.line / 1.5
    assert size >= SMALLEST_TEXT - 1 and 0.025 < size / min(picture.shape[:2]) < 0.06
    box = picture[-labels.line :, : labels.box_width]
    assert box.min() < 80 and box.max() == 255, "white on dark, whatever is behind"
    assert (picture[: len(picture) // 2] == before[: len(picture) // 2]).all()
    assert (picture[:, labels.box_width :] == before[:, labels.box_width :]).all()


def test_a_low_picture_shows_the_most_likely_class_alone() -> None:
    picture = np.full((30, 400, 3), 255, np.uint8)
    labels = ClassLabels(30, 400, ("a", "b", "c"))
    labels.draw(picture, np.array([0.1, 0.7, 0.2]))
    only = np.full((30, 400, 3), 255, np.uint8)
    ClassLabels(30, 400, ("a", "b", "c")).draw(only, np.array([0.1, 0.7, -1.0]))
    assert (picture == only).all()
