"""Windows of frames that pass through the motion modules together, and how they are joined."""

import torch


def padded_length(count: int, window: int, overlap: int) -> int:
    """Return the frames to which a clip of `count` is filled so that windows of one size cover it.

    window: frames of each. overlap: frames that two neighbors share, fewer than `window`.
    """
    step = window - overlap
    return window + max(0, -(-(count - window) // step)) * step


def motion_windows(length: int, window: int, overlap: int) -> list[range]:
    """Return the frames of each window over a clip whose length `padded_length` returned."""
    step = window - overlap
    assert length >= window and (length - window) % step == 0
    return [range(start, start + window) for start in range(0, length - window + 1, step)]


def window_weights(windows: list[range]) -> list[torch.Tensor]:
    """Return each window's share in each of its frames, (window,) float32; a frame's sum to 1.

    windows: of one size, over a whole clip from frame 0. Shares fall towards a window's ends, where
    the motion modules know the fewest neighbors; a frame of one window alone has exactly 1.
    """
    ramp = torch.tensor([min(n + 1, len(windows[0]) - n) for n in range(len(windows[0]))])
    total = torch.zeros(windows[-1].stop)
    for window in windows:
        total[window.start : window.stop] += ramp
    return [ramp / total[window.start : window.stop] for window in windows]
