"""A cache folder that several processes and runs may share.

A file is written under a temporary name and renamed, so each is whole or absent, whichever process
is killed and however many write the same one. A cache only saves time: where it cannot be written,
one warning is given, and its users continue without it.
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
IMPOSSIBLE_PATH = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""Error numbers that mean that no folder of this name can ever be made."""


class CacheFolder:
    """A cache folder and the flag, shared with workers, that it can no longer be written.

    folder: made where it does not exist, with `subfolders` in it. min_free_gib: files are no longer
    kept where less disk space than this would stay free. without: what happens then, for the
    warning. Raises ViddaError where there can be no such folder.
    """

    def __init__(
        self, folder: Path, min_free_gib: float, without: str, subfolders: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.min_free_gib = min_free_gib
        self._without = without
        self._disabled = _disabled_flag(folder.absolute())
        self._disabled.fill_(False)
        try:
            for one in (folder, *(folder / name for name in subfolders)):
                one.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            if error.errno in IMPOSSIBLE_PATH:
                problem = f"cache {folder}: cannot be written to: {error.strerror}"
                raise ViddaError(f"{problem}; choose another folder") from None
            self._disable(error)

    def write(self, file: Path, size: int, save: Callable[[Path], None]) -> None:
        """Write a file of the cache, unless the cache can no longer be written.

        file: its path in the folder. size: about how many bytes it will have. save: writes the
        content to the temporary path that it is called with. An OSError disables the cache with a
        warning.
        """
        if self._disabled:
            return
        try:
            if shutil.disk_usage(self.folder).free - size < self.min_free_gib * 2**30:
                self._disable(f"less than {self.min_free_gib} GiB would stay free")
                return
            with atomic(file) as temporary:
                save(temporary)
        except OSError as error:
            self._disable(error)

    def _disable(self, why: OSError | str) -> None:
        reason = why if isinstance(why, str) else f"cannot be written to ({why.strerror or why})"
        if not self._disabled:
            self._disabled.fill_(True)
            warnings.warn(f"cache {self.folder}: {reason}; {self._without}", stacklevel=4)

    def _remove_leftovers(self) -> None:
        """Remove half-written files of killed processes; recent ones may be still being written."""
        for part in self.folder.rglob(".*.part*"):
            with suppress(FileNotFoundError):  # another process has just finished it
                if time.time() - part.stat().st_mtime > STALE_S:
                    part.unlink()


@cache
def _disabled_flag(folder: Path) -> torch.Tensor:
    """Return the flag, () bool, that all users of a folder share, in this process and workers."""
    return share(torch.zeros((), dtype=torch.bool))
