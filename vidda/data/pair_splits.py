"""The splits of a pair's source and target, by groups of clips or by clip, and notes on them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from vidda.data.group_splits import clip_value, find_group, hold_out_clips, hold_out_groups
from vidda.data.list_rows import Split
from vidda.data.listing import Listing
from vidda.data.pair_side import SideFile
from vidda.errors import ViddaError
from vidda.types import ClipRecord

Clips = Mapping[str, ClipRecord]


def split_source(listing: Listing, found: SideFile, clips: Clips, share: float, seed: int) -> None:
    """Add the source's clips to a listing, in its lists train and val.

    clips: labeled. share: of them for val. Raises ViddaError where there are too few.
    """
    splitter = _Splitter(listing, found, clips, _column(found, clips), seed)
    val = splitter.hold_out(clips, share, "val")
    if not val:
        raise ViddaError(splitter.too_few("train and val"))
    parts = {"train": [path for path in clips if path not in val], "val": sorted(val)}
    _add(listing, "train", "train", (clips[path] for path in parts["train"]))
    _add(listing, "val", "val", (clips[path] for path in parts["val"]))
    splitter.note(parts)


def split_target(
    listing: Listing, found: SideFile, clips: Clips, shares: tuple[float, float], seed: int
) -> None:
    """Add the target's clips to a listing, in its lists target, test, target_train and target_val.

    shares: of the clips for test, and of the rest for target_val. Without labels all clips are in
    target. Raises ViddaError where there are too few.
    """
    if not found.labeled:
        listing.notes.append(
            f"target: {len(clips)} clips without labels, so there is no test and no target_only;"
            " scores that need no labels, and predictions, are made on them"
        )
        _add(listing, "target", "target", clips.values())
        return
    splitter = _Splitter(listing, found, clips, _column(found, clips), seed)
    held = splitter.hold_out(clips, shares[0], "test", keep=2)
    test = [path for path in clips if path in held and clips[path].label is not None]
    rest = {path: clip for path, clip in clips.items() if path not in held}
    if not test:
        raise ViddaError(splitter.too_few("test and target"))
    _add(listing, "test", "test", (clips[path] for path in test))
    _add(listing, "target", "target", rest.values())
    parts = {"test": test, **_target_only(listing, splitter, rest, shares[1])}
    splitter.note(parts)
    hidden = sum(clip.label is None for clip in rest.values())
    lost = len(held) - len(test)
    if hidden:
        listing.notes.append(f"target: {hidden} clips without a label are only adapted to")
    if lost:
        listing.notes.append(
            f"target: {lost} clips without a label are left out: their {splitter.column} is that"
            " of test clips"
        )


def task_lists(task: str) -> dict[str, str]:
    """Return the names of a task's own lists, by those that a single task has."""
    return {name: f"{task}_{name}" for name in ("target", "test", "target_train", "target_val")}


def split_by_subject(
    listing: Listing,
    found: SideFile,
    clips: Clips,
    tests: Mapping[str, Collection[str]],
    share: float,
    seed: int,
) -> None:
    """Add the target's clips to a listing, in the lists of each task that `task_lists` names.

    tests: by task the subjects of its test; the clips of all others, labels hidden, are its target.
    share: of the labeled ones of these for target_val, by the side's group. Raises ViddaError where
    a subject has no labeled clip, or a task leaves nobody to adapt to.
    """
    _require_subjects(found, clips, tests)
    splitter = _Splitter(listing, found, clips, _column(found, clips), seed)
    for task, subjects in tests.items():
        names = task_lists(task)
        own = {path: clip for path, clip in clips.items() if clip.subject in subjects}
        test = [path for path, clip in own.items() if clip.label is not None]
        rest = {path: clip for path, clip in clips.items() if path not in own}
        # A clip is in the test of one task and the target of another: its column `split` says where
        # it comes from.
        _add(listing, names["test"], "target", (clips[path] for path in test))
        _add(listing, names["target"], "target", rest.values())
        parts = _target_only(listing, splitter, rest, share, names)
        splitter.note({names["test"]: test, **parts})


def _require_subjects(found: SideFile, clips: Clips, tests: Mapping[str, Collection[str]]) -> None:
    """Raise ViddaError unless every task of `test_subjects` has labeled test and other clips."""
    key = "dataset.test_subjects"
    if not found.labeled:
        raise ViddaError(f"{key}: a target without labels has no test; set dataset.target.labeled")
    known = sorted({c.subject for c in clips.values() if c.subject and c.label is not None})
    for task, subjects in tests.items():
        strange = [name for name in subjects if name not in known]
        if strange or not subjects:
            what = f"no labeled clip of subject {strange[0]!r}" if strange else "names no subject"
            listed = ", ".join(known) or "none, for want of a column subject"
            raise ViddaError(f"{key}.{task}: {what}; {found.path} has {listed}")
        if all(clip.subject in subjects for clip in clips.values()):
            raise ViddaError(
                f"{key}.{task}: all clips of {found.path} are in the test, and none is left to"
                " adapt to; name fewer subjects"
            )


def _target_only(
    listing: Listing,
    splitter: "_Splitter",
    rest: Clips,
    share: float,
    names: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Add the lists of target_only, if the clips suffice, and return the parts of the rest.

    names: of the lists, where they have other names than those of a single task.
    """
    whole, into, held = (
        (names or {}).get(name, name) for name in ("target", "target_train", "target_val")
    )
    labeled = {path: clip for path, clip in rest.items() if clip.label is not None}
    val = splitter.hold_out(labeled, share, held) if labeled else set()
    train = [path for path in labeled if path not in val]
    if not val or len({labeled[path].label for path in train}) < 2:
        listing.lacking[into] = (
            f"{len(labeled)} labeled target clips are not in the test, too few to train and to"
            " validate on; give the target more clips, or the test fewer"
        )
        return {whole: list(rest)}
    parts = {into: train, held: sorted(val)}
    listing.lists |= {name: dict.fromkeys(paths) for name, paths in parts.items()}
    return parts


def _add(listing: Listing, name: str, split: Split, clips: Iterable[ClipRecord]) -> None:
    for clip in clips:
        clip = replace(clip, meta={**clip.meta, "split": split})
        listing.add(name, clip.path, clip)


def _column(found: SideFile, clips: Clips) -> str | None:
    """Return the column by which the clips of a side stay together, None where there is none."""
    column = found.side.group
    if column is None:
        return find_group(clips.values())
    if all(clip_value(clip, column) is None for clip in clips.values()):
        there = sorted({name for clip in clips.values() for name in clip.meta} - {"split"})
        raise ViddaError(
            f"dataset.{found.name}.group: no clip of {found.path} has a column {column!r}; it has"
            f" {', '.join(there) or 'none'}: name one of these, or leave the key out"
        )
    return column


@dataclass(frozen=True, slots=True)
class _Splitter:
    """A split of one side's clips. column: by which they stay together, None for each alone."""

    listing: Listing
    found: SideFile
    clips: Clips
    column: str | None
    seed: int

    def hold_out(self, clips: Clips, share: float, into: str, keep: int = 1) -> set[str]:
        """Return the paths of about `share` of some of the clips.

        into: name of their list. keep: see `hold_out_groups`. By clip, those without a label are
        never chosen.
        """
        # A manifest's ids, or paths without the side's folder: another root gives equal splits.
        path_of = {
            path.removeprefix(self.found.base) if clip.id == path else clip.id: path
            for path, clip in clips.items()
        }
        labels = {name: clips[path].label for name, path in path_of.items()}
        groups = {name: self._group(path) for name, path in path_of.items()}
        if len(set(groups.values())) > 1 and self.column is not None:
            held = hold_out_groups(labels, groups, share, self.seed, keep)
            return {path_of[name] for name in held}
        if self.column is not None:
            only = next(iter(groups.values()))
            self._say(f"{into} is held out by clip, as all have the {self.column} {only!r}")
        labels = {name: label for name, label in labels.items() if label is not None}
        return {path_of[name] for name in hold_out_clips(labels, share, self.seed)}

    def note(self, parts: Mapping[str, Collection[str]]) -> None:
        """Note the clips and groups of each part, and the classes that a part has no clip of."""
        if self.column is None:
            by = "by clip, as no column says which clips belong together"
            counted = [f"{name} {len(paths)} clips" for name, paths in parts.items()]
        else:
            by = f"by {self.column}"
            counted = [
                f"{name} {len(paths)} clips of {self._count(paths)}"
                for name, paths in parts.items()
            ]
            without = sum(clip_value(clip, self.column) is None for clip in self.clips.values())
            if without:
                self._say(f"{without} clips have no {self.column} and stay together as one")
        self._say(f"split {by}: {', '.join(counted)}")
        present = {name: self._classes(paths) for name, paths in parts.items()}
        for name, classes in present.items():
            lacking = set().union(*present.values()) - classes
            if lacking:
                listed = ", ".join(sorted(lacking))
                self._say(f"{name} has no clip of {listed}; they are too few to be on both sides")

    def too_few(self, parts: str) -> str:
        """Return the message where the side cannot be split into parts."""
        return (
            f"dataset.{self.found.name}: {len(self.clips)} clips of {self.found.path} cannot be"
            f" split into {parts}; give at least two clips of a class"
        )

    def _classes(self, paths: Collection[str]) -> set[str]:
        labels = {self.clips[path].label for path in paths}
        return {self.listing.classes[label] for label in labels if label is not None}

    def _count(self, paths: Collection[str]) -> str:
        count = len({self._group(path) for path in paths})
        return f"{count} {self.column}{'s' if count > 1 else ''}"

    def _group(self, path: str) -> str:
        return (self.column and clip_value(self.clips[path], self.column)) or ""

    def _say(self, text: str) -> None:
        self.listing.notes.append(f"{self.found.name}: {text}")
