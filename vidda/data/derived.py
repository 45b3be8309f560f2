"""Clips made from other clips: what was written of each, by size and hash, for a job that resumes.

OUT/records/<path>.json   of OUT/<path>: the files that belong to it

A file that is there says little: it may be empty, cut short or another one. A record that fits says
that the work is done. It is written before OUT/<path> itself gets its name, and after the rest.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidda.data.listing import IMAGES
from vidda.data.manifest import load_manifest
from vidda.errors import ViddaError
from vidda.files import atomic, atomic_folder, inside, sha256, write_text
from vidda.progress import track
from vidda.types import ClipRecord
from vidda.video.video_error import VideoError

T = TypeVar("T")

RECORDS, VIDEOS, SIDECARS = "records", "videos", "sidecar"


def video_path(clip: ClipRecord, copy: int = 0) -> str:
    """Return where a clip's video goes, relative to OUT. copy: its number of several."""
    path = PurePosixPath(clip.path)
    suffix = ".png" if path.suffix.lower() in IMAGES else ".mp4"
    # The suffix stays in the name unless it is usual: x.avi and x.mp4 are two clips.
    stem = path.with_suffix("") if path.suffix == suffix else path
    return f"{VIDEOS}/{stem}{f'.{copy}' if copy else ''}{suffix}"


STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
"""As of configs, but for the bounds of these, which are for what a user may ask for."""


class FileRecord(BaseModel):
    """A file as it was written."""

    model_config = STRICT

    size: int = Field(ge=0, description="bytes")
    sha256: str = Field(description="hex digest of the content")


class DerivedFiles(BaseModel):
    """What was made of one clip."""

    model_config = STRICT

    id: str = Field(description="of the source's clip")
    files: dict[str, FileRecord] = Field(
        default={}, description="all that belongs to it, by path relative to OUT"
    )

    def write(self, file: Path) -> None:
        """Write as JSON, atomically."""
        write_text(file, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Read what `write` wrote; None where there is none, or it is damaged."""
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"), strict=True)
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, ValidationError):
            return None

    def whole(self, out: Path, *, content: bool = True) -> bool:
        """Return whether the files are as they were written, and there is one at least.

        content: compare hashes too, which reads every file; else sizes alone.
        """
        return bool(self.files) and all(
            _fits(out, path, file, content) for path, file in self.files.items()
        )


def describe_files(out: Path, paths: Iterable[str]) -> dict[str, FileRecord]:
    """Return the records of files that were just written. paths: relative to OUT."""
    return {path: _file(inside(out, path)) for path in paths}


def record_path(out: Path, path: str) -> Path:
    """Return where the record of OUT/<path> lies."""
    return inside(out, f"{RECORDS}/{path}.json")


def derive_file(out: Path, path: str, clip_id: str, write: Callable[[Path], Iterable[str]]) -> None:
    """Make the file OUT/<path> of a clip, and its record.

    write: given the temporary place to write it to; returns what else it has written, relative to
    OUT.
    """
    place = inside(out, path)
    with atomic(place) as temporary:
        try:
            others = describe_files(out, write(temporary))
        except VideoError as error:
            raise VideoError(str(error).replace(str(temporary), str(place))) from error
        files = {path: _file(temporary)} | others
        DerivedFiles(id=clip_id, files=files).write(record_path(out, path))


@contextmanager
def derive_folder(out: Path, path: str, clip_id: str) -> Iterator[Path]:
    """Yield a folder to fill, which becomes OUT/<path> of a clip, with a record of its files.

    What is at OUT/<path> already is replaced: it is not whole.
    """
    place = inside(out, path)
    shutil.rmtree(place, ignore_errors=True)
    with atomic_folder(place) as folder:
        yield folder
        files = {
            f"{path}/{file.relative_to(folder).as_posix()}": _file(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        DerivedFiles(id=clip_id, files=files).write(record_path(out, path))


def finished_record(
    out: Path, path: str, clip_id: str, *, content: bool = True
) -> DerivedFiles | None:
    """Return the record of OUT/<path>, made of a clip; None where it is to be made.

    content: see `DerivedFiles.whole`.
    """
    record = DerivedFiles.read(record_path(out, path))
    if record is None or record.id != clip_id or not record.whole(out, content=content):
        return None
    return record


def missing(
    out: Path,
    wanted: Sequence[T],
    named: Callable[[T], tuple[str, str]],
    *,
    content: bool = True,
) -> list[T]:
    """Return those of what is wanted that are to be made, showing the progress of the check.

    named: path relative to OUT and clip id of one. content: see `DerivedFiles.whole`.
    """
    if not out.exists():
        return list(wanted)
    label, total = "checking what is there", len(wanted)
    seen = track(wanted, label=label, total=total, unit="clips") if content else wanted
    return [one for one in seen if finished_record(out, *named(one), content=content) is None]


def manifest_intact(out: Path) -> bool:
    """Return whether OUT/manifest.csv and every video in it are there, and none is empty.

    Quick, for a job of many stages; the command that made them compares size and hash.
    """
    try:
        manifest = load_manifest(out)
        return all(inside(manifest.root, clip.path).stat().st_size for clip in manifest.clips)
    except (ViddaError, FileNotFoundError):
        return False


def records_intact(out: Path) -> bool:
    """Return whether all that the records in OUT name is there, by size; quick as the above."""
    records = [DerivedFiles.read(file) for file in (out / RECORDS).rglob("*.json")]
    return all(record is not None and record.whole(out, content=False) for record in records)


def _file(place: Path) -> FileRecord:
    return FileRecord(size=place.stat().st_size, sha256=sha256(place))


def _fits(out: Path, path: str, file: FileRecord, content: bool) -> bool:
    try:
        place = inside(out, path)
        if not place.is_file() or place.stat().st_size != file.size:
            return False
        return not content or sha256(place) == file.sha256
    except (ViddaError, FileNotFoundError):  # no path of ours, or deleted at this moment
        return False
