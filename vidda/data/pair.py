"""A pair of two folders, manifests or lists: a labeled source, and a target with labels or without.

The validation clips are a share of the source. Of a labeled target a share is the test, and of the
rest a share is what target_only is validated on. Clips of one group, such as a subject, are in one
part. With `test_subjects` there are several tasks, each tested on the subjects that it names.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.config import FileName
from vidda.data.experiments import Experiment, Experiments, plain_experiments, rename_lists
from vidda.data.listing import BLOCKING, DatasetConfig, Listing, Tree
from vidda.data.pair_classes import ClassRule, match_classes
from vidda.data.pair_reading import read_side, side_files
from vidda.data.pair_side import PairSource, PairTarget, SideFile, find_side, require_apart
from vidda.data.pair_splits import split_by_subject, split_source, split_target, task_lists
from vidda.errors import ViddaError


class DomainPair(DatasetConfig):
    """Any two sets of clips: a labeled source, and a target with labels or without."""

    name: Literal["pair"]
    task: FileName = Field(
        default="source2target", description="name of the task and of its folder, splits/TASK"
    )
    source: PairSource = Field(description="the labeled clips, often rendered")
    target: PairTarget = Field(description="the clips to adapt to and to test on")
    classes: ClassRule = Field(
        default="error",
        description="of classes in one domain only: intersection drops their clips, error refuses"
        " them",
    )
    val_share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="share of the source held out for validation, and of a labeled target's"
        " training clips for target_only",
    )
    test_share: float = Field(
        default=0.3, gt=0, lt=1, description="share of a labeled target that is the test"
    )
    test_subjects: dict[FileName, tuple[str, ...]] = Field(
        default={},
        description="tasks by name, each with the subjects of the target that are its test, while"
        " all others are adapted to; none: one task, by test_share",
    )
    seed: int = Field(default=0, description="decides which clips or groups the shares are")

    def files(self, root: Path) -> Tree:
        """Return the files of the source and of the target; nothing else under the root is read.

        Raises ViddaError where one of them is not there or cannot be read.
        """
        source, target = self._sides(root)
        return side_files(source) | side_files(target)

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of both sides with their splits.

        root: absolute. tree: the files of both. Raises ViddaError where a side cannot be read, is
        too small to split, shares clips with the other, or has other classes.
        """
        sides = self._sides(root)
        source = read_side(sides[0], tree)
        target = read_side(sides[1], tree, source.classes)
        listing = Listing(root, (), notes=[*source.notes, *target.notes], covered=())
        listing.problems = [*source.problems, *target.problems]
        if any(problem.kind in BLOCKING for problem in listing.problems):
            reason = "lines of the lists cannot be used"
            listing.lacking = dict.fromkeys(("train", "target", "test", "target_train"), reason)
            return listing
        _require_labels(source, target, sides, listing.notes)
        listing.classes = match_classes(source, target, self.classes, listing.notes)
        shared = sorted(source.clips.keys() & target.clips.keys())
        if shared:
            raise ViddaError(
                f"{len(shared)} clips are in both source and target, first {shared[0]}; remove them"
                " from one of the two"
            )
        _rename_shared_ids(source, target, listing.notes)
        split_source(listing, sides[0], source.clips, self.val_share, self.seed)
        if self.test_subjects:
            tests, share = self.test_subjects, self.val_share
            split_by_subject(listing, sides[1], target.clips, tests, share, self.seed)
        else:
            shares = self.test_share, self.val_share
            split_target(listing, sides[1], target.clips, shares, self.seed)
        return listing

    def experiments(self, root: Path) -> Experiments:
        """Return the experiments of its tasks: without a test where the target has no labels."""
        synthetic = self.source.domain == "synthetic"
        if self.test_subjects:
            found: dict[str, Experiment] = {}
            for task in self.test_subjects:
                own = plain_experiments(task, {"train", "target", "test"}, synthetic=synthetic)
                found |= rename_lists(own, task_lists(task))
            return found
        lists = {"train", "target", *(("test",) if self.target.labeled else ())}
        return plain_experiments(self.task, lists, synthetic=synthetic)

    def _sides(self, root: Path) -> tuple[SideFile, SideFile]:
        sides = find_side(self.source, "source", root), find_side(self.target, "target", root)
        require_apart(*sides)
        return sides


def _require_labels(
    source: Listing, target: Listing, sides: tuple[SideFile, SideFile], notes: list[str]
) -> None:
    """Drop the source's clips without labels; raise ViddaError where a side needs some.

    notes: a line on those dropped is appended.
    """
    for side, listing in zip(sides, (source, target), strict=True):
        if side.labeled and not any(clip.label is not None for clip in listing.clips.values()):
            remedy = "put the clips into a folder for each class, or name classes in a list"
            if side.name == "target":
                remedy += ", or set dataset.target.labeled=false"
            raise ViddaError(f"dataset.{side.name}: no clip of {side.file} has a label; {remedy}")
    dropped = [path for path, clip in source.clips.items() if clip.label is None]
    if dropped:
        notes.append(
            f"source: {len(dropped)} clips without a label are left out, first {dropped[0]}"
        )
    source.clips = {path: clip for path, clip in source.clips.items() if clip.label is not None}


def _rename_shared_ids(source: Listing, target: Listing, notes: list[str]) -> None:
    """Give the target's clips whose ids the source has too, as of two manifests, their paths."""
    ids = {clip.id for clip in source.clips.values()}
    shared = [path for path, clip in target.clips.items() if clip.id in ids]
    if shared:
        notes.append(
            f"target: {len(shared)} clips have ids that the source has too, first"
            f" {target.clips[shared[0]].id!r}; their paths are their ids"
        )
    for path in shared:
        target.clips[path] = replace(target.clips[path], id=path)
