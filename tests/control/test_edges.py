"""Edge maps: Canny's are OpenCV's, thresholds follow their rule, soft ones do not flicker."""

import cv2
import numpy as np
import pytest

from tests.clips import moving
from vidda.control.edges import CannyEdges, FixedThresholds, MedianThresholds, SoftEdges


def test_canny_is_opencvs_on_the_color_frame() -> None:
    frames = moving(3)
    expected = np.stack([cv2.Canny(frame, 20, 60) for frame in frames])
    found = CannyEdges(thresholds=FixedThresholds(low=20, high=60)).edges(frames)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 255}


def test_an_edge_between_colors_of_one_gray_is_found() -> None:
    frames = np.zeros((1, 32, 32, 3), np.uint8)
    frames[..., :16, :] = (200, 0, 0)
    frames[..., 16:, :] = (0, 102, 0)
    gray = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
    assert np.ptp(gray.astype(int)) <= 1
    edges = CannyEdges().edges(frames)[0]
    assert (edges[8:24].argmax(axis=1) // 2 == 15 // 2).all()
    assert (edges[8:24] > 0).sum() == 16


def test_median_thresholds_follow_each_frames_own_median() -> None:
    dark, bright = np.full((2, 8, 8, 3), 60, np.uint8)
    bright = dark + 140
    rule = MedianThresholds(spread=0.25)
    assert rule.thresholds(dark) == (45, 75)
    assert rule.thresholds(bright) == (150, 250)
    assert MedianThresholds(spread=0.5).thresholds(bright) == (100, 255)
    frames = moving(2) // np.array([1, 3], np.uint8)[:, None, None, None]
    found = CannyEdges(thresholds=rule).edges(frames)
    for frame, edges in zip(frames, found, strict=True):
        median = np.median(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
        np.testing.assert_array_equal(edges, cv2.Canny(frame, 0.75 * median, 1.25 * median))


def test_soft_edges_grow_with_the_step_and_share_one_scale() -> None:
    frames = np.full((3, 40, 40, 3), 100, np.uint8)
    frames[0, :, 10:], frames[0, :, 30:] = 110, 150
    frames[1] = frames[0]
    frames[1, 5:7, 5:7] = 255  # a flash elsewhere in the clip
    found = SoftEdges(full=100).edges(frames)
    small, large = found[0, 20, 9:11].max(), found[0, 20, 29:31].max()
    assert large == pytest.approx(4 * small, abs=3)
    assert found[0, 20, 20] == 0
    assert found.max() == 255
    assert not found[2].any()
    np.testing.assert_array_equal(found[0, 15:], found[1, 15:])


def test_a_uniform_clip_has_no_edges() -> None:
    frames = np.full((2, 20, 20, 3), 90, np.uint8)
    for config in (CannyEdges(), CannyEdges(thresholds=MedianThresholds()), SoftEdges()):
        assert not config.edges(frames).any()


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="low 90 is above high 30"):
        FixedThresholds(low=90, high=30)
