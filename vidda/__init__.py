"""Video domain adaptation for action recognition.

    import vidda

    manifest = vidda.load_manifest("data/prepared/manifest.csv")
    frames = vidda.video.read("clip.mp4")
    found = vidda.recognize.load("runs/mine").predict(frames)

Packages are imported when they are first used; `import vidda` alone needs no torch.
"""

from typing import TYPE_CHECKING

from vidda.lazy import lazy_names

if TYPE_CHECKING:
    from vidda import adapt, data, evaluate, recognize, translate, video
    from vidda.data.manifest import load_manifest
    from vidda.data.shift import load_shift
    from vidda.errors import ViddaError
    from vidda.types import ClipRecord, Manifest, Predictions, Shift

__version__ = "0.1.0"

__all__ = [
    "ClipRecord",
    "Manifest",
    "Predictions",
    "Shift",
    "ViddaError",
    "adapt",
    "data",
    "evaluate",
    "load_manifest",
    "load_shift",
    "recognize",
    "translate",
    "video",
]

if not TYPE_CHECKING:  # type checkers know only the names above
    _PACKAGES = ("adapt", "data", "evaluate", "recognize", "translate", "video")
    _TYPES = ("ClipRecord", "Manifest", "Predictions", "Shift")

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            **{name: f"vidda.{name}" for name in _PACKAGES},
            **{name: f"vidda.types:{name}" for name in _TYPES},
            "ViddaError": "vidda.errors:ViddaError",
            "load_manifest": "vidda.data.manifest:load_manifest",
            "load_shift": "vidda.data.shift:load_shift",
        },
    )
