"""Manifests, splits and clips: from annotation lists to batches of video."""

from typing import TYPE_CHECKING

from vidda.data.manifest import load_manifest, save_manifest
from vidda.data.shift import load_shift
from vidda.lazy import lazy_names

if TYPE_CHECKING:
    from vidda.data.dataset import Batch, Clip, ClipDataset
    from vidda.data.frame_sampling import (
        CenterSampling,
        DenseSampling,
        UniformSampling,
        ViewsSampling,
    )
    from vidda.data.transforms import TransformConfig

__all__ = [
    "Batch",
    "CenterSampling",
    "Clip",
    "ClipDataset",
    "DenseSampling",
    "TransformConfig",
    "UniformSampling",
    "ViewsSampling",
    "load_manifest",
    "load_shift",
    "save_manifest",
]

if not TYPE_CHECKING:  # type checkers know only the names above
    _CLIPS = ("Batch", "Clip", "ClipDataset")
    _SAMPLING = ("CenterSampling", "DenseSampling", "UniformSampling", "ViewsSampling")

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            **{name: f"vidda.data.dataset:{name}" for name in _CLIPS},
            **{name: f"vidda.data.frame_sampling:{name}" for name in _SAMPLING},
            "TransformConfig": "vidda.data.transforms:TransformConfig",
        },
    )
