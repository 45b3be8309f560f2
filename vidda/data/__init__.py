"""Manifests, splits and clips: from annotation lists to batches of video."""

from vidda.data.manifest import load_manifest, save_manifest
from vidda.data.shift import load_shift

__all__ = ["load_manifest", "load_shift", "save_manifest"]
