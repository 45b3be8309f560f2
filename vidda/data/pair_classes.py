"""The classes that the source and the target of a pair share, matched by their names."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from vidda.data.listing import Listing
from vidda.errors import ViddaError

ClassRule = Literal["intersection", "error"]


def match_classes(
    source: Listing, target: Listing, rule: ClassRule, notes: list[str]
) -> tuple[str, ...]:
    """Return the classes that have clips in both listings, as the source spells them, in its order.

    The labels of both listings become indices of them. Names match where they differ only in case,
    spaces, underscores and hyphens. rule: whether the clips of classes in one listing only are
    dropped, or an error. A target without any label has all classes of the source. notes: what was
    found is appended. Raises ViddaError where fewer than two classes are left.
    """
    counts = {"source": _counts(source), "target": _counts(target)}
    keys = {name: _by_key(found, name) for name, found in counts.items()}
    if counts["target"]:
        if all(name.isdecimal() for found in counts.values() for name in found):
            notes.append("the classes of both have no names but numbers, and match by these")
        _note_spellings(keys["source"], keys["target"], notes)
        alone = list(_in_one_only(keys, counts))
        if alone and rule == "error":
            raise ViddaError(
                f"dataset.classes: {'; '.join(alone)}; give a class one name in both, or set"
                " dataset.classes=intersection, which leaves their clips out"
            )
        notes += [f"left out, by dataset.classes=intersection: {line}" for line in alone]
    shared = keys["source"].keys() & (keys["target"] if counts["target"] else keys["source"]).keys()
    classes = tuple(name for key, name in keys["source"].items() if key in shared)
    if len(classes) < 2:
        found = f"one class only, {classes[0]!r}" if classes else "no class"
        where = "source and target share" if counts["target"] else "the source has"
        raise ViddaError(
            f"dataset.classes: {where} {found}; recognition takes two or more, such as a folder for"
            " each below dataset.source.path"
        )
    for listing in (source, target):
        _relabel(listing, {class_key(name): label for label, name in enumerate(classes)})
    return classes


def class_key(name: str) -> str:
    """Return the text that is equal for two names of one class."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def _counts(listing: Listing) -> dict[str, int]:
    """Return the number of clips of each class that has any, in the order of the classes."""
    counts = Counter(clip.label for clip in listing.clips.values())
    return {name: counts[label] for label, name in enumerate(listing.classes) if counts[label]}


def _by_key(names: Iterable[str], side: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(class_key(name), name)
        if other != name:
            raise ViddaError(
                f"dataset.{side}: its classes {other!r} and {name!r} differ only in case, spaces,"
                " underscores or hyphens; give them one name, or names that differ"
            )
    return found


def _note_spellings(source: dict[str, str], target: dict[str, str], notes: list[str]) -> None:
    pairs = [(source[key], name) for key, name in target.items() if source.get(key, name) != name]
    if pairs:
        listed = ", ".join(f"{other!r} as {name!r}" for name, other in pairs[:5])
        more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        notes.append(f"classes of the target are taken for the source's: {listed}{more}")


def _in_one_only(
    keys: Mapping[str, dict[str, str]], counts: Mapping[str, dict[str, int]]
) -> Iterable[str]:
    for side, other in (("source", "target"), ("target", "source")):
        alone = [name for key, name in keys[side].items() if key not in keys[other]]
        if alone:
            listed = ", ".join(f"{name!r} ({counts[side][name]} clips)" for name in alone)
            yield f"only in the {side}: {listed}"


def _relabel(listing: Listing, label_of: dict[str, int]) -> None:
    """Replace the labels, and drop the clips of classes that are not in `label_of`."""
    new = {old: label_of.get(class_key(name)) for old, name in enumerate(listing.classes)}
    listing.clips = {
        path: clip if clip.label is None else replace(clip, label=new[clip.label])
        for path, clip in listing.clips.items()
        if clip.label is None or new[clip.label] is not None
    }
