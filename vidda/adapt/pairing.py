"""Clips and their translations: who belongs to whom, and an order that keeps them together."""

import numpy as np

from vidda.types import Manifest


def parents(manifest: Manifest) -> np.ndarray:
    """For each clip the number of the one it was translated from, or -1, (N,) int64."""
    number = {clip.id: n for n, clip in enumerate(manifest.clips)}
    found = [number.get(clip.parent_id or "", -1) for clip in manifest.clips]
    return np.array(found, np.int64)


def keep_together(items: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Return the items of an epoch, reordered: each clip is followed by its translations and its
    parent.

    items: (M,) as in `ClipDataset`: number + r x N. parent: (N,), see `parents`. Families come in
    the order of their first member; one that comes several times an epoch is not lumped together.
    """
    repeat, clip = np.divmod(items, len(parent))
    family = np.where(parent[clip] >= 0, parent[clip], clip)
    times: dict[int, int] = {}
    first: dict[tuple[int, int, int], int] = {}
    places = np.empty(len(items), np.int64)
    for n, item in enumerate(items.tolist()):
        times[item] = times.get(item, 0) + 1
        key = (int(repeat[n]), int(family[n]), times[item])
        places[n] = first.setdefault(key, n)
    return items[np.argsort(places, kind="stable")]
