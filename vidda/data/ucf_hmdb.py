"""UCF-HMDB, by the lists of TA3N (Chen et al., ICCV 2019): `path num_frames label`.

Their paths point to folders of extracted features; only the last part, the video's name, is used
here, and the video is found by it wherever it is under the root.
"""

from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.data.experiments import Experiment, Experiments
from vidda.data.list_rows import ListPart, ListRow, Mistake, Split, build_listing, by_stem, hold_out
from vidda.data.listing import (
    DatasetConfig,
    Listing,
    Tree,
    clip_line_rule,
    read_lines,
    require_lists,
)

SETS = {"ucf": "ucf101", "hmdb": "hmdb51"}
SPLITS: tuple[Split, ...] = ("train", "val")


class UcfHmdb(DatasetConfig):
    """UCF-HMDB: the videos of UCF101 and HMDB51 under one root, and TA3N's four lists."""

    name: Literal["ucf_hmdb"]
    lists: Path = Field(
        default=Path(), description="folder of the four lists, relative to the root"
    )
    suffix: str = Field(
        default="_hmdb_ucf-feature",
        pattern=r"^[^/\\]*$",
        description="suffix of the lists' names, list_{ucf101,hmdb51}_{train,val}SUFFIX.txt",
    )
    classes: Path | None = Field(
        default=None,
        description="file of class names (`index name` lines), such as classInd_hmdb_ucf.txt,"
        " relative to the root",
    )
    val_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the target's training videos that target_only validates on",
    )

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of the four lists.

        root: of the dataset. tree: its files. Validation is on the source's val list, never on the
        target; target_only holds out some of the target's training videos, all clips of one film
        together. Raises ViddaError where a list is missing.
        """
        require_lists(root / self._file(name, split) for name in SETS for split in SPLITS)
        stems = by_stem(tree)
        listings = {name: self._read_set(root, name, stems, tree) for name in SETS}
        whole = Listing(root, max((found.classes for found in listings.values()), key=len))
        for name, found in listings.items():
            whole.problems += found.problems
            whole.notes += [note for note in found.notes if note not in whole.notes]
            for split, members in found.lists.items():
                for path in members:
                    whole.add(f"{name}_{split}", path, found.clips[path])
            hold_out(found, "train", "val_tsonly", self.val_share, _film)
            whole.lists[f"{name}_train_tsonly"] = found.lists["train"]
            whole.lists[f"{name}_val_tsonly"] = found.lists["val_tsonly"]
        # The sets hold 101 and 51 classes; the lists name twelve of them.
        whole.covered = ()
        return whole

    def experiments(self, root: Path) -> Experiments:
        """Return the six experiments of ucf2hmdb and hmdb2ucf."""
        found = {}
        for source, target in (("ucf", "hmdb"), ("hmdb", "ucf")):
            test = {"test": f"{target}_val"}
            parts = {"train": f"{source}_train", "val": f"{source}_val", **test}
            own = {"train": f"{target}_train_tsonly", "val": f"{target}_val_tsonly", **test}
            task = f"{source}2{target}"
            found[f"{task}/source_only"] = Experiment(parts, False)
            found[f"{task}/adapted"] = Experiment({**parts, "target": f"{target}_train"}, False)
            found[f"{task}/target_only"] = Experiment(own, False)
        return found

    def _file(self, name: str, split: Split) -> Path:
        return self.lists / f"list_{SETS[name]}_{split}{self.suffix}.txt"

    def _read_set(self, root: Path, name: str, stems: dict[str, list[str]], tree: Tree) -> Listing:
        rows: list[ListRow] = []
        mistakes: list[Mistake] = []
        notes: list[str] = []

        def named(line: str) -> str | None:
            fields = line.rsplit(None, 2)
            whole = len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal()
            # The folder is not used, so a `#` before one is a comment's.
            if not whole or (line.startswith("#") and "/" in fields[0]):
                return None
            name = PurePosixPath(fields[0]).name
            return stems.get(name, [name])[0]

        is_row = clip_line_rule(tree, named)
        for split in SPLITS:
            file = self._file(name, split)
            part = ListPart(split=split, path=file, domain=SETS[name])
            for number, line in read_lines(root / file, notes, is_row):
                where = f"{file.name}:{number}"
                fields = line.rsplit(None, 2)
                if len(fields) != 3 or not fields[1].isdecimal():
                    mistakes.append((where, f"{line!r} is not `path num_frames label`"))
                    continue
                video = PurePosixPath(fields[0].replace("\\", "/")).name
                found = stems.get(video, [video])
                if len(found) > 1:
                    mistakes.append((where, f"{video} is {' and '.join(found)}; keep one"))
                rows.append(ListRow(part, where, found[0], fields[2], {"num_frames": fields[1]}))
        listing = build_listing(root, rows, self.classes, mistakes=mistakes, notes=notes)
        listing.lists = {split: listing.lists.get(split, {}) for split in SPLITS}
        return listing


def _film(path: str) -> str:
    """Return a clip's film: UCF's group (of v_X_g01_c02), HMDB's name before its six tags."""
    name = PurePosixPath(path).stem
    return name.rsplit("_", 1)[0] if name.startswith("v_") else name.rsplit("_", 6)[0]
