"""What a dataset's lists say, before anything is written: clips, experiments and problems."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from vidda.data.manifest import MOST_CLASSES, class_number
from vidda.errors import ViddaError
from vidda.types import ClipRecord

VIDEOS = frozenset((".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"))
IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp"))

Tree = dict[str, tuple[int, int]]
"""Every file under a root, by its path with forward slashes: (size in bytes, mtime in ns)."""

Kind = Literal["line", "class", "missing", "unreadable", "duplicate", "unlisted", "columns"]

BLOCKING: dict[Kind, str] = {
    "line": "mend the list",
    "class": "move the file to its class's folder or mend the list",
}
"""Mistakes that nothing but mending gets past, with the remedy."""

DROPPING: dict[Kind, str] = {
    "missing": "get the files, or go on without them by allow_missing=true",
    "unreadable": "get the files again, or go on without them by allow_missing=true",
}
"""Clips that can be left out where the user says so, with the remedy."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one file or one line of a list.

    where: the file's path under the root, or `list.txt:17`.
    """

    kind: Kind
    where: str
    text: str

    def __str__(self) -> str:
        named = not self.text or self.where in self.text
        return self.text or self.where if named else f"{self.where}: {self.text}"


@dataclass(slots=True)
class Listing:
    """A dataset as its lists describe it, filled line by line.

    clips: by path. lists: the paths of each list, in its order.
    experiments: for each `task/setting` the list of each part (train, target, val, test).
    notes: what the user should know but need not mend.
    covered: prefixes of the folders in which every video should stand in some list.
    """

    root: Path
    classes: tuple[str, ...]
    clips: dict[str, ClipRecord] = field(default_factory=dict)
    lists: dict[str, dict[str, None]] = field(default_factory=dict)
    experiments: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    covered: tuple[str, ...] = ("",)

    def problem(self, kind: Kind, where: str, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, where, text))

    def add(self, list_name: str, where: str, clip: ClipRecord) -> None:
        """Add a clip to a list; a line that says the same twice, or otherwise, is a problem."""
        members = self.lists.setdefault(list_name, {})
        known = self.clips.get(clip.path)
        labels = {clip.label, known.label if known else None} - {None}
        if len(labels) > 1:
            said = f"label {clip.label}, but another line says {known.label if known else None}"
            self.problem("line", where, f"{clip.path}: {said}")
        elif clip.path in members:
            self.problem("duplicate", where, f"{clip.path}: stands in this list before")
        members[clip.path] = None
        if known is None or known.label is None:
            self.clips[clip.path] = clip


def walk(root: Path) -> Tree:
    """Every file under `root` except hidden ones; links are followed, each folder is read once.

    Raises ViddaError when a folder cannot be read or a name is not UTF-8: no CSV could hold it.
    """
    tree: Tree = {}
    seen: set[str] = set()
    folders = [("", str(root))]
    while folders:
        prefix, folder = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not entry.name.isprintable():
                        _require_utf8(folder, entry.name)
                    if entry.is_dir():
                        folders.append((prefix + entry.name + "/", entry.path))
                    elif entry.is_file():
                        stat = entry.stat()
                        tree[prefix + entry.name] = (stat.st_size, stat.st_mtime_ns)
        except OSError as error:
            raise ViddaError(f"{folder}: cannot be read: {error.strerror}") from None
    return tree


def _require_utf8(folder: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ViddaError(f"{folder}: the name {name!r} is not UTF-8; rename it") from None


def suffix(path: str) -> str:
    """The suffix of a path in lower case, as `.mp4`."""
    return PurePosixPath(path).suffix.lower()


def is_media(path: str) -> bool:
    """Whether a path names a video or an image."""
    return suffix(path) in VIDEOS or suffix(path) in IMAGES


def require_lists(files: Iterable[Path]) -> None:
    """Raise ViddaError with a line for each list that is not there."""
    missing = [f"{file}: no such list" for file in files if not file.is_file()]
    if missing:
        raise ViddaError("\n".join(missing))


def lines_of(file: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file, stripped, without blank and comment (`#`) lines."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ViddaError(f"{file}: cannot be read as a list: {reason}") from None
    # Not splitlines(): it also splits at characters that may stand in a file name.
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def relative(path: str) -> str:
    """A list's path with forward slashes and without `./`.

    Raises ViddaError when it is absolute or leaves its root.
    """
    path = path.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or parts[0].endswith(":"):
        raise ViddaError(f"path {path!r} leaves the root; give it relative to the root")
    return "/".join(parts)


def label_of(text: str, count: int | None) -> int:
    """A label written as text; ViddaError unless it is a number in 0..count-1."""
    if not (text.isascii() and text.isdigit()):
        raise ViddaError(f"label {text!r:.60} is not a number; a line is `path label`")
    most = MOST_CLASSES if count is None else count
    if class_number(text) >= most:
        raise ViddaError(f"label {text:.20} not in 0..{most - 1}")
    return class_number(text)


def read_classes(file: Path) -> tuple[str, ...]:
    """Class names from a text file: one a line, or `index name` lines counting from 0.

    Raises ViddaError when the indices leave a gap or a name stands twice.
    """
    lines = [line for _, line in lines_of(file)]
    pairs = [line.split(None, 1) for line in lines]
    if all(len(pair) == 2 and pair[0].isdecimal() for pair in pairs):
        # Several names may share an index (TA3N's UCF list does): the first one names the class.
        names: dict[int, str] = {}
        for index, name in pairs:
            names.setdefault(class_number(index), name)
    else:
        names = dict(enumerate(lines))
    if sorted(names) != list(range(len(names))) or not names:
        raise ViddaError(f"{file}: the class indices must be 0, 1, 2 ... without a gap")
    found = tuple(names[index] for index in range(len(names)))
    if len(set(found)) != len(found):
        raise ViddaError(f"{file}: a class name stands twice")
    return found
