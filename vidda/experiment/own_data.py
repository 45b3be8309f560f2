"""The data that `vidda init` is given: their layout, and keys of `vidda prepare` to read them.

Nothing is copied or decoded; what is reported is read as `vidda prepare` will read it.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vidda.data.experiments import tasks_of
from vidda.data.listing import IMAGES, Listing, is_media, suffix
from vidda.data.manifest import load_manifest
from vidda.data.pair import DomainPair
from vidda.data.pair_classes import ClassRule, match_classes
from vidda.data.pair_reading import read_side, side_files
from vidda.data.pair_side import PairSource, PairTarget, SideFile, find_side
from vidda.data.prepare import PrepareConfig
from vidda.data.prepare_tables import MEANING
from vidda.data.rocog import DOMAINS, RocogV2
from vidda.data.rocog_zips import ZIPS
from vidda.data.survey import Survey, survey
from vidda.errors import ViddaError

MOST_CLASSES_SHOWN = 12
NO_LABELS = "no clip has a label"


@dataclass(frozen=True, slots=True)
class OwnData:
    """Data as they were found. prepare: the keys of vidda prepare that read them, but for its out.

    known: their experiments and clips. found: lines that describe them. notes: lines on what was
    decided, and on what is left out with the reason.
    """

    prepare: PrepareConfig
    known: Survey
    found: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def listing(self) -> Listing:
        """Return the clips and their lists."""
        assert self.known.listing is not None
        return self.known.listing

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the tasks that the data allow."""
        return tasks_of(self.known.experiments)

    def count(self, part: str) -> int:
        """Return the fewest clips that a part, such as train or target, has in any experiment."""
        named = {one.parts[part] for one in self.known.experiments.values() if part in one.parts}
        return min((len(self.listing.lists.get(name, ())) for name in named), default=0)


def find_own_data(source: Path, target: Path | None, out: Path) -> OwnData:
    """Look at a source and a target, or at a tree of RoCoG-v2, and return what was found.

    out: folder that vidda prepare will write. Raises ViddaError with what is wrong with the data.
    """
    missing = [
        f"{name}: {path} is not there; give a folder, a manifest or a list"
        for name, path in (("source", source), ("target", target))
        if path is not None and not path.exists()
    ]
    if missing:
        raise ViddaError("\n".join(missing))
    if target is None:
        return _rocog(source, out)
    return _pair(source, target, out)


def _rocog(source: Path, out: Path) -> OwnData:
    domains = [source / name for name in DOMAINS] + [source / name for name in ZIPS]
    if not (source / "annotations").is_dir() or not any(path.exists() for path in domains):
        raise ViddaError(
            f"source: {source} alone is no tree of RoCoG-v2 (annotations/, and syn/ or real/ or"
            " their zip files); name the clips to adapt to as well: target=FOLDER"
        )
    dataset = RocogV2(name="rocog_v2")
    prepare = PrepareConfig(root=_short(source), out=out, dataset=dataset)
    known = _surveyed(prepare)
    assert known.listing is not None
    clips = known.listing.clips.values()
    kinds = Counter((clip.domain, clip.view) for clip in clips)
    counted = ", ".join(f"{count} {domain} {view}" for (domain, view), count in kinds.items())
    found = f"source: {source}: a tree of RoCoG-v2; {_classes(known.listing)}; clips: {counted}"
    return OwnData(prepare, known, (found,), tuple(_notes(known)))


def _pair(source: Path, target: Path, out: Path) -> OwnData:
    root = _common_root(source, target)
    config, other = PairSource(path=_under(root, source)), PairTarget(path=_under(root, target))
    side = find_side(config, "source", root)
    labeled = read_side(side, side_files(side))
    found = [_described(side, labeled)]
    side, listing = _read_target(other, root, labeled)
    described = _described(side, listing)
    rule, unlabeled = _class_rule(labeled, listing)
    if unlabeled:
        other = other.model_copy(update={"labeled": False})
        described = _described(*_read_target(other, root, labeled))
    pair = DomainPair(name="pair", source=config, target=other, classes=rule)
    found.append(described)
    prepare = PrepareConfig(root=_short(root), out=out, dataset=pair)
    known = _surveyed(prepare)
    said = unlabeled and unlabeled != NO_LABELS  # the notes of the listing say that
    notes = [f"target: taken without labels: {unlabeled}"] if said else []
    return OwnData(prepare, known, tuple(found), (*notes, *_notes(known)))


def _read_target(config: PairTarget, root: Path, source: Listing) -> tuple[SideFile, Listing]:
    side = find_side(config, "target", root)
    return side, read_side(side, side_files(side), source.classes)


def _surveyed(prepare: PrepareConfig) -> Survey:
    known = survey(prepare, complete=True)
    if not known.experiments:
        reasons = [f"{name}: {reason}" for name, reason in known.left_out.items()]
        reasons += [str(problem) for problem in known.listing.problems] if known.listing else []
        raise ViddaError("\n".join(["no experiment can be made of these data:", *reasons[:20]]))
    return known


def _common_root(source: Path, target: Path) -> Path:
    """Return the folder that holds both sides, and the clips of those that are manifests."""
    paths = [_whole(source), _whole(target)]
    root = Path(os.path.commonpath(paths))
    for path in paths:
        manifest = SideFile(PairSource(path=path), "source", path.parent, path.name).manifest()
        if manifest is not None:
            root = Path(os.path.commonpath([root, _whole(load_manifest(manifest).root)]))
    return root if root.is_dir() else root.parent


def _under(root: Path, path: Path) -> Path:
    return Path(os.path.relpath(_whole(path), root))


def _whole(path: Path) -> Path:
    """Return a path as absolute, without `..`; links are kept."""
    return Path(os.path.normpath(path.absolute()))


def _short(folder: Path) -> Path:
    """Return a folder relative to the current one where it is below it, else absolute."""
    whole, here = _whole(folder), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _class_rule(source: Listing, target: Listing) -> tuple[ClassRule, str]:
    """Return the rule for the classes, and why the target is taken without labels, "" if it is not.

    The listings' labels are changed.
    """
    if all(clip.label is None for clip in target.clips.values()):
        return "error", NO_LABELS
    rules: tuple[ClassRule, ...] = ("error", "intersection")
    names = ", ".join(target.classes[:MOST_CLASSES_SHOWN])
    for rule in rules:
        try:
            match_classes(source, target, rule, [])
        except ViddaError:
            continue
        return rule, ""
    return "error", (
        f"its classes ({names}) are not the source's; if they should be, give them the same names"
    )


def _described(side: SideFile, listing: Listing) -> str:
    labels = [clip for clip in listing.clips.values() if clip.label is not None]
    text = f"{side.name}: {_short(side.file)}: {_layout(side, listing)}; {len(listing.clips)} clips"
    text += f" of {_classes(listing)}" if labels else " without labels"
    unlabeled = len(listing.clips) - len(labels)
    text += f", {unlabeled} of them without a label" if labels and unlabeled else ""
    columns = {name for clip in listing.clips.values() for name in clip.meta} - {"split", "sidecar"}
    columns |= {"subject"} if any(clip.subject for clip in listing.clips.values()) else set()
    return f"{text}; columns: {', '.join(sorted(columns))}" if columns else text


def _layout(side: SideFile, listing: Listing) -> str:
    if side.manifest() is not None:
        return "a manifest of vidda"
    if side.file.is_file():
        return "a CSV list" if suffix(side.path) == ".csv" else "a list of paths and labels"
    kinds = {_kind(path) for path in listing.clips}
    inner = [PurePosixPath(path.removeprefix(side.base)) for path in listing.clips]
    folders = all(len(path.parts) > 1 for path in inner)
    what = " and ".join(sorted(kinds))
    return f"a folder of {what} for each class" if folders else f"one folder of {what}"


def _kind(path: str) -> str:
    if not is_media(path):
        return "folders of frames"
    return "images" if suffix(path) in IMAGES else "videos"


def _classes(listing: Listing) -> str:
    """Return the number of classes and their names, each with its clips."""
    counts = Counter(clip.label for clip in listing.clips.values())
    named = [
        f"{name} ({counts[label]})" for label, name in enumerate(listing.classes) if counts[label]
    ]
    more = len(named) - MOST_CLASSES_SHOWN
    shown = named if more <= 0 else [*named[:MOST_CLASSES_SHOWN], f"and {more} more"]
    return f"{len(named)} classes: {', '.join(shown)}"


def _notes(known: Survey) -> Iterator[str]:
    """Yield the notes of a listing, and what is left out with the reason."""
    assert known.listing is not None
    yield from known.listing.notes
    problems = Counter(problem.kind for problem in known.listing.problems)
    for kind, count in problems.items():
        first = next(one for one in known.listing.problems if one.kind == kind)
        yield f"{count} {MEANING[kind]}, first {first}"
    yield from _reasons(known.left_out.items())


def _reasons(left_out: Iterable[tuple[str, str]]) -> Iterator[str]:
    for experiment, reason in left_out:
        yield f"left out: {experiment}: {reason}"
