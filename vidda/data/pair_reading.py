"""The clips of one side of a pair, from a folder, a manifest of vidda or a list."""

import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vidda.data.frame_folders import fold_frames, frame_folder_note, is_clip
from vidda.data.list_rows import UNKNOWN, ListPart, ListRow, Mistake, build_listing
from vidda.data.listing import Listing, Tree, left_out_note, read_lines, split_media, walk
from vidda.data.lists import csv_header_cells, csv_rows, spaced_row
from vidda.data.manifest import load_manifest
from vidda.data.pair_classes import class_key
from vidda.data.pair_side import SideFile
from vidda.errors import ViddaError
from vidda.files import size_and_time
from vidda.types import ClipRecord, Manifest

CLIPS = "clips"
"""Name of the one list of a side's listing."""


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
        if is_clip(file):
            tree[path] = size_and_time(file)
    return tree


def read_side(found: SideFile, tree: Tree, classes: Sequence[str] = ()) -> Listing:
    """Return the listing of a side, with one list, `CLIPS`.

    tree: the files of both sides. classes: the source's, of a target. Raises ViddaError where it
    cannot be read or has no clip.
    """
    manifest = found.manifest()
    if manifest is not None:
        listing = _read_manifest(found, manifest)
    elif found.file.is_dir():
        listing = _read_folder(found, tree, classes)
    else:
        listing = _read_list(found)
    listing.covered = ()
    if not listing.clips and not listing.problems:
        raise ViddaError(f"{found.file}: names no clip; dataset.{found.name} needs some")
    return listing


def _read_folder(found: SideFile, tree: Tree, classes: Sequence[str]) -> Listing:
    paths, others = split_media(tree, found.base)
    if not paths:
        raise ViddaError(
            f"{found.file}: holds no video or image{left_out_note(others)};"
            f" correct dataset.{found.name}.path"
        )
    part, rows = _part(found), []
    # A target without labels need not have class folders: then its folders of images are clips.
    keys = {class_key(name) for name in classes}
    paths = fold_frames(
        paths, found.base, lambda folder: found.labeled or class_key(folder) in keys
    )
    beside = _folder_sidecars(found, paths, tree)
    for path in paths:
        inner = PurePosixPath(path.removeprefix(found.base)).parts
        label = inner[0] if len(inner) > 1 else None
        rows.append(ListRow(part, path, path, label, beside.get(path, {})))
    note = frame_folder_note(paths, tree)
    listing = _build(found, rows, notes=[f"{found.name}: {note}"] if note else [], numbers=False)
    listing.note_other_files(others)
    return listing


def _folder_sidecars(
    found: SideFile, paths: Sequence[str], tree: Tree
) -> dict[str, dict[str, str]]:
    """Return the column `sidecar` of each clip whose sidecar is in its usual place in the folder.

    paths: of the clips, under the root.
    """
    # Here, because it loads the decoders, which nothing else of a pair needs.
    from vidda.sidecar import default_sidecar

    usual = {path: found.base + default_sidecar(path.removeprefix(found.base)) for path in paths}
    return {path: {"sidecar": file} for path, file in usual.items() if file in tree}


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
        return any(is_clip(file.parent / one) for one in (line, name))

    lines = list(read_lines(file, notes, is_row))
    if file.suffix.lower() == ".csv":
        columns = csv_header_cells(lines)
        if "path" not in columns and {"label", "class", "youtube_id"} & set(columns):
            raise ViddaError(
                f"{file}:1: no column path among {', '.join(columns)}; name the column of the"
                " clips' paths so (Kinetics' own lists are for dataset.name=csv)"
            )
        rows = list(csv_rows(part, lines, {}, mistakes))
    else:
        rows = [spaced_row(part, f"{part.path}:{number}", line) for number, line in lines]
    under_root = _path_rule(found, [row.path for row in rows], notes)
    for row in rows:
        beside = {key: under_root(row.meta[key]) for key in row.meta if key == "sidecar"}
        yield replace(row, path=under_root(row.path), meta={**row.meta, **beside})


def _path_rule(found: SideFile, paths: list[str], notes: list[str]) -> Callable[[str], str]:
    """Return the function that gives a listed path under the root.

    Paths are relative to the list's folder, or, if only there are any of the files, to the root.
    """
    folder = posixpath.dirname(found.path)

    def exist(start: Path) -> bool:
        return any(is_clip(start / path) for path in paths if path)

    if folder and not exist(found.file.parent) and exist(found.root):
        notes.append(f"{found.name}: the paths in {found.path} start from the root")
        folder = ""
    root = found.root.as_posix().rstrip("/") + "/"

    def under_root(path: str) -> str:
        path = path.replace("\\", "/")
        if not path:
            return path
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
