"""Manifests on disk: a CSV of clips, and `dataset.json` beside or above it with root and classes.

`dataset.json` completes a CSV: `{"format": "vidda-dataset-1", "root": ..., "classes": ...}`. It
serves every CSV of its folder and of the folders below. Of a CSV without one, its folder is the
root, and its `label` and `class` columns give the classes.
"""

import csv
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vidda.errors import ViddaError
from vidda.files import atomic, write_text
from vidda.types import ClipRecord, Manifest, require_distinct

FORMAT = "vidda-dataset-1"
DATASET = "dataset.json"
LEVELS = 4
"""Number of folders, from a CSV's own upwards, in which its dataset.json is searched: that of
splits/<task>/<setting>/train.csv is in the fourth."""

COLUMNS = (
    "id", "path", "label", "class", "domain", "view", "subject", "altitude_m", "parent_id",
)  # fmt: skip
BOX_COLUMNS = ("box_x0", "box_y0", "box_x1", "box_y1")
"""Usual names of further columns with a clip's box: left, upper, right and lower edge in pixels."""

MOST_CLASSES = 100_000
SHOWN = 20
"""Number of mistakes of one file that are printed; the others are counted."""


def load_manifest(path: Path | str) -> Manifest:
    """Load a manifest from its CSV, or from the folder that holds `manifest.csv`.

    path: of the CSV or the folder. Returns its clips, root and classes. Raises ViddaError with a
    line for each mistake (`manifest.csv:17: label 7 not in 0..6`).
    """
    file = Path(path)
    if file.is_dir():
        file = file / "manifest.csv"
    header, rows = _read_csv(file)
    description = _find_dataset_json(file)
    if description is None:
        root, classes = file.parent.absolute(), _classes_from(header, rows)
        require_distinct(classes, str(file))
    else:
        root, classes = _read_dataset(description)
    problems: list[str] = []
    clips = _records(file.name, header, rows, classes, problems)
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    return Manifest(root, classes, tuple(clips), classes_inferred=description is None)


def save_manifest(manifest: Manifest, path: Path | str) -> None:
    """Write a manifest as the CSV `path` and, last, the `dataset.json` beside it, each atomically.

    An empty `dataset.json` is written again. Raises ViddaError where an existing one has another
    root or other classes: it serves the CSVs that are there already.
    """
    file = Path(path)
    description = file.parent / DATASET
    exists = description.exists() and description.stat().st_size > 0
    if exists:
        root, classes = _read_dataset(description)
        if (root, classes) != (manifest.root.absolute(), manifest.classes):
            raise ViddaError(
                f"{description}: has another root or other classes; choose another folder"
            )
    columns = meta_columns(manifest.clips)
    lines = csv_lines(manifest.clips, manifest.classes, columns)
    write_csv(file, csv_header(columns), lines)
    if not exists:
        write_dataset(file.parent, manifest.root, manifest.classes, {})


def write_dataset(
    folder: Path, root: Path, classes: Sequence[str], more: dict[str, object]
) -> None:
    """Write `folder/dataset.json` with the root, the classes and the further keys `more`."""
    content = {"format": FORMAT, "root": _portable(folder, root), "classes": list(classes), **more}
    write_text(folder / DATASET, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def meta_columns(clips: Iterable[ClipRecord]) -> list[str]:
    """Return the names of all columns in the clips' `meta`, in order of first appearance."""
    names: dict[str, None] = {}
    for clip in clips:
        names.update(dict.fromkeys(clip.meta))
    return list(names)


def csv_header(columns: Sequence[str], *, labeled: bool = True) -> str:
    """Return the header line of a manifest.

    columns: names of further columns. labeled: whether there are the columns label and class.
    """
    return csv_line([*_own_columns(labeled), *columns])


def csv_lines(
    clips: Iterable[ClipRecord],
    classes: Sequence[str],
    columns: Sequence[str],
    *,
    labeled: bool = True,
) -> list[str]:
    """Return one CSV line for each clip.

    classes: names, index by index. columns, labeled: as for `csv_header`.
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\n")
    for c in clips:
        label = ("" if c.label is None else c.label, "" if c.label is None else classes[c.label])
        altitude = "" if c.altitude_m is None else f"{c.altitude_m:g}"
        row = [c.id, c.path, *(label if labeled else ()), c.domain, c.view]
        row += [c.subject or "", altitude, c.parent_id or ""]
        row += [c.meta.get(name, "") for name in columns]
        writer.writerow(row)
    return lines


def csv_line(cells: Sequence[object]) -> str:
    """Return one CSV line of the cells, with its line end."""
    lines = _Lines()
    csv.writer(lines, lineterminator="\n").writerow(cells)
    return lines[0]


def write_csv(file: Path, header: str, lines: Iterable[str]) -> None:
    """Write a CSV of lines that end with a line end, atomically."""
    with atomic(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        stream.write(header)
        stream.writelines(lines)


def is_label(text: str) -> bool:
    """Return whether text is a whole number of at most 18 digits, which fits into int64."""
    return text.isascii() and text.isdigit() and len(text) < 19


def parse_number(name: str, text: str) -> float:
    """Parse a finite number. name: of its column, for the ViddaError where it is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ViddaError(f"{name} {text!r} is not a number")
    return value


def first_problems(problems: Sequence[str]) -> list[str]:
    """Return the first `SHOWN` problems and a count of the others."""
    more = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]


class _Lines(list[str]):
    """A list that csv.writer can write to as to a file: it calls `write` once a row."""

    write = list.append


def _own_columns(labeled: bool) -> list[str]:
    return [name for name in COLUMNS if labeled or name not in ("label", "class")]


def _portable(folder: Path, root: Path) -> str:
    """Return `root` as dataset.json in `folder` names it.

    It is relative where one holds the other or both are in one folder: those are moved together.
    """
    folder, root = folder.absolute(), root.absolute()
    near = root.is_relative_to(folder.parent) or folder.is_relative_to(root)
    if near and folder.parent != Path(folder.anchor):
        return Path(os.path.relpath(root, folder)).as_posix()
    return root.as_posix()


def _find_dataset_json(csv_file: Path) -> Path | None:
    for folder in csv_file.absolute().parents[:LEVELS]:
        file = folder / DATASET
        if file.is_file() and read_description(file).get("format") == FORMAT:
            return file
    return None


def read_description(file: Path) -> dict[str, Any]:
    """Return the content of a dataset.json, an empty mapping where there is none.

    Raises ViddaError where it is no JSON.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ViddaError(f"{file}: cannot be read as JSON: {error}") from None
    return content if isinstance(content, dict) else {}


def _read_dataset(file: Path) -> tuple[Path, tuple[str, ...]]:
    content = read_description(file)
    root, classes = content.get("root"), content.get("classes")
    if not isinstance(root, str) or not isinstance(classes, list):
        raise ViddaError(f'{file}: needs "root" (text) and "classes" (a list of names)')
    folder = Path(os.path.normpath(file.parent.absolute() / root))
    if not folder.is_dir():
        raise ViddaError(
            f'{file}: root {folder} is not there; move the data back or correct "root"'
        )
    names = tuple(str(name) for name in classes)
    require_distinct(names, str(file))
    return folder, names


def _read_csv(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and each row with the number of the line it ends on."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError:
        raise ViddaError(f"{file}: no such manifest; vidda prepare writes them") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ViddaError(f"{file}: cannot be read as a manifest: {error}") from None
    if "path" not in header:
        raise ViddaError(f"{file}:1: no column 'path'; a manifest starts with {','.join(COLUMNS)}")
    duplicated = sorted({name for name in header if header.count(name) > 1})
    if duplicated:
        raise ViddaError(f"{file}:1: column {duplicated[0]!r} is duplicated; remove one")
    return header, rows


def _classes_from(header: list[str], rows: list[tuple[int, list[str]]]) -> tuple[str, ...]:
    """Return the classes by the columns label and class; a label without a name gets its number."""
    column = {name: header.index(name) for name in ("label", "class") if name in header}
    whole = [row for _, row in rows if len(row) == len(header)]
    if "label" not in column:
        return tuple(sorted({row[column["class"]] for row in whole} - {""})) if column else ()
    names: dict[int, str] = {}
    for row in whole:
        text = row[column["label"]]
        if is_label(text) and int(text) < MOST_CLASSES:
            name = row[column["class"]] if "class" in column else ""
            names.setdefault(int(text), name or text)
    return tuple(names.get(index, str(index)) for index in range(max(names, default=-1) + 1))


def _records(
    name: str,
    header: list[str],
    rows: list[tuple[int, list[str]]],
    classes: tuple[str, ...],
    problems: list[str],
) -> list[ClipRecord]:
    index = {label: str(i) for i, label in enumerate(classes)}
    clips: list[ClipRecord] = []
    line_of: dict[str, int] = {}
    for number, row in rows:
        if len(row) != len(header):
            problems.append(f"{name}:{number}: {len(row)} cells, the header has {len(header)}")
            continue
        cells = dict(zip(header, row, strict=True))
        try:
            clip = _record(cells, index, len(classes))
        except ViddaError as error:
            problems.append(f"{name}:{number}: {error}")
            continue
        if clip.id in line_of:
            problems.append(f"{name}:{number}: id {clip.id!r} is on line {line_of[clip.id]} too")
        line_of.setdefault(clip.id, number)
        clips.append(clip)
    return clips


def _record(cells: dict[str, str], index: dict[str, str], count: int) -> ClipRecord:
    """Return one clip from its cells by column; removes them from `cells`.

    index: label, as text, of each class name. count: of classes.
    """
    path = cells.pop("path")
    label, named = cells.pop("label", ""), cells.pop("class", "")
    if label and not (is_label(label) and int(label) < count):
        raise ViddaError(f"label {label[:40]} not in 0..{count - 1}")
    if named and index.get(named) is None:
        raise ViddaError(f"class {named!r} is not one of {', '.join(index)}")
    if named and label and index[named] != label:
        raise ViddaError(f"class {named!r} has label {index[named]}, not {label}")
    altitude = cells.pop("altitude_m", "")
    return ClipRecord(
        id=cells.pop("id", "") or path,
        path=path,
        label=int(label or index[named]) if label or named else None,
        domain=cells.pop("domain", ""),
        view=cells.pop("view", ""),
        subject=cells.pop("subject", "") or None,
        altitude_m=parse_number("altitude_m", altitude) if altitude else None,
        parent_id=cells.pop("parent_id", "") or None,
        meta={key: value for key, value in cells.items() if value},
    )
