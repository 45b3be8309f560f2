"""Search for the same clip in training and in test, by path and by content."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vidda.files import inside, sha256, size_and_time
from vidda.types import Manifest

SHOWN = 10
"""Number of shared clips that a message names; the others are counted."""


@dataclass(frozen=True, slots=True)
class SharedClip:
    """The clips that two lists share. first, second: names of the lists. pairs: ids in each."""

    first: str
    second: str
    pairs: list[tuple[str, str]]

    def __str__(self) -> str:
        named = [repr(b) if a == b else f"{b!r} (there {a!r})" for a, b in self.pairs[:SHOWN]]
        more = [f"and {len(self.pairs) - SHOWN} more"] if len(self.pairs) > SHOWN else []
        count = len(self.pairs)
        return f"{count} clips of {self.second} are in {self.first} too: {', '.join(named + more)}"


class SharedClipSearch:
    """A search for files that two lists share. Only files of equal size are read, each once."""

    def __init__(self) -> None:
        self._sizes: dict[Path, int] = {}
        self._digests: dict[Path, str] = {}

    def between(
        self, first: Mapping[str, Path], second: Mapping[str, Path]
    ) -> list[tuple[str, str]]:
        """Return the pairs of ids, in `first` and `second`, whose files are the same or equal.

        first, second: the file of each clip by its id. Empty and missing files equal no other.
        """
        id_of = {file: name for name, file in first.items()}
        by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
        for name, file in first.items():
            by_size[self._size(file)].append((name, file))
        pairs: list[tuple[str, str]] = []
        for name, file in second.items():
            if file in id_of:
                pairs.append((id_of[file], name))
            elif size := self._size(file):
                alike = by_size.get(size, ())
                digest = self._digest(file) if alike else ""
                same = next((n for n, other in alike if self._digest(other) == digest), None)
                pairs += [] if same is None else [(same, name)]
        return pairs

    def _size(self, file: Path) -> int:
        if file not in self._sizes:
            try:
                self._sizes[file] = size_and_time(file)[0]
            except OSError:
                self._sizes[file] = 0
        return self._sizes[file]

    def _digest(self, file: Path) -> str:
        if file not in self._digests:
            self._digests[file] = sha256(file)
        return self._digests[file]


def clip_files(manifest: Manifest) -> dict[str, Path]:
    """Return the absolute path of each clip's file, by the clip's id."""
    root = manifest.root.absolute()
    return {clip.id: inside(root, clip.path) for clip in manifest.clips}
