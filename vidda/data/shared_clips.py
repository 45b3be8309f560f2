"""The same clip in training and in test: by its path, and by what its file holds."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vidda.files import inside, sha256
from vidda.types import Manifest

SHOWN = 10
"""How many shared clips a message names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class SharedClip:
    """The clips of one list that stand in another too. pairs: (id there, id in `second`)."""

    first: str
    second: str
    pairs: list[tuple[str, str]]

    def __str__(self) -> str:
        named = [repr(b) if a == b else f"{b!r} (there {a!r})" for a, b in self.pairs[:SHOWN]]
        more = [f"and {len(self.pairs) - SHOWN} more"] if len(self.pairs) > SHOWN else []
        count = len(self.pairs)
        return f"{count} clips of {self.second} are in {self.first} too: {', '.join(named + more)}"


class SharedClipSearch:
    """Finds files that two lists share. Only files of equal size are read, each once."""

    def __init__(self) -> None:
        self._sizes: dict[Path, int] = {}
        self._digests: dict[Path, str] = {}

    def between(
        self, first: Mapping[str, Path], second: Mapping[str, Path]
    ) -> list[tuple[str, str]]:
        """Return the ids of clips that are one file or have the same content, as pairs.

        first, second: the file of each clip by its id. Empty files and those that are not there
        equal none.
        """
        places = {place: name for name, place in first.items()}
        by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
        for name, place in first.items():
            by_size[self._size(place)].append((name, place))
        pairs: list[tuple[str, str]] = []
        for name, place in second.items():
            if place in places:
                pairs.append((places[place], name))
            elif size := self._size(place):
                alike = by_size.get(size, ())
                digest = self._digest(place) if alike else ""
                same = next((n for n, other in alike if self._digest(other) == digest), None)
                pairs += [] if same is None else [(same, name)]
        return pairs

    def _size(self, place: Path) -> int:
        if place not in self._sizes:
            try:
                self._sizes[place] = place.stat().st_size
            except OSError:
                self._sizes[place] = 0
        return self._sizes[place]

    def _digest(self, place: Path) -> str:
        if place not in self._digests:
            self._digests[place] = sha256(place)
        return self._digests[place]


def clip_files(manifest: Manifest) -> dict[str, Path]:
    """Return the file of each clip by its id."""
    root = manifest.root.absolute()
    return {clip.id: inside(root, clip.path) for clip in manifest.clips}
