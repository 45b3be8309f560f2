"""Groups of clips that pass through the model together, and their distribution over shards.

Clips are grouped before the groups are distributed, so a clip is always in the same group and comes
out the same to the last bit, for any number of shards and workers and any earlier progress.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.types import ClipRecord

SETTINGS_FILE, SHARDS = "shards.json", "shards"

Group = tuple[ClipRecord, ...]
"""Clips that pass through the model together."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `count` shards of a job, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None) -> "Shard":
        """Return the shard written as i/n, such as 2/8; None is the whole job.

        Raises ValueError for anything else.
        """
        if text is None:
            return cls(1, 1)
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        number, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= count:
            raise ValueError(f"{text!r} is not a shard; write i/n, from 1/n to n/n")
        return cls(number, count)

    def folder(self, out: Path) -> Path:
        """Return the run folder of this shard: OUT itself where there is only one."""
        return out if self.count == 1 else out / SHARDS / f"{self.number}-of-{self.count}"

    def of(self, groups: Sequence[Group]) -> list[Group]:
        """Return this shard's groups out of all groups."""
        return list(groups[self.number - 1 :: self.count])

    def owners(self, groups: Sequence[Group], clips: Iterable[ClipRecord]) -> list["Shard"]:
        """Return the shards that have any of these clips. groups: of all shards."""
        ids = {clip.id for clip in clips}
        parts = (Shard(number, self.count) for number in range(1, self.count + 1))
        return [one for one in parts if any(c.id in ids for group in one.of(groups) for c in group)]


def group_clips(clips: Sequence[ClipRecord], size: int) -> list[Group]:
    """Return clips in groups of `size`, in the order of their ids."""
    ordered = sorted(clips, key=lambda clip: clip.id)
    return [tuple(ordered[at : at + size]) for at in range(0, len(ordered), size)]


def require_same_settings(out: Path, facts: Mapping[str, str | int]) -> None:
    """Write the settings that all shards of OUT must have in common, or compare with those written.

    facts: settings by name. Raises ViddaError with a line for each difference, and when OUT holds
    anything but shards.
    """
    file = out / SETTINGS_FILE
    # Listed once, because another shard may be writing the file now, under a name with a dot.
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if SETTINGS_FILE not in names:
        if SHARDS not in names and any(not name.startswith(".") for name in names):
            raise ViddaError(f"{out} is not empty and holds no shards; choose another folder")
        write_text(file, json.dumps(dict(facts), indent=1) + "\n")
    there = _read(file)
    changes = [
        f"{file}: {key} is {there.get(key)!r} there, {facts[key]!r} now; all shards need the same"
        for key in facts
        if there.get(key) != facts[key]
    ]
    if changes:
        raise ViddaError("\n".join([*changes, f"{out}: choose another folder"]))


def _read(file: Path) -> dict[str, object]:
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(there, dict):
            return there
    except ValueError:
        pass
    raise ViddaError(
        f"{file}: damaged; delete it, and the next shard that is resumed writes it again from its"
        " own config"
    )
