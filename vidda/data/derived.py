"""Clips derived from other clips: records of their files, by size and hash, for jobs that resume.

OUT/records/<path>.json   the files that belong to OUT/<path>

An existing file proves little: it may be empty, cut short or another one. A record that matches its
files proves that the work is done. It is written just before OUT/<path> gets its name, and after
all other files. So no file is waited for by itself until it is on the disk: `sync_recorded` waits
for all of them, before a job says that it is finished.
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
from vidda.files import atomic, atomic_folder, inside, sha256, sync, sync_later, write_text
from vidda.progress import track
from vidda.types import ClipRecord
from vidda.video.video_error import VideoError

T = TypeVar("T")

RECORDS, VIDEOS, SIDECARS = "records", "videos", "sidecar"


def video_path(clip: ClipRecord, copy: int = 0) -> str:
    """Return the path, relative to OUT, of the video or image derived from a clip.

    copy: number of the version, from 0, where several are derived from one clip.
    """
    path = PurePosixPath(clip.path)
    suffix = ".png" if path.suffix.lower() in IMAGES else ".mp4"
    # The suffix stays in the name unless it is usual: x.avi and x.mp4 are two clips.
    stem = path.with_suffix("") if path.suffix == suffix else path
    return f"{VIDEOS}/{stem}{f'.{copy}' if copy else ''}{suffix}"


STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
"""The model settings of records: those of configs, without the bounds for a user's values."""


class FileRecord(BaseModel):
    """The size and hash of a file as it was written."""

    model_config = STRICT

    size: int = Field(ge=0, description="bytes")
    sha256: str = Field(description="hex digest of the content")


class DerivedFiles(BaseModel):
    """A record of the files derived from one clip."""

    model_config = STRICT

    id: str = Field(description="id of the source clip")
    files: dict[str, FileRecord] = Field(
        default={}, description="the derived files, by path relative to OUT"
    )

    def write(self, file: Path) -> None:
        """Write the record to `file` as JSON, atomically."""
        write_text(file, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Read a record that `write` wrote; None where there is none, or it is damaged."""
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"), strict=True)
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, ValidationError):
            return None

    def is_intact(self, out: Path, *, content: bool = True) -> bool:
        """Return whether all files under `out` are as they were written, and there is at least one.

        content: compare hashes too, which reads every file; otherwise only sizes.
        """
        return bool(self.files) and all(
            _fits(out, path, file, content) for path, file in self.files.items()
        )


def describe_files(out: Path, paths: Iterable[str]) -> dict[str, FileRecord]:
    """Return size and hash of files that were just written, by path. paths: relative to `out`."""
    return {path: _file(inside(out, path)) for path in paths}


def record_path(out: Path, path: str) -> Path:
    """Return the path of the JSON file that records OUT/<path>."""
    return inside(out, f"{RECORDS}/{path}.json")


def derive_file(out: Path, path: str, clip_id: str, write: Callable[[Path], Iterable[str]]) -> None:
    """Write the file OUT/<path> derived from a clip, atomically, and its record.

    clip_id: of the source clip. write: writes the content to the temporary path that it is called
    with, and returns the paths, relative to `out`, of other files that it has written. Raises what
    `write` raises.
    """
    file = inside(out, path)
    with sync_later(), atomic(file) as temporary:
        try:
            others = describe_files(out, write(temporary))
        except VideoError as error:
            raise VideoError(str(error).replace(str(temporary), str(file))) from error
        files = {path: _file(temporary)} | others
        DerivedFiles(id=clip_id, files=files).write(record_path(out, path))


def sync_recorded(out: Path) -> None:
    """Wait until every file in the records of OUT is on the disk, and the records too."""
    records = list((out / RECORDS).rglob("*.json"))
    made = [record.files for record in map(DerivedFiles.read, records) if record is not None]
    files = [inside(out, path) for paths in made for path in paths]
    sync(out, [*records, *files])


@contextmanager
def derive_folder(out: Path, path: str, clip_id: str) -> Iterator[Path]:
    """Yield a folder to fill; afterwards it is OUT/<path>, with a record of its files.

    clip_id: of the source clip. A folder at OUT/<path> is replaced, as an unfinished one.
    """
    target = inside(out, path)
    shutil.rmtree(target, ignore_errors=True)
    with atomic_folder(target) as folder:
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
    """Return the record of OUT/<path> if it is of this clip and its files are intact, else None.

    clip_id: of the source clip. content: compare hashes too, which reads every file; otherwise only
    sizes.
    """
    record = DerivedFiles.read(record_path(out, path))
    if record is None or record.id != clip_id or not record.is_intact(out, content=content):
        return None
    return record


def missing(
    out: Path,
    wanted: Sequence[T],
    named: Callable[[T], tuple[str, str]],
    *,
    content: bool = True,
) -> list[T]:
    """Return the wanted outputs that do not exist or are damaged, with a progress bar of the check.

    named: gives an output's path relative to `out` and its clip's id. content: compare hashes too,
    which reads every file; otherwise only sizes, without progress.
    """
    if not out.exists():
        return list(wanted)
    label, total = "checking what is there", len(wanted)
    tracked = track(wanted, label=label, total=total, unit="clips") if content else wanted
    return [one for one in tracked if finished_record(out, *named(one), content=content) is None]


def manifest_intact(out: Path) -> bool:
    """Return whether OUT/manifest.csv and every video in it exist, and none is empty.

    This quick check is for a job of many stages; the command that made them compares size and hash.
    """
    try:
        manifest = load_manifest(out)
        return all(inside(manifest.root, clip.path).stat().st_size for clip in manifest.clips)
    except (ViddaError, FileNotFoundError):
        return False


def records_intact(out: Path) -> bool:
    """Return whether every file in the records of OUT exists with its size; hashes are not read."""
    records = [DerivedFiles.read(file) for file in (out / RECORDS).rglob("*.json")]
    return all(record is not None and record.is_intact(out, content=False) for record in records)


def _file(path: Path) -> FileRecord:
    return FileRecord(size=path.stat().st_size, sha256=sha256(path))


def _fits(out: Path, path: str, record: FileRecord, content: bool) -> bool:
    try:
        file = inside(out, path)
        if not file.is_file() or file.stat().st_size != record.size:
            return False
        return not content or sha256(file) == record.sha256
    except (ViddaError, FileNotFoundError):  # no path of ours, or deleted at this moment
        return False
