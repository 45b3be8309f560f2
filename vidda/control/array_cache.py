"""An on-disk cache of named arrays that were computed for a clip, under the hash of their inputs.

    DIR/<ab>/<key>.npz

The checksums in the ZIP reveal a file that was damaged after it was written.
"""

import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from vidda.cache_folder import CacheFolder

DAMAGE_ERRORS = (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error)


class ArrayCache:
    """A folder of cached arrays.

    folder: made where it does not exist. min_free_gib: GiB of disk space to leave free; where less
    would stay free, or the folder cannot be written, arrays are computed but not stored. Raises
    ViddaError where there can be no such folder.
    """

    def __init__(self, folder: Path, *, min_free_gib: float = 5.0) -> None:
        self._disk = CacheFolder(folder, min_free_gib, "further clips are computed each time")

    def get_or_compute(
        self, key: str, make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        """Return the arrays of a key: from disk if they are stored, else from `make()`, and store
        them.

        key: hex digest of everything that decides the arrays. Raises whatever `make` raises.
        """
        path = self._disk.folder / key[:2] / f"{key}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            pass
        except DAMAGE_ERRORS:
            warnings.warn(f"cache: {path} is damaged and is computed again", stacklevel=2)
        arrays = make()
        needed = sum(array.nbytes for array in arrays.values())
        self._disk.write(path, needed, lambda file: _write(file, arrays))
        return arrays


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
