"""A dataset as its lists describe it, before anything is written: clips, experiments, problems."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from vidda.config import Config
from vidda.data.experiments import Experiments
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

ProblemKind = Literal[
    "line", "class", "sidecar", "missing", "unreadable", "duplicate", "unlisted", "suffix",
    "columns",
]  # fmt: skip

BLOCKING: dict[ProblemKind, str] = {
    "line": "correct the list",
    "class": "move the file to its class's folder or correct the list",
    "sidecar": "write the sidecars as docs/sidecars.md says, or remove them",
}
"""Mistakes that have to be corrected, with the remedy."""

DROPPING: dict[ProblemKind, str] = {
    "missing": "get the files, or continue without them by allow_missing=true",
    "unreadable": "get the files again, or continue without them by allow_missing=true",
}
"""Clips that can be left out where the user says so, with the remedy."""

WHOLE = "_whole"
"""Suffix of the name of a list as it was before a part of it was held out."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one file or one line of a list.

    kind: of the problem; some kinds can be allowed by the user. where: the file's path under the
    root, or `list.txt:17`. text: the message; "" where the kind says all.
    """

    kind: ProblemKind
    where: str
    text: str

    def __str__(self) -> str:
        named = not self.text or self.where in self.text
        return self.text or self.where if named else f"{self.where}: {self.text}"


@dataclass(slots=True)
class Listing:
    """A dataset as its lists describe it, filled line by line.

    root: folder of the data. classes: names, index by index. clips: by path. lists: the paths of
    each list, in its order. lacking: for a list that the data do not have, the reason. problems:
    mistakes found so far. notes: what the user should know but need not correct. covered: prefixes
    of the folders in which every video should be in some list.
    """

    root: Path
    classes: tuple[str, ...]
    clips: dict[str, ClipRecord] = field(default_factory=dict)
    lists: dict[str, dict[str, None]] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    covered: tuple[str, ...] = ("",)

    def problem(self, kind: ProblemKind, where: str, text: str) -> None:
        """Add a problem.

        where: the file's path under the root, or `list.txt:17`. text: the message.
        """
        self.problems.append(Problem(kind, where, text))

    def note_other_files(self, paths: Iterable[str]) -> None:
        """Add a problem for each file whose suffix is no video's or image's."""
        for path in dict.fromkeys(paths):
            self.problem("suffix", path, "")

    def add(self, list_name: str, where: str, clip: ClipRecord) -> None:
        """Add a clip to a list; a line that repeats or contradicts another is a problem.

        where: the line, as `list.txt:17`.
        """
        members = self.lists.setdefault(list_name, {})
        known = self.clips.get(clip.path)
        labels = {clip.label, known.label if known else None} - {None}
        if len(labels) > 1:
            other = known.label if known else None
            text = f"{clip.path}: label {clip.label}, but another line says {other}"
            self.problem("line", where, text)
        elif clip.path in members:
            self.problem("duplicate", where, f"{clip.path}: is in this list already")
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

    def files(self, root: Path) -> Tree:
        """Return the files that the clips may be among; by default all under the root.

        root: absolute. Raises ViddaError where they cannot be found.
        """
        return walk(root)

    @abstractmethod
    def read(self, root: Path, tree: Tree) -> Listing:
        """Return the classes, clips and lists of the data under a folder.

        root: absolute. tree: what `files` returned. Clips that are missing are listed as well. A
        mistake in a line is a problem of the listing; raise ViddaError where there is nothing to
        continue with.
        """
        ...

    @abstractmethod
    def experiments(self, root: Path) -> Experiments:
        """Return the experiments: for each task and setting the list of each part.

        root: of the data, which need not be there yet. A task has `TASK/source_only` (train, val,
        and test if the target is labeled), `TASK/adapted` (target besides) and, where there is one,
        `TASK/target_only`. Those whose lists the data turn out not to have are left out.
        """
        ...


def walk(root: Path) -> Tree:
    """Return every file under `root` except hidden ones.

    Links are followed, and each folder is read once. Raises ViddaError when a folder cannot be read
    or a name is not UTF-8, which no CSV could hold.
    """
    tree: Tree = {}
    visited: set[str] = set()
    folders = [("", str(root))]
    while folders:
        prefix, folder = folders.pop()
        real = os.path.realpath(folder)
        if real in visited:
            continue
        visited.add(real)
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
    """Return the suffix of a path in lower case, such as `.mp4`."""
    return PurePosixPath(path).suffix.lower()


def is_media(path: str) -> bool:
    """Return whether the suffix of a path is that of a video or an image."""
    return suffix(path) in VIDEOS or suffix(path) in IMAGES


def split_media(tree: Tree, prefix: str = "") -> tuple[list[str], list[str]]:
    """Return the paths that begin with a prefix, sorted: videos and images, then other files."""
    below = sorted(path for path in tree if path.startswith(prefix))
    return [p for p in below if is_media(p)], [p for p in below if not is_media(p)]


def left_out_note(others: Sequence[str]) -> str:
    """Return the end of a message on files that are left out for their suffix.

    others: their paths; "" is returned where there are none.
    """
    if not others:
        return ""
    kinds = sorted({suffix(path) or "none" for path in others})
    listed = ", ".join(kinds[:5]) + (", ..." if len(kinds) > 5 else "")
    return f"; left out for their suffixes ({listed}): {len(others)} files, first {others[0]}"


def require_lists(files: Iterable[Path]) -> None:
    """Raise ViddaError with a line for each of the list files that does not exist."""
    missing = [f"{file}: no such list" for file in files if not file.is_file()]
    if missing:
        raise ViddaError("\n".join(missing))


def read_lines(
    file: Path, notes: list[str], is_row: Callable[[str], bool] = lambda line: False
) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers, stripped, without blanks and comments.

    is_row: whether a line that begins with `#` is a row and no comment, see `clip_line_rule`.
    notes: a note on the comments is appended. Raises ViddaError where the file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ViddaError(f"{file}: cannot be read as a list: {reason}") from None
    comments: list[tuple[int, str]] = []
    # Not splitlines(): it also splits at characters that a file name may hold.
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

    named: gives the path that a line names, None where the line is no row. The line is a row if
    that file exists. Otherwise it is a comment if a space follows the `#`, or if the line without
    `#` names an existing file: then the row was commented out.
    """

    def is_row(line: str) -> bool:
        path = named(line)
        if path is None or path in tree:
            return path is not None
        return not line[1:2].isspace() and named(line.lstrip("#").strip()) not in tree

    return is_row


def parse_label(text: str, count: int, first: int = 0) -> int:
    """Parse a label that counts from `first`; return it in 0..count-1.

    Raises ViddaError where the text is no such label.
    """
    if not (text.isascii() and text.isdigit()):
        raise ViddaError(f"label {text[:40]!r} is not a number; a line is `path label`")
    if not is_label(text) or not first <= int(text) < first + count:
        raise ViddaError(f"label {text[:40]} not in {first}..{first + count - 1}")
    return int(text) - first


def read_classes(file: Path, notes: list[str]) -> tuple[tuple[str, ...], int]:
    """Read class names from a text file; return them and the index of the first, 0 or 1.

    file: one name a line, or `index name` lines that count from 0, or from 1 as in UCF101's
    classInd.txt. notes: see `read_lines`. Raises ViddaError when the indices leave a gap or a name
    is duplicated.
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
