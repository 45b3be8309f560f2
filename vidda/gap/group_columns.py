"""Columns of a manifest that put its clips into groups: scene, gesture setting, class."""

from collections import Counter
from collections.abc import Sequence

from vidda.errors import ViddaError
from vidda.types import Manifest

FIELDS = ("view", "domain", "subject")
"""Columns of every manifest that group clips too."""


def column_texts(manifest: Manifest, column: str) -> list[str]:
    """Return a column of a manifest as text, "" where a clip has none.

    column: of `meta`, or view, domain, subject.
    """
    if column in FIELDS:
        return [getattr(clip, column) or "" for clip in manifest.clips]
    return [clip.meta.get(column, "") for clip in manifest.clips]


def require_groups(manifest: Manifest, column: str, where: str) -> list[str]:
    """Return the group of each clip, (N,); ViddaError where a clip has none.

    column: as for `column_texts`. where: name of the manifest, for the message.
    """
    texts = column_texts(manifest, column)
    lacking = [clip.id for clip, text in zip(manifest.clips, texts, strict=True) if not text]
    if len(lacking) == len(texts):
        known = dict.fromkeys([*FIELDS, *(key for clip in manifest.clips for key in clip.meta)])
        raise ViddaError(f"group: {where} has no column {column!r}; known are {', '.join(known)}")
    if lacking:
        raise ViddaError(
            f"group: {len(lacking)} clips of {where} have no {column}, first {lacking[0]!r}; take"
            " another column"
        )
    return texts


def class_lines(manifest: Manifest, kept: Sequence[bool]) -> list[str]:
    """Return a line for each class: how many of its clips are kept; none where no clip has a label.

    kept: (N,) whether each clip is.
    """
    labels = [clip.label for clip in manifest.clips]
    before = Counter(label for label in labels if label is not None)
    after = Counter(label for label, stays in zip(labels, kept, strict=True) if stays)
    return [
        f"  {manifest.classes[label]}: {after[label]} of {count}"
        + ("" if after[label] else "; the class is lost")
        for label, count in sorted(before.items())
    ]
