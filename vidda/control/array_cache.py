"""What was computed once for a clip, kept on disk: named arrays under the hash of what made them.

    DIR/<ab>/<key>.npz

The ZIP's checksums tell a file that was damaged after it was written.
"""

import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from vidda.cache_folder import CacheFolder

DAMAGE = (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error)


class ArrayCache:
    """A folder of arrays; see `CacheFolder` for where it cannot be written."""

    def __init__(self, folder: Path, *, min_free_gib: float = 5.0) -> None:
        self._disk = CacheFolder(folder, min_free_gib, "further clips are computed each time")

    def arrays(
        self, key: str, make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        """Return the arrays of a key, from disk where they were made before, else from `make()`.

        key: hex digest of everything that decides the arrays. Raises whatever `make` raises.
        """
        place = self._disk.folder / key[:2] / f"{key}.npz"
        try:
            with np.load(place, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            pass
        except DAMAGE:
            warnings.warn(f"cache: {place} is damaged and is made again", stacklevel=2)
        arrays = make()
        needed = sum(array.nbytes for array in arrays.values())
        self._disk.write(place, needed, lambda file: _write(file, arrays))
        return arrays


def _write(place: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with place.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
