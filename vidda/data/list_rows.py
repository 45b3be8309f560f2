"""Rows of path and label, from all lists but RoCoG-v2's, and the `Listing` that they make."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.config import Config
from vidda.data.group_splits import clip_value, find_group, hold_out_groups
from vidda.data.listing import WHOLE, Listing, Tree, is_media, parse_label, read_classes
from vidda.data.manifest import MOST_CLASSES, is_label, parse_number
from vidda.errors import ViddaError
from vidda.files import relative_path
from vidda.types import ClipRecord

Split = Literal["train", "target", "val", "test"]

Mistake = tuple[str, str]
"""A line that cannot be used: its location and what is wrong with it."""

FROM_ONE = (
    "if the labels count from 1, name a class file that does too (lines `1 NAME`), by"
    " dataset.classes=FILE"
)

UNKNOWN = ("", "-1")
"""Texts that lists write for a label that is not known; -1 is pytorchvideo's."""


class ListPart(Config):
    """One list or folder and the split that it belongs to. Several may belong to the same split."""

    split: Split = Field(description="train (labeled), target (labels are hidden), val or test")
    path: Path = Field(description="the list or folder, relative to the root")
    domain: str = Field(default="real", description="synthetic, real, or a name of your own")
    view: str = Field(default="ground", description="ground, air, or a name of your own")


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line of a list.

    part: the list that it is in. where: its location, for messages. path: the clip's. label: a
    number or a class name, None where unknown. meta: further columns of the manifest; `subject`,
    `view` and `altitude_m` are the clip's own.
    """

    part: ListPart
    where: str
    path: str
    label: str | None
    meta: dict[str, str] = field(default_factory=dict)


def build_listing(
    root: Path,
    rows: Sequence[ListRow],
    classes: Path | None,
    strip: str = "",
    mistakes: Sequence[Mistake] = (),
    notes: Sequence[str] = (),
    *,
    numbers: bool = True,
) -> Listing:
    """Return a listing of the rows, in lists named after their splits.

    root: of the dataset. classes: a file of class names, relative to `root`; None takes the class
    names in the rows, or for numbers the folder that all clips of a label share. strip: a prefix to
    remove from the paths, such as a folder of another machine. mistakes, notes: found before, added
    to the listing. numbers: whether labels may be numbers; else the class of `1` is called 1.
    A row that cannot be used becomes a problem of the listing.
    """
    rows = [replace(row, label=None) if row.label in UNKNOWN else row for row in rows]
    found = list(notes)
    if classes is None:
        rows = _without_strange_targets(rows, found)
    names, first = read_classes(root / classes, found) if classes else (_classes(rows, numbers), 0)
    listing = Listing(root, names, notes=found)
    for where, text in mistakes:
        listing.problem("line", where, text)
    index = {name: str(label) for label, name in enumerate(names)}
    if first:
        found.append(f"{classes} counts from {first}, and so labels are read; written from 0")
    elif numbers and all(row.label is None or is_label(row.label) for row in rows):
        found += _without_clips(rows, names, classes)
        if classes is None:
            # A number is a number, even where a class is called so after its folder.
            index = {}
    for row in rows:
        try:
            path = relative_path(row.path.replace("\\", "/").removeprefix(strip))
            label = None if row.label is None else _label(row.label, index, len(names), first)
            clip = _clip(row, path, label, strip)
        except ViddaError as error:
            listing.problem("line", row.where, str(error))
            continue
        listing.add(row.part.split, row.where, clip)
    return listing


def hold_out_lists(listing: Listing, val_share: float) -> None:
    """Hold out the lists that are not given: by subject or scene, else by clip.

    They are val of train, and of a labeled target target_train and target_val, which target_only is
    trained and validated on. listing: changed in place. val_share: share of the clips to hold out.
    The choice is by a hash of paths, or of subjects or scenes where the clips have such a column.
    """
    lists = listing.lists
    if "train" not in lists or not lists.keys() & {"test", "target"}:
        listing.notes.append(
            "without a train list, and a test or a target list, only manifest.csv is written"
        )
        return
    if "val" not in lists:
        by = _hold_out_part(listing, "train", "val", val_share)
        listing.notes.append(
            f"no val list: {len(lists['val'])} clips of train, picked by a hash of their {by}, are"
            " held out for it"
        )
    if "target" not in lists:
        return
    labels = [listing.clips[path].label for path in lists["target"]]
    if len(labels) > 1 and None not in labels and len(set(labels)) > 1:
        lists["target_train"] = lists["target"]
        by = _hold_out_part(listing, "target_train", "target_val", val_share)
        listing.notes.append(
            f"target_only: {len(lists['target_val'])} clips of target, picked by a hash of their"
            f" {by}, are held out for its validation"
        )
    else:
        listing.lacking["target_train"] = "not all clips of the target list have labels"


def _hold_out_part(listing: Listing, name: str, into: str, share: float) -> str:
    """Move about `share` of a list's clips to the list `into`; return by which column, or path."""
    clips = {path: listing.clips[path] for path in listing.lists[name]}
    column = find_group(clips.values())
    groups = {path: (column and clip_value(clip, column)) or "" for path, clip in clips.items()}
    if column is None or len(set(groups.values())) < 2:
        if column is not None:
            listing.notes.append(
                f"all clips of {name} have the {column} {groups.popitem()[1]!r}: {into} is held out"
                " by clip"
            )
        hold_out(listing, name, into, share, lambda path: path)
        return "path"
    held = hold_out_groups({path: clip.label for path, clip in clips.items()}, groups, share)
    # Kept under another name too, to report a clip that is missing from it.
    listing.lists[name + WHOLE] = listing.lists[name]
    listing.lists[into] = {path: None for path in clips if path in held}
    listing.lists[name] = {path: None for path in clips if path not in held}
    return column


def hold_out(
    listing: Listing, name: str, into: str, share: float, group: Callable[[str], str]
) -> None:
    """Move about `share` of a list's groups of clips (at least one) to the list `into`.

    listing: changed in place. name: of the list. group: gives the name of a clip's group from its
    path. The choice depends only on the groups' names, so it is the same on every machine.
    """
    members = listing.lists[name]
    # Kept under another name too, to report a clip that is missing from it.
    listing.lists[name + WHOLE] = members
    groups = sorted({group(path) for path in members}, key=_hash)
    held_out = set(groups[: max(1, round(share * len(groups)))])
    listing.lists[into] = {path: None for path in members if group(path) in held_out}
    listing.lists[name] = {path: None for path in members if group(path) not in held_out}


def by_stem(tree: Tree) -> dict[str, list[str]]:
    """Return the paths of all videos and images of the tree, by file name without suffix."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in tree:
        if is_media(path):
            found[PurePosixPath(path).stem].append(path)
    return found


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _clip(row: ListRow, path: str, label: int | None, strip: str) -> ClipRecord:
    meta = {"split": row.part.split, **row.meta}
    if "sidecar" in meta:
        meta["sidecar"] = relative_path(meta["sidecar"].replace("\\", "/").removeprefix(strip))
    subject, view = meta.pop("subject", None), meta.pop("view", row.part.view)
    altitude = meta.pop("altitude_m", None)
    meters = None if altitude is None else parse_number("altitude_m", altitude)
    return ClipRecord(path, path, label, row.part.domain, view, subject, meters, None, meta)


def _label(text: str, index: dict[str, str], count: int, first: int) -> int:
    """Return the label in 0..count-1 of a class name, or of a number that counts from `first`."""
    if text in index:
        return int(index[text])
    if not text.isdecimal():
        raise ViddaError(f"class {text[:40]!r} is not one of {', '.join(index)}")
    try:
        return parse_label(text, count, first)
    except ViddaError as error:
        if first and text == "0":
            raise ViddaError(
                f"{error}, as the class file counts; remove the numbers from it if lists count"
                " from 0"
            ) from None
        if not first and text == str(count):
            raise ViddaError(f"{error}; {FROM_ONE}") from None
        raise


def _without_strange_targets(rows: Sequence[ListRow], notes: list[str]) -> Sequence[ListRow]:
    """Return the rows, with unknown labels for target clips whose label no other list has.

    Target labels are hidden in the end and often mean nothing: 0 or `unknown` would become another
    class.
    """
    known = {row.label for row in rows if row.part.split != "target"} - {None}
    strange = [r for r in rows if r.part.split == "target" and r.label not in {*known, None}]
    if not known or not strange:
        return rows
    notes.append(
        f"{len(strange)} target clips have labels that no other list has, read as unknown; first"
        f" {strange[0].label!r:.60} at {strange[0].where}"
    )
    unlabeled = set(map(id, strange))
    return [replace(row, label=None) if id(row) in unlabeled else row for row in rows]


def _without_clips(
    rows: Iterable[ListRow], names: Sequence[str], classes: Path | None
) -> Iterator[str]:
    """Yield a note on classes without clips; with a class file only where labels begin at 1.

    rows: with labels that are numbers or None.
    """
    used = {int(row.label) for row in rows if row.label is not None}
    empty = [label for label in range(len(names)) if label not in used]
    if not used or not empty or (classes and min(used) != 1):
        return
    listed = ", ".join(f"{label} ({names[label]})" for label in empty[:5])
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    yield (
        f"no clip has label {listed}{more}, so {len(empty)} of {len(names)} classes are empty"
        + (f"; {FROM_ONE}" if min(used) == 1 else "")
    )


def _classes(rows: Iterable[ListRow], numbers: bool) -> tuple[str, ...]:
    """Return the class names of the rows: their own, or for numbers those of the clips' folders."""
    labeled = [row for row in rows if row.label is not None]
    labels = {row.label for row in labeled if row.label is not None}
    if not all(label.isascii() and label.isdigit() for label in labels):
        return tuple(sorted(labels))
    ordered = sorted(labels, key=lambda label: (len(label), label))
    if not numbers:
        return tuple(ordered)
    if ordered and not (is_label(ordered[-1]) and int(ordered[-1]) < MOST_CLASSES):
        raise ViddaError(f"label {ordered[-1][:40]} is above {MOST_CLASSES - 1}; is it a label?")
    folders: dict[int, Counter[str]] = defaultdict(Counter)
    for row in labeled:
        # Folders of test sets often do not name the class; those of the training list do.
        if row.part.split == "train":
            folders[int(row.label or 0)][PurePosixPath(row.path).parent.name] += 1
    named = {label: next(iter(found)) for label, found in folders.items() if len(found) == 1}
    count = max((int(label) for label in labels), default=-1) + 1
    if len(set(named.values())) != count or "" in named.values():
        named = {}
    return tuple(named.get(label, str(label)) for label in range(count))
