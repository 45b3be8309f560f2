"""A cache of decoded, resized frames on disk, so that later epochs do not decode.

    DIR/keys/<hash of path, time and size>     the SHA-256 of that file's content, as text
    DIR/frames/<ab>/<content>-<size>-<recipe>-<reader>.npy    (N, H, W, 3) uint8, memory-mapped

A video that changes gets another key, and so does one that a new version of the reader reads
differently.
"""

import hashlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vidda.cache_folder import CacheFolder
from vidda.files import sha256, size_and_time
from vidda.video.reading import READER, Size
from vidda.video.video_error import VideoError

SMALL_CLIP_BYTES = 2**20
"""Most bytes of a clip that is kept in memory: opening its file takes longer than reading it."""
MEMORY_BYTES = 2**27
"""Most bytes of all clips that a cache keeps in memory, in each process."""


class FrameCache:
    """A folder of decoded frames; the first small clips that are read stay in memory too.

    folder: made where it does not exist. min_free_gib: GiB of disk space to leave free; where less
    would stay free, or the folder cannot be written, further clips are decoded each time. Raises
    ViddaError where there can be no such folder.
    """

    def __init__(self, folder: Path | str, *, min_free_gib: float = 5.0) -> None:
        without = "further clips are decoded each time"
        self._disk = CacheFolder(Path(folder), min_free_gib, without, ("keys", "frames"))
        self._content: dict[str, str] = {}
        self._in_memory: dict[Path, np.ndarray] = {}
        self._memory_left = MEMORY_BYTES

    def frames(
        self, path: Path, size: Size, recipe: str, make: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Return frames of a video, (N, H, W, 3) uint8, from disk where they were made before.

        path: the video. size: as in `vidda.video.read`. recipe: short name, fit for a file, of the
        choice of frames. make: returns the frames; called only where they are not on disk. The
        result is not to be written to. Raises VideoError, and whatever `make` raises.
        """
        shape = "own" if size is None else "x".join(map(str, np.atleast_1d(size)))
        content = self._content_of(path)
        file = (
            self._disk.folder / "frames" / content[:2] / f"{content}-{shape}-{recipe}-{READER}.npy"
        )
        if file in self._in_memory:
            return self._in_memory[file]
        try:
            frames = np.load(file, mmap_mode="r", allow_pickle=False)
            self._keep_in_memory(file, frames)
            return frames
        except FileNotFoundError:
            pass
        except (ValueError, EOFError, OSError):
            warnings.warn(f"cache: {file} is damaged and is made again", stacklevel=2)
        made = make()
        self._disk.write(file, made.nbytes, lambda path: np.save(path, made, allow_pickle=False))
        return made

    def _keep_in_memory(self, file: Path, frames: np.ndarray) -> None:
        """Keep a file's frames for the next time, where they are few enough."""
        if frames.nbytes <= min(SMALL_CLIP_BYTES, self._memory_left):
            self._memory_left -= frames.nbytes
            self._in_memory[file] = np.array(frames)
            self._in_memory[file].flags.writeable = False

    def _content_of(self, path: Path) -> str:
        """Return the SHA-256 of a file, which is read only where its path, time or size changed."""
        try:
            size, mtime_ns = size_and_time(path)
            identity = f"{path.absolute()}\0{mtime_ns}\0{size}"
            if identity not in self._content:
                key = self._disk.folder / "keys" / hashlib.sha256(identity.encode()).hexdigest()
                self._content[identity] = _digest_in(key) or self._kept(key, sha256(path))
        except OSError as error:
            raise VideoError(f"{path}: cannot be read: {error.strerror}") from None
        return self._content[identity]

    def _kept(self, key: Path, digest: str) -> str:
        self._disk.write(key, len(digest), lambda file: _write_ascii(file, digest))
        return digest


def _digest_in(key: Path) -> str | None:
    """Return the digest that a key file holds; None where there is none or it is damaged."""
    try:
        text = key.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        text = ""
    if re.fullmatch("[0-9a-f]{64}", text):
        return text
    # An empty one would stand for every video whose key is empty too.
    warnings.warn(f"cache: {key} is damaged and is made again", stacklevel=2)
    return None


def _write_ascii(file: Path, text: str) -> None:
    file.write_text(text, encoding="ascii")
