"""A folder of what was computed once, which several processes and runs may share.

A file is written under another name and renamed, so each is whole or absent, whoever is killed and
however many processes write the same one. A cache only saves time: where it cannot be written, a
warning says so once, and whoever uses it goes on without.
"""

import errno
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from vidda.errors import ViddaError
from vidda.files import atomic
from vidda.shared_memory import share

STALE_S = 3600.0
MISTAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""What the machine says where no folder of this name can ever be."""


class CacheFolder:
    """The folder, and whether it can still be written; workers share the knowledge.

    folder: made where it does not exist, and `parts` in it. min_free_gib: nothing more is kept
    where less disk than this would stay free. without: what happens then, for the warning. Raises
    ViddaError where there can be no such folder.
    """

    def __init__(
        self, folder: Path, min_free_gib: float, without: str, parts: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.min_free_gib = min_free_gib
        self._without = without
        self._off = _off(folder.absolute())
        self._off.fill_(False)
        try:
            for place in (folder, *(folder / part for part in parts)):
                place.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            if error.errno in MISTAKEN:
                problem = f"cache {folder}: cannot be written to: {error.strerror}"
                raise ViddaError(f"{problem}; choose another folder") from None
            self._stop(error)

    def write(self, place: Path, size: int, save: Callable[[Path], None]) -> None:
        """Keep a file of about `size` bytes, as `save` writes it to the path that it is given."""
        if self._off:
            return
        try:
            if shutil.disk_usage(self.folder).free - size < self.min_free_gib * 2**30:
                self._stop(f"less than {self.min_free_gib} GiB would stay free")
                return
            with atomic(place) as temporary:
                save(temporary)
        except OSError as error:
            self._stop(error)

    def _stop(self, why: OSError | str) -> None:
        said = why if isinstance(why, str) else f"cannot be written to ({why.strerror or why})"
        if not self._off:
            self._off.fill_(True)
            warnings.warn(f"cache {self.folder}: {said}; {self._without}", stacklevel=4)

    def _remove_leftovers(self) -> None:
        """Half-written files of processes that were killed; fresh ones may be another's work."""
        for part in self.folder.rglob(".*.part*"):
            with suppress(FileNotFoundError):  # another process has just finished it
                if time.time() - part.stat().st_mtime > STALE_S:
                    part.unlink()


@cache
def _off(folder: Path) -> torch.Tensor:
    """Return whether a folder is written no more: one for all users of it, here and in workers."""
    return share(torch.zeros((), dtype=torch.bool))
