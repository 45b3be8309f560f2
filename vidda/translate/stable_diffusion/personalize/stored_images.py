"""Pictures that stay on disk, so that their number does not matter to memory."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.personalize.render_images import read_png


class Images(Protocol):
    """N pictures of one size, uint8 RGB; a numpy array of (N, H, W, 3) is one too."""

    def __len__(self) -> int: ...

    def __getitem__(self, numbers: slice, /) -> np.ndarray:
        """Return those of a slice, (B, H, W, 3)."""


class Spool:
    """Pictures of size x size pixels in an unnamed file of the system's temporary folder.

    Each is written once and read when it is asked for; the file goes with the process.
    """

    def __init__(self, size: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._one = (size, size, 3)
        self._bytes = size * size * 3
        self._count = 0

    def append(self, picture: np.ndarray) -> None:
        """Write one more, (size, size, 3) uint8; ViddaError where the disk is full."""
        try:
            self._file.seek(self._count * self._bytes)
            self._file.write(np.ascontiguousarray(picture).data)
            self._file.flush()
        except OSError as error:
            raise ViddaError(
                f"{tempfile.gettempdir()}: target frames cannot be kept there ({error.strerror});"
                " free some space, or name another folder in the environment variable TMPDIR"
            ) from None
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As of an array of all of them."""
        return (self._count, *self._one)

    def __getitem__(self, numbers: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Return those of a slice or of these numbers in 0..N-1, (B, size, size, 3) uint8."""
        wanted = range(*numbers.indices(self._count)) if isinstance(numbers, slice) else numbers
        found = np.empty((len(wanted), *self._one), np.uint8)
        for picture, number in zip(found, wanted, strict=True):
            self._file.seek(int(number) * self._bytes)
            self._file.readinto(picture.data)
        return found


class Files:
    """Pictures in PNG files that `write_png` wrote, all of one size."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, numbers: slice, /) -> np.ndarray:
        """Return those of a slice, (B, H, W, 3) uint8."""
        return np.stack([read_png(file) for file in self._files[numbers]])
