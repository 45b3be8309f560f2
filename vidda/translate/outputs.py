"""What is written of one clip, and where.

OUT/videos/<path>.mp4 (.png for an image)  and beside it <path>.json, the result, written last
OUT/sidecar/<path>.npz                     the source's key points, boxes and masks, where they hold
OUT/shown/<path>.mp4, .png                 to look at
"""

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from pydantic import Field

from vidda import video
from vidda.control.sheet import save_png
from vidda.data.derived import Derived
from vidda.data.listing import IMAGES
from vidda.errors import ViddaError
from vidda.files import atomic, inside
from vidda.sidecar import path_of, scale_to
from vidda.types import ClipRecord

VIDEOS, SIDECARS, SHOWN = "videos", "sidecar", "shown"

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
        """The places of a clip under OUT."""
        path = PurePosixPath(clip.path)
        image = path.suffix.lower() in IMAGES
        # The suffix stays in the name unless it is usual: x.avi and x.mp4 are two clips.
        stem = str(path.with_suffix("") if path.suffix in (".mp4", ".png") else path)
        media = f"{VIDEOS}/{stem}{'.png' if image else '.mp4'}"
        result = inside(out, f"{VIDEOS}/{stem}.json")
        return cls(media, f"{SIDECARS}/{stem}.npz", f"{SHOWN}/{stem}", result)


def clashes(clips: Sequence[ClipRecord], out: Path) -> list[str]:
    """Clips that would be written to one place, a line each."""
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


def write_media(path: Path, frames: np.ndarray, fps: float, crf: int | None) -> None:
    """Write a clip (T, H, W, 3) uint8 RGB as H.264, or as PNG where the path says so."""
    if path.suffix == ".png":
        save_png(frames[0], path)
    else:
        video.write(path, frames, fps or 1.0, crf=crf)


def write_sidecar(
    clip: ClipRecord, root: Path, numbers: np.ndarray, frames: np.ndarray, place: Path
) -> bool:
    """Write what of a source clip's sidecar holds for its translation; False where it has none.

    numbers: (T,) which of the clip's frames became frames (T, H, W, 3). Key points and boxes come
    in pixels of these; masks and the like keep their own size. Raises ViddaError when the sidecar
    is damaged, or does not have a row for each frame.
    """
    source = path_of(clip, root)
    if not source.is_file():
        return False
    scale = scale_to(frames, clip, root)
    try:
        with np.load(source, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ViddaError(f"{source}: damaged ({error}); write it again") from None
    short = [name for name, rows in arrays.items() if rows.ndim == 0 or len(rows) <= numbers[-1]]
    if short:
        raise ViddaError(
            f"{source}: {short[0]} has no row for frame {numbers[-1]} of clip {clip.id!r};"
            " write it again"
        )
    same = (scale == 1).all() and all(len(rows) == len(numbers) for rows in arrays.values())
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic(place) as temporary:
        if same:
            shutil.copyfile(source, temporary)
            return True
        kept = {name: _scaled(name, rows[numbers], scale) for name, rows in arrays.items()}
        with temporary.open("wb") as file:
            np.savez_compressed(file, **kept)  # type: ignore[arg-type]
    return True


def _scaled(name: str, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Rows of a sidecar for frames that are `scale` (x, y) times as large."""
    if name == "keypoints":
        # The centre of the first pixel is 0 at both sizes.
        at = (rows[..., :2] + 0.5) * scale - 0.5
        return np.concatenate([at, rows[..., 2:]], axis=-1).astype(rows.dtype)
    if name == "box":
        return (rows * np.tile(scale, 2)).astype(rows.dtype)
    return rows


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
