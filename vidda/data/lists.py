"""Three plain layouts: `path label` lists, a folder for each class, and CSV files.

The CSV layout reads what pytorchvideo and SlowFast call a CSV (`path label`, no header),
`path,label` with or without a header, and Kinetics' own
`label,youtube_id,time_start,time_end,split`.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.config import Config, FileName
from vidda.data.listing import Listing, Tree, is_media, lines_of, require_lists
from vidda.data.rows import Mistake, Part, Row, add_experiments, by_stem, fill
from vidda.errors import ViddaError


class _Layout(Config):
    """The keys of the three layouts."""

    task: FileName = Field(default="main", description="name of the task, for splits/TASK")
    parts: tuple[Part, ...] = Field(min_length=1, description="the lists or folders")
    classes: Path | None = Field(
        default=None,
        description="file of class names, relative to the root; by default read from the data",
    )
    val_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of train held out where there is no val part"
    )


class Lists(_Layout):
    """Text files of `path label` lines (or `path` alone where the label is not known)."""

    name: Literal["lists"]
    strip: str = Field(default="", description="prefix to take off every path")

    def read(self, root: Path, tree: Tree) -> Listing:
        """The listing of all parts."""
        require_lists(root / part.path for part in self.parts)
        rows = [
            _spaced(part, f"{part.path}:{number}", line)
            for part in self.parts
            for number, line in lines_of(root / part.path)
        ]
        return _finish(self, root, rows, self.strip)


class Folders(_Layout):
    """A folder for each class, under the folder of each part."""

    name: Literal["folders"]

    def read(self, root: Path, tree: Tree) -> Listing:
        """The listing of all parts."""
        rows: list[Row] = []
        for part in self.parts:
            prefix = "" if part.path == Path() else part.path.as_posix() + "/"
            found = [p for p in sorted(tree) if p.startswith(prefix) and is_media(p)]
            if not found:
                raise ViddaError(f"{root / part.path}: holds no video or image")
            for path in found:
                inner = PurePosixPath(path.removeprefix(prefix)).parts
                label = inner[0] if len(inner) > 1 else None
                rows.append(Row(part, path, path, label))
        listing = _finish(self, root, rows, "")
        listing.covered = ()
        return listing


class CsvFiles(_Layout):
    """CSV files, in pytorchvideo's, Kinetics' or a plain form; the first line tells which."""

    name: Literal["csv"]
    strip: str = Field(default="", description="prefix to take off every path")

    def read(self, root: Path, tree: Tree) -> Listing:
        """The listing of all parts."""
        require_lists(root / part.path for part in self.parts)
        stems = by_stem(tree)
        mistakes: list[Mistake] = []
        rows = [
            row for part in self.parts for row in _csv_rows(part, root / part.path, stems, mistakes)
        ]
        return _finish(self, root, rows, self.strip, mistakes)


def _finish(
    layout: _Layout, root: Path, rows: list[Row], strip: str, mistakes: Sequence[Mistake] = ()
) -> Listing:
    listing = fill(root, rows, layout.classes, strip, mistakes)
    add_experiments(listing, layout.task, layout.val_share)
    return listing


def _spaced(part: Part, where: str, line: str) -> Row:
    """A `path label` line, or a path alone; a path may hold spaces."""
    fields = line.rsplit(None, 1)
    if len(fields) == 1 or (is_media(line) and not fields[1].lstrip("-").isdecimal()):
        return Row(part, where, line, None)
    return Row(part, where, fields[0], fields[1])


def _csv_rows(
    part: Part, file: Path, stems: dict[str, list[str]], mistakes: list[Mistake]
) -> Iterator[Row]:
    lines = list(lines_of(file))
    header = next(csv.reader([lines[0][1]]), []) if lines else []
    if "youtube_id" in header:
        yield from _kinetics(part, _cells(part, lines, header, mistakes), stems, mistakes)
    elif "path" in header:
        yield from _headed(part, _cells(part, lines, header, mistakes))
    else:
        for number, line in lines:
            where = f"{part.path}:{number}"
            path, comma, label = line.rpartition(",")
            yield Row(part, where, path, label.strip()) if comma else _spaced(part, where, line)


def _cells(
    part: Part, lines: list[tuple[int, str]], header: list[str], mistakes: list[Mistake]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each line after the header as (where, cells by column)."""
    for number, line in lines[1:]:
        cells = next(csv.reader([line]))
        where = f"{part.path}:{number}"
        if len(cells) == len(header):
            yield where, dict(zip(header, cells, strict=True))
        else:
            mistakes.append((where, f"{len(cells)} cells, the header has {len(header)}"))


def _headed(part: Part, table: Iterable[tuple[str, dict[str, str]]]) -> Iterator[Row]:
    for where, cells in table:
        path = cells.pop("path")
        number, name = cells.pop("label", ""), cells.pop("class", "")
        taken = {"id", "domain", "view", "subject", "altitude_m", "parent_id", "split"}
        meta = {key: value for key, value in cells.items() if key not in taken and value}
        yield Row(part, where, path, name or number, meta)


def _kinetics(
    part: Part,
    table: Iterable[tuple[str, dict[str, str]]],
    stems: dict[str, list[str]],
    mistakes: list[Mistake],
) -> Iterator[Row]:
    """Kinetics names clips ID_START_END with six digits each, in folders of the class or in one.

    The test CSV has no label column. A clip that is not there gets the path it should have.
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
        yield Row(part, where, (in_class or found)[0], label)
