"""A join of manifests, to train on a mixture of sources."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidda.errors import ViddaError
from vidda.types import Manifest


def join_manifests(manifests: Sequence[Manifest]) -> Manifest:
    """Return one manifest of all clips, in order, under the deepest folder common to the roots.

    Raises ViddaError when the manifests have different classes or share a clip's id.
    """
    first = manifests[0]
    if len(manifests) == 1:
        return first
    manifests = [first, *(other.with_classes(first.classes) for other in manifests[1:])]
    for other in manifests[1:]:
        if other.classes != first.classes:
            raise ViddaError(
                f"{first.root} has the classes {', '.join(first.classes)}, but {other.root} has"
                f" {', '.join(other.classes)}; train on manifests of the same classes"
            )
    root = Path(os.path.commonpath([m.root.absolute() for m in manifests]))
    clips = [
        replace(clip, path=(m.root.absolute().relative_to(root) / clip.path).as_posix())
        for m in manifests
        for clip in m.clips
    ]
    return Manifest(root, first.classes, tuple(clips))
