"""Clips and their translations: whose parent is whom, and an order that keeps them together."""

import numpy as np

from vidda.types import Manifest


def parent_numbers(manifest: Manifest) -> np.ndarray:
    """Return for each clip the number of the clip it was translated from, or -1, (N,) int64.

    A number is an index in the manifest. It is -1 for a clip that is no translation, or whose
    parent is not in the manifest.
    """
    number = {clip.id: n for n, clip in enumerate(manifest.clips)}
    found = [number.get(clip.parent_id or "", -1) for clip in manifest.clips]
    return np.array(found, np.int64)


def group_translations(items: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Return an epoch's items, (M,), reordered so that a clip and its translations are adjacent.

    items: (M,) int64 as in `ClipDataset`: clip number + r x N. parent: (N,) int64, for each clip
    the number of the clip that it was translated from, or -1, from `parent_numbers`. Groups come in
    the order of their first member; a group that is in an epoch several times stays apart from its
    repeats.
    """
    repeat, clip = np.divmod(items, len(parent))
    family = np.where(parent[clip] >= 0, parent[clip], clip)
    times: dict[int, int] = {}
    first: dict[tuple[int, int, int], int] = {}
    positions = np.empty(len(items), np.int64)
    for n, item in enumerate(items.tolist()):
        times[item] = times.get(item, 0) + 1
        key = (int(repeat[n]), int(family[n]), times[item])
        positions[n] = first.setdefault(key, n)
    return items[np.argsort(positions, kind="stable")]
