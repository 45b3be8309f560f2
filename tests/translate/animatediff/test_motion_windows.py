"""Windows cover a clip, and a frame's shares in them sum to 1."""

from itertools import pairwise

import pytest
import torch

from vidda.translate.animatediff.motion_windows import (
    motion_windows,
    padded_length,
    window_weights,
)


@pytest.mark.parametrize(
    ("count", "padded", "windows"),
    [(1, 16, 1), (16, 16, 1), (17, 28, 2), (28, 28, 2), (29, 40, 3), (150, 160, 13)],
)
def test_windows_of_one_length_cover_a_clip(count: int, padded: int, windows: int) -> None:
    assert padded_length(count, 16, 4) == padded
    found = motion_windows(padded, 16, 4)
    assert len(found) == windows and {len(window) for window in found} == {16}
    assert found[0].start == 0 and found[-1].stop == padded
    assert all(a.stop - b.start == 4 for a, b in pairwise(found))


def test_shares_sum_to_one_and_a_lone_window_has_exactly_that() -> None:
    windows = motion_windows(28, 16, 4)
    shares = window_weights(windows)
    total = torch.zeros(28)
    for window, share in zip(windows, shares, strict=True):
        total[window.start : window.stop] += share
    assert torch.allclose(total, torch.ones(28))
    assert torch.equal(shares[0][:12], torch.ones(12))
    assert torch.all(shares[0][12:].diff() < 0)  # towards its end, where it knows least
    assert torch.equal(window_weights([range(16)])[0], torch.ones(16))
