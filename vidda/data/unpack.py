"""Unpacking of zip files so that nothing leaves its folder and a killed run can be resumed."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.errors import ViddaError
from vidda.files import inside, require_free
from vidda.progress import track

MOST_EXPANSION = 200
"""Largest factor that an archive may grow by; video hardly shrinks, text by about 10."""

SMALL = 1 << 20
"""Bytes up to which an archive may grow by any factor."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive. path: where it is unpacked to, relative to the folder."""

    archive: Path
    info: zipfile.ZipInfo
    path: str


def plan(
    archives: Sequence[Path], path_in_tree: Callable[[Path, str], str | None], folder: Path
) -> tuple[list[Member], list[str]]:
    """Return the members to unpack, and the names of those that are left out.

    archives: zip files. path_in_tree: gives, for an archive and a member's name, the path under
    `folder`, or None to leave the member out. Raises ViddaError with a line for each mistake: a
    file that is no zip, a member that leaves the folder, is a link, is encrypted or is duplicated
    with another content, and an archive that grows beyond reason.
    """
    members: list[Member] = []
    left: list[str] = []
    problems: list[str] = []
    by_path: dict[str, Member] = {}
    for archive in archives:
        try:
            with zipfile.ZipFile(archive) as opened:
                infos = [info for info in opened.infolist() if not _is_clutter(info)]
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            problems.append(f"{archive}: is not a whole zip file ({error}); download it again")
            continue
        problems += _mistakes(archive, infos, folder)
        for info in infos:
            path = path_in_tree(archive, info.filename)
            if path is None:
                left.append(f"{archive.name}: {info.filename}")
                continue
            member = Member(archive, info, path)
            first = by_path.setdefault(path.casefold(), member)
            if first is member:
                members.append(member)
            elif (first.info.CRC, first.info.file_size) != (info.CRC, info.file_size):
                problems.append(
                    f"{archive}: {info.filename!r} would overwrite {first.info.filename!r}"
                    f" of {first.archive.name}, which differs"
                )
    if problems:
        raise ViddaError("\n".join(problems))
    return members, left


def missing(members: Sequence[Member], folder: Path) -> list[Member]:
    """Return the members that are not under `folder` at their full size."""
    return [m for m in members if not _is_there(inside(folder, m.path), m.info)]


def unpack(members: Sequence[Member], folder: Path) -> None:
    """Unpack the members under `folder`, except those that are there at their full size.

    Each file appears under its name only when its checksum was right. Raises ViddaError when the
    disk is too small, before anything is written, and at the end for all corrupt members together.
    """
    todo = missing(members, folder)
    require_free(folder, sum(member.info.file_size for member in todo))
    problems: list[str] = []
    opened: zipfile.ZipFile | None = None
    try:
        done = len(members) - len(todo)
        for member in track(todo, label="unpack", total=len(members), unit="files", done=done):
            if opened is None or opened.filename != str(member.archive):
                if opened is not None:
                    opened.close()
                opened = zipfile.ZipFile(str(member.archive))
            try:
                _write(opened, member, inside(folder, member.path))
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                name = member.info.filename
                problems.append(
                    f"{member.archive}: {name!r} is corrupt ({error}); download it again"
                )
    finally:
        if opened is not None:
            opened.close()
    if problems:
        raise ViddaError("\n".join(problems))


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Return whether a member is a folder, or a file that macOS or Windows leaves in archives."""
    parts = info.filename.split("/")
    return info.is_dir() or "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] in (
        ".DS_Store", "Thumbs.db", "desktop.ini",
    )  # fmt: skip


def _mistakes(archive: Path, infos: Sequence[zipfile.ZipInfo], folder: Path) -> list[str]:
    problems = []
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        try:
            inside(folder, info.filename)
        except ViddaError:
            problems.append(f"{archive}: member {info.filename!r} leaves the folder; not unpacked")
        if kind not in (0, stat.S_IFREG):
            problems.append(
                f"{archive}: member {info.filename!r} is a link or a device; not unpacked"
            )
        if info.flag_bits & 1:
            problems.append(f"{archive}: member {info.filename!r} is encrypted; unpack it by hand")
    size, packed = sum(info.file_size for info in infos), archive.stat().st_size
    # The size on disk, not that of the header, which overlapping members would falsify.
    if size > max(SMALL, MOST_EXPANSION * packed):
        problems.append(
            f"{archive}: {packed} bytes would grow to {size}, too much for a sound archive; not"
            " unpacked"
        )
    return problems


def _is_there(file: Path, info: zipfile.ZipInfo) -> bool:
    """Return whether a file has its full size; checksums would take as long as to unpack again."""
    try:
        return file.stat().st_size == info.file_size
    except FileNotFoundError:
        return False


def _write(opened: zipfile.ZipFile, member: Member, file: Path) -> None:
    """Unpack one member; raises BadZipFile unless size and checksum are those of its header.

    It does not use `files.atomic`, whose fsync for each of 100,000 files takes longer than
    unpacking them. A file that is short after a power cut is found by its size, and unpacked again.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.part")
    try:
        with opened.open(member.info) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        written = temporary.stat().st_size
        if written != member.info.file_size:
            raise zipfile.BadZipFile(f"{written} bytes, its header says {member.info.file_size}")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
