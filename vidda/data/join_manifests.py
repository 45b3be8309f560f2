"""Several manifests as one, to train on a mixture of sources."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidda.errors import ViddaError
from vidda.types import Manifest


def join_manifests(manifests: Sequence[Manifest]) -> Manifest:
    """Return all clips in turn, under the folder that the manifests' roots have in common.

    Raises ViddaError when the manifests name different classes or share a clip's id.
    """
    first = manifests[0]
    if len(manifests) == 1:
        return first
    manifests = [first, *(other.under(first.classes) for other in manifests[1:])]
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
