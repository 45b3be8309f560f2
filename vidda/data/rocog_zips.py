"""RoCoG-v2's zip files, unpacked into the tree that the official lists name."""

import re
from pathlib import Path

from vidda.data.listing import Tree, is_media
from vidda.data.rocog import DOMAINS, VIEWS
from vidda.data.unpack import Member, missing, plan, unpack
from vidda.errors import ViddaError
from vidda.files import lock

ZIPS = tuple(f"{domain}_{view}.zip" for domain in DOMAINS for view in VIEWS)
UNUSED = ("syn_orbital.zip", "real_uncropped.zip")
"""Zip files that are published too, but whose videos no official list names."""

SIDE = re.compile(r"(?:annotations|simulation_info)/(?:[\w-]+/)*[\w.-]+|class_dict\.json")


def unpack_zips(root: Path, notes: list[str], *, dry_run: bool) -> Tree:
    """Unpack those of the four zip files that are in `root`, and return the unpacked files.

    Members may start with `real/ground/`, `ground/` or the class folder. notes: a line on each
    finding is appended. dry_run: write nothing, and return the files that would be there. The
    files' times are 0. Raises ViddaError as `plan` and `unpack` do, and when another process
    unpacks there.
    """
    archives = [root / name for name in ZIPS if (root / name).is_file()]
    notes += [
        f"{root / name}: not unpacked, no official list names its videos"
        for name in UNUSED
        if (root / name).is_file()
    ]
    if not archives:
        return {}
    members, left = plan(archives, tree_path, root)
    for archive in archives:
        if not any(member.archive == archive and is_media(member.path) for member in members):
            raise ViddaError(
                f"{archive}: holds no CLASS/FILE.mp4; it is not the dataset's zip file"
            )
    if left:
        notes.append(f"{len(left)} zip members do not belong to the tree, first {left[0]}")
    notes.append(_summary(members, dry_run))
    if not dry_run and missing(members, root):
        # Not where all files are there: such a root may be read-only.
        with lock(root):
            unpack(members, root)
    return {member.path: (member.info.file_size, 0) for member in members}


def tree_path(archive: Path, member: str) -> str | None:
    """Return the path in the tree of a member of a zip, None where it does not belong to it.

    archive: path of the zip, whose name states domain and view. member: its name in the zip.
    """
    path = member.replace("\\", "/")
    if side := re.search(rf"(?:^|/)({SIDE.pattern})$", path):
        return side[1]
    parts = path.split("/")
    if not is_media(path) or len(parts) < 2:
        return None
    domain, view = archive.stem.split("_")
    stated = set(parts[:-2])
    if stated & (DOMAINS.keys() - {domain}) or stated & (VIEWS.keys() - {view}):
        return None
    return "/".join((domain, view, *parts[-2:]))


def _summary(members: list[Member], dry_run: bool) -> str:
    size = sum(member.info.file_size for member in members) / 2**30
    archives = {member.archive.name for member in members}
    verb = "would unpack" if dry_run else "unpacked"
    return f"{verb} {len(members)} files ({size:.1f} GiB) of {', '.join(sorted(archives))}"
