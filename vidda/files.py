"""Files that are whole or absent, and paths that stay in their folder."""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatch
from pathlib import Path

from vidda.errors import ViddaError

LOCK = ".lock"
"""The file in a folder that is locked by the one process that writes there."""
DRIVE = re.compile(r"[A-Za-z]:")
"""The first part of a Windows path with a drive."""
SYNC_THREADS = 16
"""Files that `sync` waits for at once; the disk writes them together."""
LONGEST_NAME = 200
"""Bytes of a name in a config; file systems take 255, and suffixes are added."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure removed.

    The temporary name keeps the suffix, because writers of video and images choose a format by it.
    Several processes may write the same path at once: the last one wins, and each file is whole.
    Content and name are on the disk when the block is left, except within `sync_later`.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part{path.suffix}")
    try:
        with path_in_errors(path):
            yield temporary
            fsync(temporary)
            temporary.replace(path)
            fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; on success it is renamed to `path`, else removed.

    Everything in it is on the disk before the rename, and the rename when the block is left. `path`
    must not exist. A process killed in between leaves `.<name>.part`, which the next attempt
    replaces.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with path_in_errors(path):
            temporary.mkdir()
            yield temporary
            for below in [*temporary.rglob("*"), temporary]:
                fsync(below)
            temporary.rename(path)
            fsync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, and wait until their names are on the disk."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in new:
        fsync(one.parent)


@contextmanager
def path_in_errors(path: Path | None) -> Iterator[None]:
    """Name `path` in an OSError raised within the block, unless the error names a file itself.

    A failed write names none, and libraries in Rust (safetensors) raise an error of their own type,
    which becomes an OSError here. path: None converts the type and adds no name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None and path is not None:
            # A new one: those of PyAV take no name.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None or isinstance(error, ViddaError):
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), *([str(path)] if path else [])) from error


_SYNCS_NOW = ContextVar("waits until what is written is on the disk", default=True)


@contextmanager
def sync_later() -> Iterator[None]:
    """Do not wait for the disk within the block, after each file, for `sync` to do it once for all.

    It is for files whose hashes are recorded, so that one that a power cut damaged is made again.
    """
    token = _SYNCS_NOW.set(False)
    try:
        yield
    finally:
        _SYNCS_NOW.reset(token)


def sync(root: Path, files: Iterable[Path]) -> None:
    """Wait until files under `root`, and the names of all folders there, are on the disk.

    Files that do not exist are left out. Raises OSError, which names the file.
    """
    present = [file for file in files if file.exists()]
    folders = {one for file in present for one in file.parents if one.is_relative_to(root)}
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for _ in pool.map(_sync_one, [*present, *sorted(folders)]):
            pass


def _sync_one(path: Path) -> None:
    with path_in_errors(path):
        fsync(path)


def fsync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if not _SYNCS_NOW.get():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes until the block ends or this process dies.

    It is a POSIX lock, not flock: data loaders' forked workers do not inherit it, so a worker that
    outlives its killed parent does not hold the folder. Raises ViddaError when another process
    holds it, or when nothing can be written there.
    """
    try:
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ViddaError(
            f"{folder / LOCK}: cannot be written: {error.strerror}; make the folder writable, or"
            " choose another"
        ) from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip()
            raise ViddaError(
                f"{folder} is in use by another process ({owner}); wait for it or end it"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def discard_partial(folder: Path) -> None:
    """Remove what `atomic` and `atomic_folder` left under `folder` when their process was killed.

    Only the process that holds the folder's lock may call it: unfinished files of another process
    would be removed too. Folders below that have a lock of their own are left alone.
    """
    for root, folders, files in os.walk(folder):
        here = Path(root)
        if here != folder and LOCK in files:
            folders.clear()
            continue
        for name in [*folders, *files]:
            if not fnmatch(name, ".*.part*"):
                continue
            if name in folders and not (here / name).is_symlink():
                folders.remove(name)
                shutil.rmtree(here / name)
            else:
                (here / name).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def relative_path(path: str, root: object = "the root") -> str:
    """Return a path relative to `root`, with forward slashes and without `./`.

    root: named in the message. A colon may be in a name, unless it makes a drive. Raises ViddaError
    for a path that is absolute, has a drive or `..`, is empty, or holds a NUL, which no file system
    takes.
    """
    slashed = path.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    if not parts or slashed.startswith("/") or ".." in parts or DRIVE.fullmatch(parts[0]):
        raise ViddaError(f"path {path!r} leaves {root}; give it relative to that folder")
    if "\0" in path:
        raise ViddaError(f"path {path!r} holds a NUL, which no file name can hold; correct it")
    return "/".join(parts)


def inside(root: Path, path: str) -> Path:
    """Return `root / path`; raises ViddaError for a path that `relative_path` refuses."""
    return root / relative_path(path, root)


def file_name(name: str) -> str:
    """Return `name` unchanged if it can be the name of one file or folder.

    Raises ViddaError for a name that holds a slash, is empty, begins with a dot (temporary files
    do), or is longer than LONGEST_NAME bytes.
    """
    one = name.isprintable() and not name.startswith(".") and not {"/", "\\"} & set(name)
    if not name or not one or DRIVE.fullmatch(name) or len(name.encode()) > LONGEST_NAME:
        raise ViddaError(
            f"{name[:60]!r} cannot be a folder's name; take letters, digits, - and _, at most"
            f" {LONGEST_NAME}"
        )
    return name


BUILTIN = "builtin:"
"""Prefix of a path in the folder of the models that vidda ships: builtin:mini_diffusion."""


def resolve_builtin(path: Path) -> Path:
    """Return the path of a `builtin:NAME` in this installation; any other path unchanged.

    Raises ViddaError, which lists the names, for a name that vidda does not ship.
    """
    text = path.as_posix()
    if not text.startswith(BUILTIN):
        return path
    assets = Path(__file__).parent / "assets"
    found = inside(assets, text.removeprefix(BUILTIN))
    if not found.exists():
        names = ", ".join(f"{BUILTIN}{one.name}" for one in sorted(assets.glob("*/")))
        raise ViddaError(f"{path}: vidda ships nothing of this name; it ships {names}")
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, as hex digits.

    Of a folder of frames it is that of its files' names and contents, in order.
    """
    if path.is_dir():
        lines = (f"{file.name}\0{sha256(file)}\n" for file in _files_of(path))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_and_time(path: Path) -> tuple[int, int]:
    """Return the size in bytes and the modification time in ns of a file.

    Of a folder of frames they are the sum and the latest of its files', and of the folder itself.
    Raises OSError where it is not there.
    """
    own = path.stat()
    if not path.is_dir():
        return own.st_size, own.st_mtime_ns
    stats = [file.stat() for file in _files_of(path)]
    return sum(s.st_size for s in stats), max(s.st_mtime_ns for s in [own, *stats])


def _files_of(folder: Path) -> list[Path]:
    """Return the files in a folder, not hidden and not in folders below it, by name."""
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def require_free(folder: Path, needed_bytes: int) -> None:
    """Raise ViddaError unless the disk of `folder` has `needed_bytes` free.

    The folder need not exist yet.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise ViddaError(
            f"{folder}: needs {_size(needed_bytes)} but {_size(free)} are free; free some space or"
            " choose another folder"
        )


def _size(count: int) -> str:
    """Return a count of bytes as text, in the largest unit of which there is at least one."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
