"""Shares of clips, held out by groups such as subjects, or by clip: the same on every machine."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from vidda.types import ClipRecord

Labels = Mapping[str, int | None]
"""Label of each clip, None where it is not known, by a name that is the same on every machine."""

GROUPS = ("subject", "scene")
"""Columns by which clips stay together where no other is named."""


def clip_value(clip: ClipRecord, column: str) -> str | None:
    """Return the text of a clip in a column of its manifest, None where it is empty."""
    if column in ClipRecord.__dataclass_fields__ and column != "meta":
        value = getattr(clip, column)
        return None if value is None else str(value)
    return clip.meta.get(column) or None


def find_group(clips: Collection[ClipRecord]) -> str | None:
    """Return the first of `GROUPS` in which a clip has a value, None if there is none."""
    return next((one for one in GROUPS if any(clip_value(clip, one) for clip in clips)), None)


def hold_out_clips(labels: Labels, share: float, seed: int = 0) -> set[str]:
    """Return the names of about `share` of each class's clips, chosen by a hash of name and seed.

    labels: of the clips. share: in 0..1. Of a class with one clip none is chosen, of others at
    least one, and at least one stays.
    """
    members: dict[int | None, list[str]] = defaultdict(list)
    for name in sorted(labels, key=lambda name: _hash(seed, name)):
        members[labels[name]].append(name)
    return {
        name
        for names in members.values()
        for name in names[: min(len(names) - 1, max(1, round(share * len(names))))]
    }


def hold_out_groups(
    labels: Labels, groups: Mapping[str, str], share: float, seed: int = 0, keep: int = 1
) -> set[str]:
    """Return the names of about `share` of the clips, those of one group all or none.

    labels: of the clips. groups: the group of each, two or more in all. share: in 0..1. seed:
    decides, with a hash of the groups' names, which are chosen. Where the groups allow, every class
    has clips on both sides, even if more than `share` are held out for it. keep: groups of each
    class to leave where that is possible: 2 if a part of them is held out next.
    """
    counts: dict[str, Counter[int]] = {groups[name]: Counter() for name in labels}
    sizes = Counter(groups[name] for name in labels)
    for name, label in labels.items():
        if label is not None:
            counts[groups[name]][label] += 1
    classes = {group: set(found) for group, found in counts.items()}
    chosen = _choose(classes, sizes, share * len(labels), seed, keep)
    return {name for name in labels if groups[name] in chosen}


def _choose(
    classes: Mapping[str, set[int]],
    sizes: Mapping[str, int],
    wanted: float,
    seed: int,
    keep: int,
) -> set[str]:
    """Return the groups to hold out.

    classes, sizes: classes that each group has, and its number of clips. wanted: clips in all.
    """
    order = sorted(classes, key=lambda group: _hash(seed, group))
    place = {group: number for number, group in enumerate(order)}
    left = Counter(label for found in classes.values() for label in found)
    missing = set(left)
    chosen: set[str] = set()
    large = 2 * max(wanted, min(sizes.values()))

    def short(group: str, least: int) -> int:
        """Return how many classes would be in fewer than `least` of the groups left."""
        return sum(left[label] <= least for label in classes[group])

    def rank(group: str) -> tuple[int, int, bool, int]:
        covered = len(missing & classes[group])
        return short(group, 1), -covered, sizes[group] > large, place[group]

    def hold(group: str) -> None:
        chosen.add(group)
        left.subtract(classes[group])
        missing.difference_update(classes[group])

    while missing and len(chosen) < len(order) - 1:
        best = min((group for group in order if group not in chosen), key=rank)
        if chosen and (short(best, 1) or not missing & classes[best]):
            break
        hold(best)
    for group in order:
        held = sum(sizes[one] for one in chosen)
        nearer = abs(held + sizes[group] - wanted) < abs(held - wanted)
        free = group not in chosen and len(chosen) < len(order) - 1
        if free and nearer and (not chosen or not short(group, keep)):
            hold(group)
    return chosen or {min(order, key=rank)}


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
