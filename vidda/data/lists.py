"""Three plain layouts: `path label` lists, a folder for each class, and CSV files.

The CSV layout reads the format that pytorchvideo and SlowFast call CSV (`path label`, no header),
`path,label` with or without a header, and Kinetics' own
`label,youtube_id,time_start,time_end,split`.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.config import FileName
from vidda.data.experiments import Experiments, plain_experiments
from vidda.data.frame_folders import fold_frames, frame_folder_note
from vidda.data.list_rows import ListPart, ListRow, Mistake, build_listing, by_stem, hold_out_lists
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


class _Layout(DatasetConfig):
    """The keys that the three layouts share."""

    task: FileName = Field(
        default="main", description="name of the task and of its folder, splits/TASK"
    )
    parts: tuple[ListPart, ...] = Field(
        min_length=1, description="the lists or folders, each with its split"
    )
    classes: Path | None = Field(
        default=None,
        description="file of class names, relative to the root; by default read from the data",
    )
    val_share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="share of train held out where there is no val part, and of a labeled target"
        " for target_only",
    )

    def experiments(self, root: Path) -> Experiments:
        """Return the experiments of the task: those that the splits of the parts allow."""
        train = [part for part in self.parts if part.split == "train"]
        synthetic = all(part.domain == "synthetic" for part in train)
        lists = {part.split for part in self.parts}
        return plain_experiments(self.task, lists, synthetic=synthetic)


class PlainLists(_Layout):
    """Text files of `path label` lines (or `path` alone where the label is not known)."""

    name: Literal["lists"]
    strip: str = Field(default="", description="prefix to take off every path")

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of all parts. root: of the dataset. tree: its files.

        Raises ViddaError where a list is missing.
        """
        require_lists(root / part.path for part in self.parts)
        notes: list[str] = []
        rows: list[ListRow] = []
        for part in self.parts:

            def named(line: str, part: ListPart = part) -> str | None:
                return _named(spaced_row(part, "", line).path, self.strip, tree)

            lines = read_lines(root / part.path, notes, clip_line_rule(tree, named))
            rows += [spaced_row(part, f"{part.path}:{number}", line) for number, line in lines]
        return _finish(self, root, rows, self.strip, notes=notes)


class ClassFolders(_Layout):
    """A folder of videos or images for each class, under the folder of each part."""

    name: Literal["folders"]

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of all parts. root: of the dataset. tree: its files.

        Raises ViddaError where a folder holds no video or image.
        """
        rows: list[ListRow] = []
        others: list[str] = []
        for part in self.parts:
            prefix = "" if part.path == Path() else part.path.as_posix() + "/"
            found, rest = split_media(tree, prefix)
            if not found:
                raise ViddaError(
                    f"{root / part.path}: holds no video or image{left_out_note(rest)}"
                )
            others += rest
            for path in fold_frames(found, prefix):
                inner = PurePosixPath(path.removeprefix(prefix)).parts
                label = inner[0] if len(inner) > 1 else None
                rows.append(ListRow(part, path, path, label))
        note = frame_folder_note([row.path for row in rows], tree)
        listing = _finish(self, root, rows, "", notes=[note] if note else [], numbers=False)
        listing.note_other_files(others)
        listing.covered = ()
        return listing


class CsvFiles(_Layout):
    """CSV files, in pytorchvideo's, Kinetics' or a plain form, recognized by the first line."""

    name: Literal["csv"]
    strip: str = Field(default="", description="prefix to take off every path")

    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the listing of all parts. root: of the dataset. tree: its files.

        Raises ViddaError where a list is missing.
        """
        require_lists(root / part.path for part in self.parts)
        stems = by_stem(tree)
        mistakes: list[Mistake] = []
        notes: list[str] = []
        rows: list[ListRow] = []

        def named(line: str) -> str | None:
            # With a header the path is a cell; without, it may hold commas that nothing quotes.
            whole = line.rpartition(",")[0] or spaced_row(self.parts[0], "", line).path
            paths = [_named(path, self.strip, tree) for path in (*_cells_of(line)[:1], whole)]
            found = [path for path in paths if path]
            return next((path for path in found if path in tree), found[0] if found else None)

        for part in self.parts:
            lines = list(read_lines(root / part.path, notes, clip_line_rule(tree, named)))
            rows += csv_rows(part, lines, stems, mistakes)
        return _finish(self, root, rows, self.strip, mistakes, notes)


def _finish(
    layout: _Layout,
    root: Path,
    rows: list[ListRow],
    strip: str,
    mistakes: Sequence[Mistake] = (),
    notes: Sequence[str] = (),
    *,
    numbers: bool = True,
) -> Listing:
    listing = build_listing(root, rows, layout.classes, strip, mistakes, notes, numbers=numbers)
    hold_out_lists(listing, layout.val_share)
    return listing


def _named(path: str, strip: str, tree: Tree) -> str | None:
    """Return the path under the root; None if no file is there and its suffix is no clip's."""
    path = path.removeprefix(strip)
    return path if path in tree or is_media(path) else None


def spaced_row(part: ListPart, where: str, line: str) -> ListRow:
    """Return the row of a `path label` line, or of a path alone; a path may hold spaces.

    part: the list that the line is in. where: its location, for messages.
    """
    fields = line.rsplit(None, 1)
    if len(fields) == 1 or (is_media(line) and not fields[1].lstrip("-").isdecimal()):
        return ListRow(part, where, line, None)
    return ListRow(part, where, fields[0], fields[1])


def csv_rows(
    part: ListPart,
    lines: list[tuple[int, str]],
    stems: dict[str, list[str]],
    mistakes: list[Mistake],
) -> Iterator[ListRow]:
    """Yield the rows of a CSV file of any of the three forms.

    part: the list. lines: with their numbers, the header first if there is one. stems: paths of the
    videos by file name without suffix, for Kinetics' form. mistakes: lines that cannot be used are
    appended.
    """
    header = csv_header_cells(lines)
    if "youtube_id" in header:
        yield from _kinetics(part, _cells(part, lines, header, mistakes), stems, mistakes)
    elif "path" in header:
        yield from _headed(part, _cells(part, lines, header, mistakes))
    else:
        for number, line in lines:
            where = f"{part.path}:{number}"
            try:
                yield _plain(part, where, line)
            except ViddaError as error:
                mistakes.append((where, str(error)))


def csv_header_cells(lines: Sequence[tuple[int, str]]) -> list[str]:
    """Return the cells of a CSV file's first line. lines: with their numbers."""
    return _cells_of(lines[0][1]) if lines else []


def _plain(part: ListPart, where: str, line: str) -> ListRow:
    """Return the row of a line `path,label` or `path label`, with the path in quotes or not."""
    if not line.startswith('"'):
        path, comma, label = line.rpartition(",")
        return (
            ListRow(part, where, path, label.strip(' "'))
            if comma
            else spaced_row(part, where, line)
        )
    for separator in (",", " ", "\t"):
        cells = [cell.strip() for cell in _cells_of(line, separator) if cell]
        if cells and len(cells) <= 2:
            return ListRow(part, where, cells[0], cells[1] if len(cells) > 1 else None)
    raise ViddaError(f'{line[:60]!r} is not `"path",label`')


def _cells_of(line: str, separator: str = ",") -> list[str]:
    """Return the cells of a line, an empty list if it is not CSV."""
    reader = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    try:
        return next(reader, [])
    except csv.Error:
        return []


def _cells(
    part: ListPart, lines: list[tuple[int, str]], header: list[str], mistakes: list[Mistake]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each line after the header as (where, cells by column)."""
    for number, line in lines[1:]:
        cells = _cells_of(line)
        where = f"{part.path}:{number}"
        if not cells:
            mistakes.append((where, f"{line[:60]!r} cannot be read as CSV; correct its quotes"))
        elif len(cells) == len(header):
            yield where, dict(zip(header, cells, strict=True))
        else:
            mistakes.append((where, f"{len(cells)} cells, the header has {len(header)}"))


def _headed(part: ListPart, table: Iterable[tuple[str, dict[str, str]]]) -> Iterator[ListRow]:
    for where, cells in table:
        path = cells.pop("path")
        number, name = cells.pop("label", ""), cells.pop("class", "")
        reserved = {"id", "domain", "parent_id", "split"}
        meta = {key: value for key, value in cells.items() if key not in reserved and value}
        yield ListRow(part, where, path, name or number, meta)


def _kinetics(
    part: ListPart,
    table: Iterable[tuple[str, dict[str, str]]],
    stems: dict[str, list[str]],
    mistakes: list[Mistake],
) -> Iterator[ListRow]:
    """Yield the rows of Kinetics' CSV.

    Clips are named ID_START_END with six digits each, in a folder of each class or in one for all.
    The test CSV has no label column. A missing clip gets the path that it should have.
    """
    for where, cells in table:
        label, name = cells.get("label", ""), cells["youtube_id"]
        try:
            name += f"_{int(float(cells['time_start'])):06d}_{int(float(cells['time_end'])):06d}"
        except (KeyError, ValueError, OverflowError):
            mistakes.append((where, "time_start and time_end must be seconds"))
            continue
        found = (
            stems.get(name) or stems.get(cells["youtube_id"]) or [f"{label}/{name}.mp4".lstrip("/")]
        )
        in_class = [path for path in found if PurePosixPath(path).parent.name == label]
        yield ListRow(part, where, (in_class or found)[0], label)
