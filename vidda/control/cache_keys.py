"""All that decides a control, as text and digests for keys of a cache."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from vidda.config import Config
from vidda.files import sha256
from vidda.sidecar import sidecar_path
from vidda.types import ClipRecord

NOT_IN_KEY = {"device", "download"}
"""Config keys that do not change the results, and so are left out of cache keys."""

CONFIG_SUFFIXES = (".py", ".json", ".yaml")
"""File name endings of mmpose configs that are the user's own files."""

MODEL_SUFFIXES = (".safetensors", ".json", ".tflite")
"""File name endings in a folder of a model."""


def config_identity(config: Config | None) -> str:
    """Return as JSON text all that decides a config's results: its values and its files' contents.

    The locations of the files and the device are left out.
    """
    return json.dumps(_plain(config), sort_keys=True)


def frames_digest(frames: np.ndarray) -> str:
    """Return the SHA-256 of frames and their shape, as hex digits."""
    digest = hashlib.sha256(repr(frames.shape).encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def clip_identity(clip: ClipRecord, root: Path, indices: np.ndarray | None) -> str:
    """Return as text all that decides people's boxes in frames of a clip, but the frames.

    Boxes may come from the manifest's columns or the sidecar. clip, root: the clip, and its
    manifest's root. indices: (T,) numbers of the frames in the clip; None: all.
    """
    beside = sidecar_path(clip, root)
    boxes = sha256(beside) if beside.is_file() else ""
    numbers = None if indices is None else indices.tolist()
    return repr((clip.path, sorted(clip.meta.items()), boxes, numbers))


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return {name: _plain(item) for name, item in value if name not in NOT_IN_KEY}
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(CONFIG_SUFFIXES)):
        place = Path(value).expanduser()
        if place.is_dir():
            files = [one for one in sorted(place.iterdir()) if one.suffix in MODEL_SUFFIXES]
            return {one.name: sha256(one) for one in files} or str(value)
        return sha256(place) if place.is_file() else str(value)
    return value
