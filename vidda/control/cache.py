"""What was computed once for a clip, kept on disk: named arrays under the hash of what made them.

    DIR/<ab>/<key>.npz

A file is written under another name and renamed, so each is whole or absent, whoever is killed and
however many processes write the same one. The ZIP's checksums tell one that was damaged later.
"""

import shutil
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from vidda.errors import ViddaError
from vidda.files import atomic

STALE_S = 3600.0
DAMAGE = (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


class ArrayCache:
    """A folder of arrays that several processes and runs may share.

    folder: made where it does not exist. min_free_gib: nothing more is kept (with one warning)
    where less disk would stay free. Raises ViddaError where the folder cannot be written.
    """

    def __init__(self, folder: Path, *, min_free_gib: float = 5.0) -> None:
        self.folder = folder
        self.min_free_gib = min_free_gib
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            raise ViddaError(f"cache {folder}: cannot be written to: {error.strerror}") from None

    def arrays(
        self, key: str, make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        """The arrays of a key, from disk where they were made before, else from `make()`.

        key: hex digest of everything that decides the arrays. Raises whatever `make` raises.
        """
        place = self.folder / key[:2] / f"{key}.npz"
        try:
            with np.load(place, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            pass
        except DAMAGE:
            warnings.warn(f"cache: {place} is damaged and is made again", stacklevel=2)
        arrays = make()
        self._store(place, arrays)
        return arrays

    def _store(self, place: Path, arrays: Mapping[str, np.ndarray]) -> None:
        needed = sum(array.nbytes for array in arrays.values())
        if shutil.disk_usage(self.folder).free - needed < self.min_free_gib * 2**30:
            warnings.warn(
                f"cache {self.folder}: less than {self.min_free_gib} GiB would stay free;"
                " further clips are computed each time",
                stacklevel=3,
            )
            return
        with atomic(place) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def _remove_leftovers(self) -> None:
        """Half-written files of processes that were killed; fresh ones may be another's work."""
        for part in self.folder.rglob(".*.part*"):
            with suppress(FileNotFoundError):  # another process has just finished it
                if time.time() - part.stat().st_mtime > STALE_S:
                    part.unlink()
