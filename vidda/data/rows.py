"""What all lists but RoCoG-v2's have in common: rows of path and label, filled into a Listing."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.config import Config
from vidda.data.listing import Listing, Tree, is_media, label_of, read_classes, relative
from vidda.data.manifest import MOST_CLASSES, class_number
from vidda.errors import ViddaError
from vidda.types import ClipRecord

Split = Literal["train", "target", "val", "test"]

Mistake = tuple[str, str]
"""A line that is no row: where it stands and what is wrong with it."""

UNKNOWN = ("", "-1")
"""What lists write for a label that is not known; -1 is pytorchvideo's."""


class Part(Config):
    """One list or folder and the part it plays. Several may play the same part."""

    split: Split = Field(description="train (labelled), target (labels are hidden), val or test")
    path: Path = Field(description="the list or folder, relative to the root")
    domain: str = Field(default="real", description="synthetic, real, or a name of your own")
    view: str = Field(default="ground", description="ground, air, or a name of your own")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: where it stands, and the label: a number, a class name, or unknown."""

    part: Part
    where: str
    path: str
    label: str | None
    meta: dict[str, str] = field(default_factory=dict)


def fill(
    root: Path,
    rows: Sequence[Row],
    classes: Path | None,
    strip: str = "",
    mistakes: Sequence[Mistake] = (),
) -> Listing:
    """A listing of the rows, in lists named after their parts, and of the mistakes found before.

    classes: a file of class names; without one they come from class names in the rows, or for
    numbers from the folder that all clips of a label share.
    strip: a prefix to take off the paths, such as the folder of another machine.
    """
    rows = [replace(row, label=None) if row.label in UNKNOWN else row for row in rows]
    names = read_classes(root / classes) if classes else _classes(rows)
    listing = Listing(root, names)
    for where, text in mistakes:
        listing.problem("line", where, text)
    index = {name: str(label) for label, name in enumerate(names)}
    for row in rows:
        try:
            path = relative(row.path.replace("\\", "/").removeprefix(strip))
            label = None if row.label is None else _label(row.label, index)
        except ViddaError as error:
            listing.problem("line", row.where, str(error))
            continue
        meta = {"split": row.part.split, **row.meta}
        part = row.part
        clip = ClipRecord(path, path, label, part.domain, part.view, None, None, None, meta)
        listing.add(part.split, row.where, clip)
    return listing


def add_experiments(listing: Listing, task: str, val_share: float) -> None:
    """Plan source_only and, with a target, adapted; without a val list hold out some of train."""
    if not {"train", "test"} <= listing.lists.keys():
        listing.notes.append("without a train and a test list only manifest.csv is written")
        return
    if "val" not in listing.lists:
        hold_out(listing, "train", "val", val_share, lambda path: path)
        listing.notes.append(
            f"no val list: {len(listing.lists['val'])} clips of train, picked by a hash of their"
            " path, are held out for it"
        )
    parts = {"train": "train", "val": "val", "test": "test"}
    listing.experiments[f"{task}/source_only"] = parts
    if "target" in listing.lists:
        listing.experiments[f"{task}/adapted"] = {**parts, "target": "target"}


def hold_out(
    listing: Listing, name: str, into: str, share: float, group: Callable[[str], str]
) -> None:
    """Move about `share` of a list's groups of clips (one at least) to the list `into`.

    Which ones depends on the groups' names alone, so it is the same on every machine.
    """
    members = listing.lists[name]
    # Kept whole under another name: a clip missing from a part cut off is missing from this.
    listing.lists[f"{name}_whole"] = members
    groups = sorted({group(path) for path in members}, key=_hash)
    held = set(groups[: max(1, round(share * len(groups)))])
    listing.lists[into] = {path: None for path in members if group(path) in held}
    listing.lists[name] = {path: None for path in members if group(path) not in held}


def by_stem(tree: Tree) -> dict[str, list[str]]:
    """Every video and image of the tree, by its file name without suffix."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in tree:
        if is_media(path):
            found[PurePosixPath(path).stem].append(path)
    return found


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _label(text: str, index: dict[str, str]) -> int:
    if text in index:
        return int(index[text])
    if not text.isdecimal():
        raise ViddaError(f"class {text!r} is not one of {', '.join(index)}")
    return label_of(text, len(index))


def _classes(rows: Iterable[Row]) -> tuple[str, ...]:
    """Class names of the rows: their own, or for numbers those of the clips' folders."""
    labelled = [row for row in rows if row.label is not None]
    labels = {row.label for row in labelled if row.label is not None}
    if not all(label.isdecimal() for label in labels):
        return tuple(sorted(labels))
    if above := [label for label in labels if class_number(label) >= MOST_CLASSES]:
        raise ViddaError(
            f"label {max(above, key=class_number):.20} is above {MOST_CLASSES - 1}; is it a label?"
        )
    folders: dict[int, Counter[str]] = defaultdict(Counter)
    for row in labelled:
        # Test sets often hide the class in their folders; the training list is what tells it.
        if row.part.split == "train":
            folders[int(row.label or 0)][PurePosixPath(row.path).parent.name] += 1
    named = {label: next(iter(found)) for label, found in folders.items() if len(found) == 1}
    count = max((int(label) for label in labels), default=-1) + 1
    if len(set(named.values())) != count or "" in named.values():
        named = {}
    return tuple(named.get(label, str(label)) for label in range(count))
