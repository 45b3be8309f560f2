"""Images that are kept on disk instead of in memory."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.personalize.render_images import read_png


class Images(Protocol):
    """N images of one size, uint8 RGB, sliced like a numpy array (N, H, W, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, numbers: slice, /) -> np.ndarray:
        """Return the images of a slice, (B, H, W, 3) uint8."""


class SpooledImages:
    """Images of size x size pixels in an unnamed temporary file, which ends with the process."""

    def __init__(self, size: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._image_shape = (size, size, 3)
        self._bytes = size * size * 3
        self._count = 0

    def append(self, image: np.ndarray) -> None:
        """Append an image (size, size, 3) uint8; raise ViddaError when the disk is full."""
        try:
            self._file.seek(self._count * self._bytes)
            self._file.write(np.ascontiguousarray(image).data)
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
        """Return (N, size, size, 3)."""
        return (self._count, *self._image_shape)

    def __getitem__(self, numbers: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the images of a slice or of numbers in 0..N-1, (B, size, size, 3) uint8."""
        wanted = range(*numbers.indices(self._count)) if isinstance(numbers, slice) else numbers
        images = np.empty((len(wanted), *self._image_shape), np.uint8)
        for image, number in zip(images, wanted, strict=True):
            self._file.seek(int(number) * self._bytes)
            self._file.readinto(image.data)
        return images


class PngImages:
    """Images in PNG files, all of one size."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, numbers: slice, /) -> np.ndarray:
        """Return the images of a slice, (B, H, W, 3) uint8."""
        return np.stack([read_png(file) for file in self._files[numbers]])
