"""Files that are whole or absent, and paths that stay in their folder."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vidda.errors import ViddaError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure removed.

    The temporary name keeps the suffix, because writers of video and images choose a format by it.
    Several processes may write the same path at once: the last one wins, and each file is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def inside(root: Path, relative: str) -> Path:
    """`root / relative`, refused with a ViddaError where it would leave `root`."""
    parts = PurePosixPath(relative.replace("\\", "/")).parts
    if not parts or parts[0].startswith("/") or ".." in parts or ":" in parts[0]:
        raise ViddaError(f"path {relative!r} leaves {root}; give it relative to that folder")
    return root.joinpath(*parts)


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_free(folder: Path, needed_bytes: int) -> None:
    """Raise ViddaError unless the disk of `folder` (which need not exist yet) has the bytes free."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise ViddaError(
            f"{folder}: needs {needed_bytes / 2**30:.1f} GiB but {free / 2**30:.1f} GiB are free;"
            " free some space or choose another folder"
        )
