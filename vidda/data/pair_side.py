"""One side of a pair, its source or its target: a folder of clips, a manifest or a list."""

import csv
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.config import Config
from vidda.data.frame_folders import fold_frames, frame_folder_note
from vidda.data.list_rows import UNKNOWN, ListPart, ListRow, Mistake, build_listing
from vidda.data.listing import (
    Listing,
    Tree,
    is_media,
    left_out_note,
    read_lines,
    split_media,
    walk,
)
from vidda.data.lists import csv_rows, spaced_row
from vidda.data.manifest import load_manifest
from vidda.errors import ViddaError
from vidda.files import size_and_time
from vidda.types import ClipRecord, Manifest

SideName = Literal["source", "target"]

CLIPS = "clips"
"""Name of the one list of a side's listing."""


class PairSource(Config):
    """The labeled clips that are trained on."""

    path: Path = Field(
        description="folder of a folder for each class, a manifest of vidda, or a list of clips;"
        " relative to the root"
    )
    domain: str = Field(
        default="synthetic", description="synthetic (variants can be made), real, or your own name"
    )
    view: str = Field(default="ground", description="ground, air, or a name of your own")
    group: str | None = Field(
        default=None,
        description="column by which clips stay together in a split; by default subject or scene,"
        " where there is one",
    )
    class_file: Path | None = Field(
        default=None,
        description="file of class names for a list whose labels are numbers; relative to the root",
    )


class PairTarget(PairSource):
    """The clips that are adapted to, and tested on where they have labels."""

    domain: str = Field(default="real", description="real, synthetic, or a name of your own")
    labeled: bool = Field(
        default=True,
        description="whether the clips have labels, for a test and target_only; false ignores them",
    )


@dataclass(frozen=True, slots=True)
class SideFile:
    """The folder or file of one side. name: of the side. path: under the root, normalized."""

    side: PairSource
    name: SideName
    root: Path
    path: str

    @property
    def file(self) -> Path:
        """Return its absolute path."""
        return self.root / self.path

    @property
    def labeled(self) -> bool:
        """Return whether its labels are used."""
        return not isinstance(self.side, PairTarget) or self.side.labeled

    @property
    def base(self) -> str:
        """Return the start of the paths of its clips, "" or with a slash at its end.

        Names that a split is drawn by leave it out, so that they do not depend on the root.
        """
        folder = self.path if self.file.is_dir() else posixpath.dirname(self.path)
        return folder + "/" if folder else ""

    def manifest(self) -> Path | None:
        """Return the manifest of vidda that it is or holds, None if it is something else."""
        file = self.file / "manifest.csv" if self.file.is_dir() else self.file
        if file.suffix.lower() != ".csv" or not file.is_file():
            return None
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            header = next(csv.reader(stream), [])
        return file if {"id", "path", "domain"} <= set(header) else None


def find_side(side: PairSource, name: SideName, root: Path) -> SideFile:
    """Return the folder or file of a side. root: of the dataset, absolute.

    Raises ViddaError when it is not there, not under the root, or a single video.
    """
    key = f"dataset.{name}.path"
    whole = posixpath.normpath((root / side.path).as_posix())
    path = posixpath.relpath(whole, root.as_posix())
    if path == ".." or path.startswith("../"):
        raise ViddaError(
            f"{key}: {side.path} is not under the root {root}; set root=DIR to a folder that holds"
            " the source and the target"
        )
    found = SideFile(side, name, root, path)
    if not found.file.exists():
        raise ViddaError(f"{key}: {found.file} is not there; give a folder, a manifest or a list")
    if found.file.is_file() and is_media(path):
        raise ViddaError(f"{key}: {found.file} is one video; give its folder, or a list of videos")
    return found


def require_apart(source: SideFile, target: SideFile) -> None:
    """Raise ViddaError when source and target are one folder or file, or one holds the other."""
    one, other = (os.path.realpath(side.file) for side in (source, target))
    if one == other:
        raise ViddaError(
            f"dataset.source.path and dataset.target.path: both are {one}; give two folders"
        )
    if (
        source.file.is_dir()
        and target.file.is_dir()
        and os.path.commonpath([one, other])
        in (
            one,
            other,
        )
    ):
        outer, inner = sorted((one, other), key=len)
        raise ViddaError(
            f"dataset.source.path and dataset.target.path: {inner} is inside {outer}; give two"
            " folders, neither in the other"
        )


def side_files(found: SideFile) -> Tree:
    """Return the files that the clips of a side may be, by path under the root, as `walk` does.

    Raises ViddaError where its list cannot be read.
    """
    manifest = found.manifest()
    if manifest is None and found.file.is_dir():
        return {f"{found.base}{path}": stat for path, stat in walk(found.file).items()}
    if manifest is not None:
        clips = _manifest_clips(found, manifest).clips
        paths = [clip.path for clip in clips]
    else:
        paths = [row.path for row in _list_rows(found, [], [])]
    tree: Tree = {}
    for path in paths:
        file = found.root / path
        if file.exists():
            tree[path] = size_and_time(file)
    return tree


def read_side(found: SideFile, tree: Tree) -> Listing:
    """Return the listing of a side, with one list, `CLIPS`.

    tree: the files of both sides. Raises ViddaError where it cannot be read or has no clip.
    """
    manifest = found.manifest()
    if manifest is not None:
        listing = _read_manifest(found, manifest)
    elif found.file.is_dir():
        listing = _read_folder(found, tree)
    else:
        listing = _read_list(found)
    listing.covered = ()
    if not listing.clips and not listing.problems:
        raise ViddaError(f"{found.file}: names no clip; dataset.{found.name} needs some")
    return listing


def _read_folder(found: SideFile, tree: Tree) -> Listing:
    paths, others = split_media(tree, found.base)
    if not paths:
        raise ViddaError(
            f"{found.file}: holds no video or image{left_out_note(others)};"
            f" correct dataset.{found.name}.path"
        )
    part, rows = _part(found), []
    paths = fold_frames(paths, found.base)
    for path in paths:
        inner = PurePosixPath(path.removeprefix(found.base)).parts
        rows.append(ListRow(part, path, path, inner[0] if len(inner) > 1 else None))
    note = frame_folder_note(paths, tree)
    listing = _build(found, rows, notes=[f"{found.name}: {note}"] if note else [], numbers=False)
    listing.note_other_files(others)
    return listing


def _read_list(found: SideFile) -> Listing:
    mistakes: list[Mistake] = []
    notes: list[str] = []
    rows = list(_list_rows(found, notes, mistakes))
    return _build(found, rows, mistakes, notes)


def _build(
    found: SideFile,
    rows: list[ListRow],
    mistakes: list[Mistake] | None = None,
    notes: list[str] | None = None,
    *,
    numbers: bool = True,
) -> Listing:
    notes = notes or []
    if not found.labeled:
        labeled = sum(row.label not in (None, *UNKNOWN) for row in rows)
        if labeled:
            kind = "labels" if numbers else "folders, as classes,"
            notes.append(
                f"{found.name}: labeled is false, so the {kind} of {labeled} clips are not used"
            )
        rows = [replace(row, label=None) for row in rows]
    listing = build_listing(
        found.root, rows, found.side.class_file, "", mistakes or [], notes, numbers=numbers
    )
    key = f"dataset.{found.name}.class_file=FILE"
    listing.notes = [_name_key(note, key) for note in listing.notes]
    listing.problems = [replace(p, text=_name_key(p.text, key)) for p in listing.problems]
    listing.lists = {CLIPS: dict.fromkeys(listing.clips)}
    return listing


def _name_key(text: str, key: str) -> str:
    """Return a message on labels with the key that a side's class file has."""
    return text.replace("dataset.classes=FILE", key)


def _list_rows(found: SideFile, notes: list[str], mistakes: list[Mistake]) -> Iterator[ListRow]:
    """Yield the rows of a list, their paths under the root."""
    part, file = _part(found), found.file

    def is_row(line: str) -> bool:
        name = line.rpartition(",")[0] or spaced_row(part, "", line).path
        return any((file.parent / one).is_file() for one in (line, name))

    lines = list(read_lines(file, notes, is_row))
    header = lines[0][1] if lines else ""
    if file.suffix.lower() == ".csv":
        if "path" not in header.split(",") and "youtube_id" in header:
            raise ViddaError(
                f"{file}:1: no column path; prepare Kinetics' lists by dataset.name=csv"
            )
        rows = list(csv_rows(part, lines, {}, mistakes))
    else:
        rows = [spaced_row(part, f"{part.path}:{number}", line) for number, line in lines]
    under_root = _path_rule(found, [row.path for row in rows], notes)
    for row in rows:
        yield replace(row, path=under_root(row.path))


def _path_rule(found: SideFile, paths: list[str], notes: list[str]) -> Callable[[str], str]:
    """Return the function that gives a listed path under the root.

    Paths are relative to the list's folder, or, if only there are any of the files, to the root.
    """
    folder = posixpath.dirname(found.path)

    def exist(start: Path) -> bool:
        return any((start / path).exists() for path in paths)

    if folder and not exist(found.file.parent) and exist(found.root):
        notes.append(f"{found.name}: the paths in {found.path} start from the root")
        folder = ""
    root = found.root.as_posix().rstrip("/") + "/"

    def under_root(path: str) -> str:
        path = path.replace("\\", "/")
        path = path.removeprefix(root) if path.startswith(root) else posixpath.join(folder, path)
        return posixpath.normpath(path)

    return under_root


def _part(found: SideFile) -> ListPart:
    side = found.side
    return ListPart(split="train", path=Path(found.path), domain=side.domain, view=side.view)


def _read_manifest(found: SideFile, file: Path) -> Listing:
    manifest = _manifest_clips(found, file)
    listing = Listing(found.root, manifest.classes)
    labels = sum(clip.label is not None for clip in manifest.clips)
    if labels and not found.labeled:
        listing.notes.append(
            f"{found.name}: labeled is false, so the labels of {labels} clips are not used"
        )
    domains = sorted({clip.domain for clip in manifest.clips} - {"", found.side.domain})
    if domains:
        listing.notes.append(
            f"{found.name}: {found.path} has clips of the domain {', '.join(domains)}, which is"
            f" kept, though dataset.{found.name}.domain is {found.side.domain}"
        )
    for number, clip in enumerate(manifest.clips, 2):
        label = clip.label if found.labeled else None
        domain, view = clip.domain or found.side.domain, clip.view or found.side.view
        clip = replace(clip, label=label, domain=domain, view=view)
        listing.add(CLIPS, f"{found.path}:{number}", clip)
    return listing


def _manifest_clips(found: SideFile, file: Path) -> Manifest:
    """Return a manifest with the paths of its clips, and of their sidecars, under the root.

    Raises ViddaError when its own root is not under the dataset's.
    """
    # Here, because it loads the decoders, which nothing else of a pair needs.
    from vidda.sidecar import default_sidecar

    manifest = load_manifest(file)
    whole = posixpath.normpath(manifest.root.absolute().as_posix())
    inner = posixpath.relpath(whole, found.root.as_posix())
    if inner == ".." or inner.startswith("../"):
        common = os.path.commonpath([whole, found.root])
        raise ViddaError(
            f"{file}: its clips are in {whole}, which is not under the root {found.root};"
            f" set root={common}"
        )

    def moved(clip: ClipRecord) -> ClipRecord:
        sidecar = clip.meta.get("sidecar") or default_sidecar(clip.path)
        meta = dict(clip.meta)
        if "sidecar" in meta or (manifest.root / sidecar).is_file():
            meta["sidecar"] = posixpath.normpath(posixpath.join(inner, sidecar))
        return replace(clip, path=posixpath.normpath(posixpath.join(inner, clip.path)), meta=meta)

    return Manifest(found.root, manifest.classes, tuple(moved(clip) for clip in manifest.clips))
