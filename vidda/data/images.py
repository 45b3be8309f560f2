"""Image sets as clips of one frame: VisDA-2017 and S2RDA-49."""

from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.data.experiments import Experiments, plain_experiments
from vidda.data.list_rows import ListPart, ListRow, Split, build_listing, hold_out_lists
from vidda.data.listing import (
    DatasetConfig,
    Listing,
    Tree,
    clip_line_rule,
    is_media,
    left_out_note,
    read_lines,
    require_lists,
    split_media,
)
from vidda.errors import ViddaError


class Visda2017(DatasetConfig):
    """VisDA-2017 classification: train/, validation/ and test/, each with its image_list.txt.

    Source: Peng et al., VisDA: The Visual Domain Adaptation Challenge, 2017 (arXiv 1710.06924).
    """

    name: Literal["visda2017"]
    val_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of train/ held out for validation"
    )

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of all three lists. root: the dataset's folder. tree: its files.

        train/ is the source, validation/ the unlabeled target, test/ the test. Without test/ the
        target itself is the test, as in most papers; then `adapted` would train on its test images,
        and only source_only is planned. Raises ViddaError where a list is missing.
        """
        tested = _has_test(root)
        parts = [
            ListPart(split="train", path=Path("train"), domain="synthetic", view="object"),
            ListPart(split="target" if tested else "test", path=Path("validation"), view="object"),
        ]
        if tested:
            parts.append(ListPart(split="test", path=Path("test"), view="object"))
        require_lists(root / part.path / "image_list.txt" for part in parts)
        rows: list[ListRow] = []
        notes: list[str] = []
        for part in parts:
            folder = part.path.as_posix()

            def named(line: str, folder: str = folder) -> str | None:
                path = f"{folder}/{line.rsplit(None, 1)[0]}"
                return path if path in tree or is_media(path) else None

            file = root / folder / "image_list.txt"
            for number, line in read_lines(file, notes, clip_line_rule(tree, named)):
                path, *label = line.rsplit(None, 1)
                where = f"{folder}/image_list.txt:{number}"
                rows.append(ListRow(part, where, f"{folder}/{path}", label[0] if label else None))
        listing = build_listing(root, rows, None, notes=notes)
        if not tested:
            listing.notes.append(
                "no test/image_list.txt: validation/ is the test set, so main/adapted, whose target"
                " it would be, is not written"
            )
        hold_out_lists(listing, self.val_share)
        return listing

    def experiments(self, root: Path) -> Experiments:
        """Return the experiments of its one task, main."""
        lists = {"train", "target", "test"} if _has_test(root) else {"train", "test"}
        return plain_experiments("main", lists, synthetic=True)


def _has_test(root: Path) -> bool:
    return (root / "test" / "image_list.txt").is_file()


class S2rda49(DatasetConfig):
    """S2RDA-49: synthetic/CLASS/FILE, real/CLASS/FILE, and the official real_{val,test}.txt.

    Source: Tang and Jia, A New Benchmark: On the Utility of Synthetic Data, CVPR 2023.
    """

    name: Literal["s2rda49"]
    splits: Path = Field(
        default=Path("splits"),
        description="folder of real_val.txt and real_test.txt, relative to the root",
    )
    val_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of synthetic/ held out for validation"
    )

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of the three sets. root: the dataset's folder. tree: its files.

        synthetic/ is the source, real_val.txt the unlabeled target, real_test.txt the test. The
        lists give only paths: a clip's class is its folder. Raises ViddaError where a list or all
        images of synthetic/ are missing.
        """
        require_lists(root / self.splits / name for name in ("real_val.txt", "real_test.txt"))
        source = ListPart(split="train", path=Path("synthetic"), domain="synthetic", view="object")
        paths, others = split_media(tree, "synthetic/")
        if not paths:
            raise ViddaError(
                f"{root / 'synthetic'}: holds no image; expected CLASS/FILE in it"
                f"{left_out_note(others)}"
            )
        rows = [ListRow(source, path, path, PurePosixPath(path).parent.name) for path in paths]
        targets: tuple[tuple[Split, str], ...] = (
            ("target", "real_val.txt"),
            ("test", "real_test.txt"),
        )
        notes: list[str] = []
        is_row = clip_line_rule(tree, lambda line: line if line in tree or is_media(line) else None)
        for split, name in targets:
            part = ListPart(split=split, path=self.splits / name, view="object")
            rows += [
                ListRow(part, f"{name}:{number}", line, PurePosixPath(line).parent.name)
                for number, line in read_lines(root / self.splits / name, notes, is_row)
            ]
        listing = build_listing(root, rows, None, notes=notes)
        listing.note_other_files(others)
        listing.covered = ("synthetic/", "real/")
        hold_out_lists(listing, self.val_share)
        return listing

    def experiments(self, root: Path) -> Experiments:
        """Return the experiments of its one task, main."""
        return plain_experiments("main", {"train", "target", "test"}, synthetic=True)
