"""What is written of one clip, and where.

OUT/videos/<path>.mp4 (.png for an image)  and beside it <path>.json, the result, written last
OUT/sidecar/<path>.npz                     the source's key points, boxes and masks, where they hold
OUT/shown/<path>.mp4, .png                 to look at
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.data.derived import SIDECARS, VIDEOS, Derived, place_of
from vidda.files import inside
from vidda.types import ClipRecord

SHOWN = "shown"

Status = Literal["kept", "rejected", "failed"]


class ClipResult(Derived):
    """What became of one clip, and the files that were written of it."""

    status: Status = Field(description="kept: in the manifest; rejected, failed: in their lists")
    reasons: tuple[str, ...] = Field(default=(), description="why it is not kept")
    path: str | None = Field(default=None, description="of the video, relative to OUT")
    columns: dict[str, str] = Field(default={}, description="further columns of the manifest")
    quality: dict[str, float | None] = Field(default={}, description="the figures by name")


def result_of(clip: ClipRecord, out: Path, *, content: bool = True) -> ClipResult | None:
    """What became of a clip; None where that is not known, or its files are not whole.

    content: see `Derived.whole`.
    """
    result = ClipResult.read(Places.of(clip, out).result)
    if result is None or result.id != clip.id:
        return None
    if result.status != "failed" and not result.whole(out, content=content):
        return None
    return result


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of a source clip go; relative to OUT but for `result`."""

    media: str
    sidecar: str
    shown: str
    result: Path

    @classmethod
    def of(cls, clip: ClipRecord, out: Path) -> "Places":
        """Return the places of a clip under OUT."""
        media = place_of(clip)
        stem = str(PurePosixPath(media).relative_to(VIDEOS).with_suffix(""))
        result = inside(out, f"{VIDEOS}/{stem}.json")
        return cls(media, f"{SIDECARS}/{stem}.npz", f"{SHOWN}/{stem}", result)


def clashes(clips: Sequence[ClipRecord], out: Path) -> list[str]:
    """Return clips that would be written to one place, a line each."""
    first: dict[Path, str] = {}
    problems = []
    for clip in clips:
        place = Places.of(clip, out).result
        if place in first:
            problems.append(
                f"clips {first[place]!r} and {clip.id!r} would both become {place.with_suffix('')};"
                " choose one of them with clips=[ID]"
            )
        first.setdefault(place, clip.id)
    return problems


def remove_leftovers(out: Path, clips: Sequence[ClipRecord]) -> None:
    """Remove half-written files of these clips that a killed process left.

    Those of other clips may be another shard's work.
    """
    own = set()
    for clip in clips:
        places = Places.of(clip, out)
        own |= {(out / file).with_suffix("") for file in (places.media, places.sidecar)}
        own.add(out / places.shown)
    for folder in (VIDEOS, SIDECARS, SHOWN):
        for part in (out / folder).rglob(".*.part*"):
            stem = part.name[1:].rpartition(".part")[0].rpartition(".")[0]
            if part.parent / stem in own:
                part.unlink(missing_ok=True)
