"""What a dataset's lists say, before anything is written: clips, experiments and problems."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from vidda.config import Config
from vidda.data.manifest import is_label
from vidda.errors import ViddaError
from vidda.types import ClipRecord, require_distinct

VIDEOS = frozenset((
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2", ".mkv", ".mk3d", ".webm",
    ".avi", ".divx", ".mpg", ".mpeg", ".mpe", ".vob", ".mod", ".ts", ".m2t", ".m2ts", ".mts",
    ".tod", ".wmv", ".asf", ".flv", ".gif", ".ogv", ".ogg", ".ogm", ".ivf", ".mxf", ".dv", ".dif",
    ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".m1v", ".m2v", ".y4m",
))  # fmt: skip
"""Suffixes of the containers that `vidda.video` opens; a listed file may have any other."""

IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp"))

Tree = dict[str, tuple[int, int]]
"""Every file under a root, by its path with forward slashes: (size in bytes, mtime in ns)."""

Kind = Literal[
    "line", "class", "missing", "unreadable", "duplicate", "unlisted", "suffix", "columns"
]

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

WHOLE = "_whole"
"""Ends the name of a list as it was before a part of it was held out."""


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

    def not_media(self, paths: Iterable[str]) -> None:
        """Note the files that are left out because their suffix is no video's or image's."""
        for path in dict.fromkeys(paths):
            self.problem("suffix", path, "")

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


class DatasetConfig(Config):
    """Base of the config of every dataset, those of installed packages (`vidda.plugins`) too.

    A dataset is a config class that reads what a folder of videos and its lists say; vidda checks
    that the files are there and writes the manifests. `vidda.data.images` has short examples.

    name: by which it is chosen; a Literal of one value in each class.
    """

    name: str

    @abstractmethod
    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the classes, clips, lists and experiments of the data under a folder.

        root: absolute. tree: every file under it. Experiments are `TASK/source_only` (train, val,
        test), `TASK/adapted` (besides target) and, where there is one, `TASK/target_only`. Clips
        that are missing are listed as well. A mistake in a line is a problem of the listing; raise
        ViddaError where there is nothing to go on with.
        """
        ...


def walk(root: Path) -> Tree:
    """Return every file under `root` except hidden ones; links are followed, each folder is read
    once.

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
    """Return the suffix of a path in lower case, as `.mp4`."""
    return PurePosixPath(path).suffix.lower()


def is_media(path: str) -> bool:
    """Return whether a path names a video or an image."""
    return suffix(path) in VIDEOS or suffix(path) in IMAGES


def split_media(tree: Tree, prefix: str = "") -> tuple[list[str], list[str]]:
    """Return the videos and images below a prefix, and the files whose suffix is of neither,
    sorted.
    """
    below = sorted(path for path in tree if path.startswith(prefix))
    return [p for p in below if is_media(p)], [p for p in below if not is_media(p)]


def left_out_note(others: Sequence[str]) -> str:
    """Say how many files are left out for their suffix, to stand at the end of a message."""
    if not others:
        return ""
    kinds = sorted({suffix(path) or "none" for path in others})
    shown = ", ".join(kinds[:5]) + (", ..." if len(kinds) > 5 else "")
    return f"; left out for their suffixes ({shown}): {len(others)} files, first {others[0]}"


def require_lists(files: Iterable[Path]) -> None:
    """Raise ViddaError with a line for each list that is not there."""
    missing = [f"{file}: no such list" for file in files if not file.is_file()]
    if missing:
        raise ViddaError("\n".join(missing))


def read_lines(
    file: Path, notes: list[str], is_row: Callable[[str], bool] = lambda line: False
) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a text file, stripped, without blank lines and comments.

    is_row: whether a line that begins with `#` is none the less no comment, see `clip_line_rule`.
    notes: gets a line on what was taken for comments.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ViddaError(f"{file}: cannot be read as a list: {reason}") from None
    comments: list[tuple[int, str]] = []
    # Not splitlines(): it also splits at characters that may stand in a file name.
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#") and not is_row(stripped):
            comments.append((number, stripped))
        elif stripped:
            yield number, stripped
    if comments:
        number, first = comments[0]
        notes.append(
            f"{file.name}: {len(comments)} lines that begin with # are taken for comments, first"
            f" {first[:60]!r} on line {number}"
        )


def clip_line_rule(tree: Tree, named: Callable[[str], str | None]) -> Callable[[str], bool]:
    """Return the rule by which a line that begins with `#` names a clip, as HMDB51's #20_clap.avi.

    named: the path that a line names, None where it does not read as a row. The line is a row where
    that file is there. Otherwise it is a comment where a space follows the `#`, or where the line
    without `#` names a file that is there: a row that was commented out.
    """

    def is_row(line: str) -> bool:
        path = named(line)
        if path is None or path in tree:
            return path is not None
        return not line[1:2].isspace() and named(line.lstrip("#").strip()) not in tree

    return is_row


def parse_label(text: str, count: int, first: int = 0) -> int:
    """Return a label in 0..count-1 from text that counts from `first`; ViddaError where
    it is none.
    """
    if not (text.isascii() and text.isdigit()):
        raise ViddaError(f"label {text[:40]!r} is not a number; a line is `path label`")
    if not is_label(text) or not first <= int(text) < first + count:
        raise ViddaError(f"label {text[:40]} not in {first}..{first + count - 1}")
    return int(text) - first


def read_classes(file: Path, notes: list[str]) -> tuple[tuple[str, ...], int]:
    """Class names from a text file, and the number of the first: 0, or 1 where the file says so.

    One name a line, or `index name` lines counting from 0, or from 1 as UCF101's classInd.txt does.
    Raises ViddaError when the indices leave a gap or a name stands twice.
    """
    lines = [line for _, line in read_lines(file, notes)]
    pairs = [line.split(None, 1) for line in lines]
    if all(len(pair) == 2 and is_label(pair[0]) for pair in pairs):
        # Several names may share an index (TA3N's UCF list does): the first one names the class.
        names: dict[int, str] = {}
        for index, name in pairs:
            names.setdefault(int(index), name)
    else:
        names = dict(enumerate(lines))
    first = min(names, default=0)
    if sorted(names) != list(range(first, first + len(names))) or first > 1 or not names:
        raise ViddaError(
            f"{file}: the class indices must be 0, 1, 2 ... or 1, 2, 3 ... without a gap; correct"
            " them, or leave names alone, one a line"
        )
    found = tuple(names[index] for index in sorted(names))
    require_distinct(found, str(file))
    return found, first
