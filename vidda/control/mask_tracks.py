"""People's masks over a clip: each person followed, short gaps filled, smoothed in time."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

SAME_PERSON = 0.1
"""Intersection over union of masks in two frames from which they may be of one person."""

SHORTEST = 2
"""Frames in which a person of a longer clip has to be found; others are false detections."""

FOUND = 0.5
"""Share of a person in a pixel from which the pixel counts when masks are compared."""


@dataclass(frozen=True, slots=True)
class _StoredMask:
    """A person's shares in one frame: the rectangle where there are any, in 8 bits, compressed."""

    top: int
    left: int
    shape: tuple[int, int]
    content: bytes

    @classmethod
    def of(cls, shares: np.ndarray) -> "_StoredMask":
        """Store shares (H, W) in [0, 1]."""
        levels = np.rint(shares * 255).astype(np.uint8)
        rows, columns = np.flatnonzero(levels.any(1)), np.flatnonzero(levels.any(0))
        if not len(rows):
            return cls(0, 0, (0, 0), zlib.compress(b""))
        crop = levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        content = zlib.compress(crop.tobytes(), 1)
        return cls(int(rows[0]), int(columns[0]), crop.shape, content)

    def shares(self, height: int, width: int) -> np.ndarray:
        """Return the shares in a frame, (height, width) float32 in [0, 1]."""
        out = np.zeros((height, width), np.float32)
        crop = np.frombuffer(zlib.decompress(self.content), np.uint8).reshape(self.shape)
        high, wide = self.shape
        out[self.top : self.top + high, self.left : self.left + wide] = crop / np.float32(255)
        return out


@dataclass
class _Person:
    """One person's masks by frame number; the pixels of the last one, and the sum of all areas."""

    last: np.ndarray
    area: float = 0.0
    masks: dict[int, _StoredMask] = field(default_factory=dict)

    def nearest(self, longest_gap: int) -> dict[int, int]:
        """Return by frame number the frame whose mask it gets: its own, or in a short gap the
        nearest one.
        """
        frames = list(self.masks)
        sources = {t: t for t in frames}
        for before, after in pairwise(frames):
            if after - before - 1 <= longest_gap:
                middle = (before + after) // 2
                sources |= {t: before if t <= middle else after for t in range(before + 1, after)}
        return sources


class MaskTracker:
    """Masks of a clip's people, added frame by frame, in memory that hardly grows with the clip.

    In each frame people are assigned to those of earlier frames so that the sum of the
    intersections over unions of their masks is largest (the Hungarian algorithm). Who overlaps
    nobody is a new person, and so is who was away for more than `longest_gap` frames. Masks are not
    shifted by the motion in between, so people have to move less than their own size in a frame.

    height, width: of the frames, in pixels. longest_gap: frames in a row without a person that are
    filled with the nearest mask of that person.
    """

    def __init__(self, height: int, width: int, longest_gap: int) -> None:
        self._size = height, width
        self._longest_gap = longest_gap
        self._people: list[_Person] = []
        self._frames = 0

    def add(self, masks: np.ndarray) -> None:
        """Add the next frame. masks: (P, H, W) each person's share of the pixels, in [0, 1]."""
        t, self._frames = self._frames, self._frames + 1
        pixels = masks >= FOUND
        present = [
            one for one in self._people if t - next(reversed(one.masks)) - 1 <= self._longest_gap
        ]
        ious = np.array([[_iou(one.last, new) for new in pixels] for one in present])
        ious = ious.reshape(len(present), len(pixels))
        rows, columns = linear_sum_assignment(ious, maximize=True)
        known = {
            int(column): present[row]
            for row, column in zip(rows, columns, strict=True)
            if ious[row, column] >= SAME_PERSON
        }
        for column, new in enumerate(pixels):
            if not new.any():
                continue
            person = known.get(column)
            if person is None:
                self._people.append(person := _Person(new))
            person.last = new
            person.area += float(new.sum())
            person.masks[t] = _StoredMask.of(masks[column])

    def found(self, *, main: bool) -> np.ndarray:
        """Return in which frames someone was found, before gaps are filled, (T,) bool.

        main: see `masks`.
        """
        found = np.zeros(self._frames, bool)
        for person in self._kept(main):
            found[list(person.masks)] = True
        return found

    def masks(self, threshold: float, neighbors: float, *, main: bool) -> Iterator[np.ndarray]:
        """Yield for each frame the pixels of people, (H, W) bool.

        Whoever is found in one frame alone of a longer clip is taken for a false detection. Each
        person's shares are averaged with those in the previous and the next frame, then compared
        with `threshold`.

        neighbors: weight of these two frames together, in [0, 1); below 1/2 what is sure in one
        frame alone stays, as of a fast hand. main: only the person whose masks have the largest
        area, summed over all frames.
        """
        smoothed = [self._smoothed(one, neighbors) for one in self._kept(main)]
        for _ in range(self._frames):
            mask = np.zeros(self._size, bool)
            for shares in map(next, smoothed):
                if shares is not None:
                    mask |= shares >= threshold
            yield mask

    def _kept(self, main: bool) -> list[_Person]:
        """Return the people of the clip, or the main one, in the order in which they appear."""
        found = [one for one in self._people if len(one.masks) >= min(SHORTEST, self._frames)]
        return [max(found, key=lambda one: one.area)] if main and found else found

    def _smoothed(self, person: _Person, neighbors: float) -> Iterator[np.ndarray | None]:
        """Yield a person's smoothed shares (H, W) in each frame, None where they are absent."""
        sources = person.nearest(self._longest_gap)

        def at(t: int) -> np.ndarray | None:
            return person.masks[sources[t]].shares(*self._size) if t in sources else None

        previous, current = None, at(0)
        for t in range(self._frames):
            following = at(t + 1)
            if current is None:
                yield None
            else:
                total, weight = (1 - neighbors) * current, 1 - neighbors
                for other in (previous, following):
                    if other is not None:
                        total, weight = total + neighbors / 2 * other, weight + neighbors / 2
                yield total / weight
            previous, current = current, following


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two masks (H, W) bool; 0 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0
