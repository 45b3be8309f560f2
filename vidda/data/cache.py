"""Decoded, resized frames kept on disk, so that later epochs do not decode.

    DIR/keys/<hash of path, time and size>     the SHA-256 of that file's content, as text
    DIR/frames/<ab>/<content>-<size>-<recipe>.npy    (N, H, W, 3) uint8, memory-mapped

Files are written under another name and renamed, so each is whole or absent, whoever is killed and
however many processes write the same one. A video that changes gets another key.
"""

import hashlib
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vidda.errors import ViddaError
from vidda.files import atomic, sha256, write_text
from vidda.video.errors import VideoError
from vidda.video.reading import Size

STALE_S = 3600.0


class FrameCache:
    """A folder of decoded frames that several processes and runs may share.

    folder: made where it does not exist. min_free_gib: nothing more is kept (with one warning)
    where less disk than this would stay free. Raises ViddaError where the folder cannot be written.
    """

    def __init__(self, folder: Path | str, *, min_free_gib: float = 5.0) -> None:
        self.folder = Path(folder)
        self.min_free_gib = min_free_gib
        self._content: dict[str, str] = {}
        try:
            (self.folder / "keys").mkdir(parents=True, exist_ok=True)
            (self.folder / "frames").mkdir(exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            raise ViddaError(f"cache {folder}: cannot be written to: {error.strerror}") from None

    def frames(
        self, path: Path, size: Size, recipe: str, make: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """The frames that `make()` gives for this file, from disk where they were made before.

        path: a video. size: as in `vidda.video.read`. recipe: which of its frames, as a short name
        fit for a file. make: gives them, (N, H, W, 3) uint8; called only where they are not there.
        The result may be a read-only memory map. Raises VideoError, and whatever `make` raises.
        """
        shape = "own" if size is None else "x".join(map(str, np.atleast_1d(size)))
        content = self._content_of(path)
        place = self.folder / "frames" / content[:2] / f"{content}-{shape}-{recipe}.npy"
        try:
            return np.load(place, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            pass
        except (ValueError, EOFError):
            warnings.warn(f"cache: {place} is damaged and is made again", stacklevel=2)
        frames = make()
        self._store(place, frames)
        return frames

    def _store(self, place: Path, frames: np.ndarray) -> None:
        free = shutil.disk_usage(self.folder).free - frames.nbytes
        if free < self.min_free_gib * 2**30:
            warnings.warn(
                f"cache {self.folder}: less than {self.min_free_gib} GiB would stay free;"
                " further clips are decoded each time",
                stacklevel=3,
            )
            return
        with atomic(place) as temporary:
            np.save(temporary, frames, allow_pickle=False)

    def _content_of(self, path: Path) -> str:
        """The SHA-256 of a file, read anew only where its path, time or size changed."""
        try:
            stat = path.stat()
            identity = f"{path.absolute()}\0{stat.st_mtime_ns}\0{stat.st_size}"
            if identity not in self._content:
                key = self.folder / "keys" / hashlib.sha256(identity.encode()).hexdigest()
                if not key.exists():
                    write_text(key, sha256(path))
                self._content[identity] = key.read_text(encoding="ascii")
        except OSError as error:
            raise VideoError(f"{path}: cannot be read: {error.strerror}") from None
        return self._content[identity]

    def _remove_leftovers(self) -> None:
        """Half-written files of processes that were killed; fresh ones may be another's work."""
        for part in self.folder.rglob(".*.part*"):
            if time.time() - part.stat().st_mtime > STALE_S:
                part.unlink(missing_ok=True)
