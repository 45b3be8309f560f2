"""The values that stages hand to one another: frozen, without torch and without IO."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidda.errors import ViddaError
from vidda.files import relative_path


def require_distinct(classes: Sequence[str], where: str) -> None:
    """Raise ViddaError when two classes have one name.

    classes: names, index by index. where: the file or manifest that holds them, for the message.
    """
    first: dict[str, int] = {}
    for label, name in enumerate(classes):
        if name in first:
            raise ViddaError(
                f"{where}: class {name!r} is duplicated, as {first[name]} and {label}; rename one"
            )
        first[name] = label


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One video clip (or one image, as a clip of one frame).

    id: unique in its manifest and stable across machines; seeds are derived from it.
    path: relative to the manifest's root, with forward slashes; never leaves the root.
    label: class index in 0..K-1, or None where it is not known or is hidden from training.
    domain: synthetic, real, translated or randomized. view: ground or air. Another dataset may use
    names of its own for both.
    altitude_m: meters above ground for a clip from the air, None on the ground.
    parent_id: the id of the clip that this one was translated from.
    meta: every further column of the manifest, as text.
    """

    id: str
    path: str
    label: int | None
    domain: str
    view: str
    subject: str | None = None
    altitude_m: float | None = None
    parent_id: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        try:
            relative_path(self.path, "the manifest's root")
        except ViddaError as error:
            raise ViddaError(f"clip {self.id!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Clips under one root folder and the names of their classes, index by index.

    root: folder that the clips' paths are relative to. classes_inferred: the classes are only those
    that the clips' own labels show, no dataset.json names them; see `with_classes`.
    Raises ViddaError when an id or a class is duplicated or a label is not in 0..len(classes)-1.
    """

    root: Path
    classes: tuple[str, ...]
    clips: tuple[ClipRecord, ...]
    classes_inferred: bool = False

    def __post_init__(self) -> None:
        require_distinct(self.classes, f"the manifest of {self.root}")
        ids: set[str] = set()
        for clip in self.clips:
            if clip.id in ids:
                raise ViddaError(
                    f"clip id {clip.id!r} is duplicated in the manifest of {self.root}"
                )
            ids.add(clip.id)
            if clip.label is not None and not 0 <= clip.label < len(self.classes):
                last = len(self.classes) - 1
                raise ViddaError(f"clip {clip.id!r}: label {clip.label} not in 0..{last}")

    def __len__(self) -> int:
        return len(self.clips)

    def where(self, **wanted: Any) -> "Manifest":
        """Return the clips whose columns all equal the wanted values, in the same order.

        wanted: values by name of a field of `ClipRecord` or of a column of its `meta`. Raises
        ViddaError for a name that no clip has.
        """
        fields = set(ClipRecord.__dataclass_fields__) - {"meta"}
        for name in wanted.keys() - fields:
            if self.clips and not any(name in clip.meta for clip in self.clips):
                raise ViddaError(f"no clip of {self.root} has a column {name!r}")

        def matches(clip: ClipRecord) -> bool:
            return all(
                (getattr(clip, name) if name in fields else clip.meta.get(name)) == value
                for name, value in wanted.items()
            )

        return replace(self, clips=tuple(clip for clip in self.clips if matches(clip)))

    def unlabeled(self) -> "Manifest":
        """Return the same clips without labels."""
        return replace(self, clips=tuple(replace(clip, label=None) for clip in self.clips))

    def with_classes(self, classes: tuple[str, ...]) -> "Manifest":
        """Return the same clips with these classes, if their own were inferred from labels.

        A few clips need not show every class: labels without names index `classes`, class names are
        looked up there, and clips without labels fit any. A manifest that does not fit, or whose
        classes were not inferred, is returned unchanged.
        """
        names = self.classes
        if not self.classes_inferred or names == classes:
            return self
        if all(clip.label is None for clip in self.clips):
            return replace(self, classes=classes)
        if names == tuple(str(label) for label in range(len(names))):
            return replace(self, classes=classes) if len(names) <= len(classes) else self
        if not set(names) <= set(classes):
            return self
        label = {number: classes.index(name) for number, name in enumerate(names)}
        clips = (c if c.label is None else replace(c, label=label[c.label]) for c in self.clips)
        return replace(self, classes=classes, clips=tuple(clips))

    def fingerprint(self) -> str:
        """Return the SHA-256, as hex digits, of the classes and of every clip's columns, in order.

        It depends neither on the root nor on the files' contents: hashing 53,000 videos would take
        minutes.
        """
        digest = hashlib.sha256(repr(self.classes).encode())
        for c in self.clips:
            row = (c.id, c.path, c.label, c.domain, c.view, c.subject, c.altitude_m, c.parent_id)
            digest.update(repr((row, sorted(c.meta.items()))).encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Shift:
    """One transfer task: labeled source, unlabeled target, validation and test.

    The target's labels are dropped here, so nothing that trains on a Shift can read them. `target`
    is None in the source-only and target-only settings, `test` where the target has no labels at
    all. Raises ViddaError when the parts name different classes or when a test clip is also a
    training, target or validation clip.
    """

    source: Manifest
    target: Manifest | None
    val: Manifest
    test: Manifest | None

    def __post_init__(self) -> None:
        if self.target is not None:
            object.__setattr__(self, "target", self.target.unlabeled())
        parts = {"source": self.source, "target": self.target, "val": self.val, "test": self.test}
        name_of_classes, classes = next(
            (name, part.classes) for name, part in reversed(parts.items()) if part is not None
        )
        test_ids = {clip.id for clip in self.test.clips} if self.test else set()
        for name, part in parts.items():
            if part is None or name == "test":
                continue
            if part.classes != classes:
                raise ViddaError(
                    f"{name} has classes {part.classes}, {name_of_classes} has {classes}"
                )
            shared = sorted(test_ids.intersection(clip.id for clip in part.clips))
            if shared:
                raise ViddaError(f"{len(shared)} test clips are in {name} too, first {shared[0]!r}")


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's output on a list of clips.

    ids: N clip ids. logits: (N, K) float32. labels: (N,) int64, or None where unknown.
    Raises ViddaError when the lengths differ.
    """

    ids: tuple[str, ...]
    logits: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.logits.ndim != 2 or len(self.logits) != n:
            raise ViddaError(f"{n} clip ids, but logits of shape {self.logits.shape}")
        if self.labels is not None and self.labels.shape != (n,):
            raise ViddaError(f"{n} clip ids, but labels of shape {self.labels.shape}")
