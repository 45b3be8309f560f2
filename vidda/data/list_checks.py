"""Checks of lists against files: what is missing, misplaced, unlisted or unreadable."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from vidda.data.experiments import Experiments
from vidda.data.listing import WHOLE, Listing, Problem, Tree, is_media
from vidda.data.shared_clips import SharedClip, SharedClipSearch
from vidda.errors import ViddaError
from vidda.types import ClipRecord

APART = (
    ("train", "val"), ("train", "test"), ("train", "target"), ("val", "test"), ("target", "test"),
)  # fmt: skip
"""Parts of an experiment that may share no clip; the labels of target clips would be known."""


@dataclass(frozen=True, slots=True)
class ListCheck:
    """The result of `check_lists`: the clips and lists to write, and what is wrong.

    clips: those kept, by path. lists: the kept paths of each list. experiments: those to write.
    left_out: for each one that is not, the reason. dropped: number of clips that are missing or
    unreadable.
    shared: clips of a test list that are in train, target or val too, and of a val or target list
    that are in train too.
    """

    clips: dict[str, ClipRecord]
    lists: dict[str, list[str]]
    experiments: Experiments
    left_out: dict[str, str]
    problems: list[Problem]
    dropped: int
    shared: list[SharedClip]


def check_lists(
    listing: Listing,
    experiments: Experiments,
    tree: Tree,
    unreadable: Callable[[list[str]], dict[str, str]],
) -> ListCheck:
    """Compare a listing with the files, and drop the clips that are missing or unreadable.

    experiments: those that the dataset states. tree: the files under the root. unreadable: maps the
    paths of clips to what is wrong with those that cannot be decoded. Raises ViddaError when not
    one listed clip is in the tree.
    """
    problems = list(listing.problems)
    left_out = _lists_left_out(listing, tree)
    wanted = [
        path for name, members in listing.lists.items() if name not in left_out for path in members
    ]
    if not wanted and not problems:
        if not listing.clips:
            raise ViddaError(f"{listing.root}: the lists name no clip")
        raise ViddaError(
            f"{listing.root}: not one of {len(listing.clips)} listed clips is there, such as"
            f" {next(iter(listing.clips))}; set root=DIR to the folder that their paths start from"
        )
    wanted = list(dict.fromkeys(wanted))
    missing = [path for path in wanted if path not in tree]
    problems += [Problem("missing", path, "") for path in missing]
    problems += _wrong_folders(listing, wanted)
    problems += [
        Problem("unlisted", path, "")
        for path in tree
        if path.startswith(listing.covered) and is_media(path) and path not in listing.clips
    ]
    broken = unreadable([path for path in wanted if path in tree])
    problems += [Problem("unreadable", path, text) for path, text in broken.items()]
    gone = {*missing, *broken}
    clips = {path: listing.clips[path] for path in wanted if path not in gone}
    lists = {
        name: [path for path in members if path in clips]
        for name, members in listing.lists.items()
        if name not in left_out
    }
    left_out |= {name: "none of its clips is usable" for name, kept in lists.items() if not kept}
    reasons = _experiments_without(experiments, listing, left_out)
    kept = {name: one for name, one in experiments.items() if name not in reasons}
    # Without a stated experiment the lists have the names of the parts.
    several = [one.parts for one in kept.values()] if experiments else [{n: n for n in lists}]
    shared = list(_shared(listing, several, lists))
    return ListCheck(clips, lists, kept, reasons, problems, len(gone), shared)


def experiments_left_out(listing: Listing, experiments: Experiments, tree: Tree) -> dict[str, str]:
    """Return the reason for each experiment whose lists the data do not have.

    experiments: those that the dataset states. tree: the files under the root.
    """
    return _experiments_without(experiments, listing, _lists_left_out(listing, tree))


def _lists_left_out(listing: Listing, tree: Tree) -> dict[str, str]:
    """Return the reason for each list that is lacking, or of which no clip is there."""
    return listing.lacking | {
        name: f"none of its {len(members)} clips is there"
        if members
        else "the list is not there or empty"
        for name, members in listing.lists.items()
        if not any(path in tree for path in members)
    }


def _shared(
    listing: Listing, several: Iterable[Mapping[str, str]], lists: dict[str, list[str]]
) -> Iterator[SharedClip]:
    """Yield the clips, same by path or content, of two lists that should share none."""
    search = SharedClipSearch()
    apart: dict[tuple[str, str], None] = {}
    for parts in several:
        apart.update(dict.fromkeys(_to_be_apart(parts, lists)))
    for first, second in apart:
        here, there = (
            {path: listing.root / path for path in lists[name]} for name in (first, second)
        )
        if pairs := search.between(here, there):
            yield SharedClip(first.removesuffix(WHOLE), second, pairs)


def _to_be_apart(parts: Mapping[str, str], lists: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of an experiment's lists that may share no clip."""
    whole = parts.get("train", "") + WHOLE
    if whole in lists:
        # Clips held out for val are reported as of train: there the user finds them.
        parts = {**{part: parts[part] for part in parts.keys() - {"val"}}, "train": whole}
    for first, second in APART:
        if parts.get(first) in lists and parts.get(second) in lists:
            yield parts[first], parts[second]


def _wrong_folders(listing: Listing, paths: list[str]) -> Iterator[Problem]:
    index = {name: label for label, name in enumerate(listing.classes)}
    for path in paths:
        label = listing.clips[path].label
        folder = path.split("/")[-2] if "/" in path else ""
        if label is not None and index.get(folder, label) != label:
            text = f"the list says {label} ({listing.classes[label]})"
            yield Problem("class", path, text)


def _experiments_without(
    experiments: Experiments, listing: Listing, left_out: dict[str, str]
) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for name, experiment in experiments.items():
        lists = experiment.parts.values()
        lacking = [one for one in lists if one in left_out or one not in listing.lists]
        if lacking:
            reason = left_out.get(lacking[0], "the list is not there")
            reasons[name] = f"{lacking[0]}: {reason}"
    return reasons
