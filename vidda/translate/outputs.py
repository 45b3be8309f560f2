"""The files written for one clip, their paths, and its result.

OUT/videos/<path>.mp4 (.png for an image)  and beside it <path>.json, the result, written last
OUT/sidecar/<path>.npz                     the source's keypoints, boxes and masks, where they hold
OUT/shown/<path>.mp4, .png                 for inspection
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from vidda.data.derived import SIDECARS, VIDEOS, DerivedFiles, video_path
from vidda.files import inside
from vidda.types import ClipRecord

SHOWN = "shown"

ClipStatus = Literal["kept", "rejected", "failed"]


class ClipResult(DerivedFiles):
    """The result of one clip, and the files that were written for it."""

    status: ClipStatus = Field(
        description="kept: in manifest.csv; rejected, failed: in rejected.csv, failed.csv"
    )
    reasons: tuple[str, ...] = Field(default=(), description="reasons why it is not kept")
    path: str | None = Field(default=None, description="path of the video, relative to OUT")
    columns: dict[str, str] = Field(default={}, description="further columns of the manifest")
    quality: dict[str, float | None] = Field(default={}, description="quality figures by name")


def read_result(clip: ClipRecord, out: Path, *, content: bool = True) -> ClipResult | None:
    """Return a clip's result; None where there is none, or its files are damaged.

    out: the folder of the translation. content: compare hashes too, which reads every file;
    otherwise only sizes.
    """
    result = ClipResult.read(ClipPaths.of(clip, out).result)
    if result is None or result.id != clip.id:
        return None
    if result.status != "failed" and not result.is_intact(out, content=content):
        return None
    return result


@dataclass(frozen=True, slots=True)
class ClipPaths:
    """Paths of a source clip's files; relative to OUT, except for `result`.

    media: the translated video or image. sidecar: its .npz. shown: its comparison sheets and
    videos, without the ending. result: the JSON file of the result.
    """

    media: str
    sidecar: str
    shown: str
    result: Path

    @classmethod
    def of(cls, clip: ClipRecord, out: Path) -> "ClipPaths":
        """Return the paths of a clip's files under OUT."""
        media = video_path(clip)
        stem = str(PurePosixPath(media).relative_to(VIDEOS).with_suffix(""))
        result = inside(out, f"{VIDEOS}/{stem}.json")
        return cls(media, f"{SIDECARS}/{stem}.npz", f"{SHOWN}/{stem}", result)


def output_clashes(clips: Sequence[ClipRecord], out: Path) -> list[str]:
    """Return a line for each pair of clips that would be written to the same path."""
    first: dict[Path, str] = {}
    problems = []
    for clip in clips:
        path = ClipPaths.of(clip, out).result
        if path in first:
            problems.append(
                f"clips {first[path]!r} and {clip.id!r} would both become {path.with_suffix('')};"
                " choose one of them with clips=[ID]"
            )
        first.setdefault(path, clip.id)
    return problems


def remove_leftovers(out: Path, clips: Sequence[ClipRecord]) -> None:
    """Remove half-written files that a killed process left for these clips.

    Those of other clips may belong to a running shard.
    """
    own = set()
    for clip in clips:
        paths = ClipPaths.of(clip, out)
        own |= {(out / file).with_suffix("") for file in (paths.media, paths.sidecar)}
        own.add(out / paths.shown)
    for folder in (VIDEOS, SIDECARS, SHOWN):
        for leftover in (out / folder).rglob(".*.part*"):
            stem = leftover.name[1:].rpartition(".part")[0].rpartition(".")[0]
            if leftover.parent / stem in own:
                leftover.unlink(missing_ok=True)
