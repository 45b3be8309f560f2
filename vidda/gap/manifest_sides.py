"""The two manifests that are compared, and those that are made of the source's clips."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.types import Manifest


def load_sides(
    source: Path, target: Path, neighbors: int, folds: int = 2
) -> tuple[Manifest, Manifest]:
    """Return both manifests, without the target's labels and with absolute roots.

    Raises ViddaError where one has too few clips for so many neighbors or folds.
    """
    first, second = load_manifest(source), load_manifest(target).unlabeled()
    least = max(2 * neighbors + 2, folds, 8)
    problems = [
        f"{path}: {len(manifest)} clips; at least {least} are needed for neighbors={neighbors};"
        " add clips, or take fewer neighbors"
        for path, manifest in ((source, first), (target, second))
        if len(manifest) < least
    ]
    if problems:
        raise ViddaError("\n".join(problems))
    return _absolute(first), _absolute(second)


def with_columns(manifest: Manifest, columns: Mapping[str, Sequence[str]]) -> Manifest:
    """Return a manifest with further columns, (N,) texts by name, which replace older ones."""
    clips = [
        replace(clip, meta={**clip.meta, **{name: texts[n] for name, texts in columns.items()}})
        for n, clip in enumerate(manifest.clips)
    ]
    return replace(manifest, clips=tuple(clips))


def choose_rows(manifest: Manifest, kept: np.ndarray) -> Manifest:
    """Return the clips that are kept, in their order. kept: (N,) bool."""
    return replace(manifest, clips=tuple(manifest.clips[n] for n in np.flatnonzero(kept)))


def _absolute(manifest: Manifest) -> Manifest:
    return replace(manifest, root=manifest.root.absolute())
