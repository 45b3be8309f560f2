"""Zip files, unpacked so that nothing leaves its folder and a killed run goes on where it was."""

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
"""An archive that grows by more than this is a bomb: video hardly shrinks, text by about 10."""

SMALL = 1 << 20
"""Bytes up to which the growth does not matter."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive and the place, relative to the folder, that it unpacks to."""

    archive: Path
    info: zipfile.ZipInfo
    place: str


def plan(
    archives: Sequence[Path], place: Callable[[Path, str], str | None], folder: Path
) -> tuple[list[Member], list[str]]:
    """What unpacking would write, and the members that `place` leaves out.

    place: given the archive and a member's name, where it goes under `folder`, or None to leave it.
    Raises ViddaError with a line for each mistake: a file that is no zip, a member that leaves the
    folder, is a link, is encrypted or stands twice, and an archive that grows beyond reason.
    """
    members: list[Member] = []
    left: list[str] = []
    problems: list[str] = []
    taken: dict[str, Member] = {}
    for archive in archives:
        try:
            with zipfile.ZipFile(archive) as opened:
                infos = [info for info in opened.infolist() if not _is_clutter(info)]
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            problems.append(f"{archive}: is not a whole zip file ({error}); download it again")
            continue
        problems += _mistakes(archive, infos, folder)
        for info in infos:
            goes = place(archive, info.filename)
            if goes is None:
                left.append(f"{archive.name}: {info.filename}")
                continue
            member = Member(archive, info, goes)
            first = taken.setdefault(goes.casefold(), member)
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
    """Return the members that are not under `folder` in full."""
    return [m for m in members if not _is_there(inside(folder, m.place), m.info)]


def unpack(members: Sequence[Member], folder: Path) -> None:
    """Write the members under `folder`; those that are there in full are passed over.

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
                _write(opened, member, inside(folder, member.place))
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
    """Folders, and what macOS and Windows leave in archives."""
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
    # The size on disk, not the header's word for it: overlapping members would fool that.
    if size > max(SMALL, MOST_EXPANSION * packed):
        problems.append(
            f"{archive}: {packed} bytes would grow to {size}; no honest archive does, not unpacked"
        )
    return problems


def _is_there(file: Path, info: zipfile.ZipInfo) -> bool:
    """By size alone: checksums of a dataset that is there would take as long as to unpack it."""
    try:
        return file.stat().st_size == info.file_size
    except FileNotFoundError:
        return False


def _write(opened: zipfile.ZipFile, member: Member, file: Path) -> None:
    """Unpack one member; no more bytes than its header says, and those with the right checksum.

    Not `files.atomic`: its fsync for each of 100,000 files takes longer than unpacking them. After
    a power cut a file may be short; its size then tells, and it is unpacked again.
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
