"""Points of clips, by which source and target are compared: a model's features, or attributes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.gap.attribute_table import AttributeTable, MeasureConfig, attribute_table
from vidda.gap.clip_parts import values_in_parts
from vidda.gap.feature_distances import standardize
from vidda.recognize.infer import infer
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import load_card, load_model
from vidda.types import ClipRecord, Manifest

Side = Literal["source", "target"]
PARTS = "parts"
"""Folder of a run for what a resumed job finds."""
KNOWN_SHARE = 0.5
"""Least share of the clips of both sets that must have an attribute for it to be a coordinate."""


class RecognizerFeatures(Config):
    """The features of a trained recognizer: the input of its last layer."""

    name: Literal["recognizer"] = "recognizer"
    model: Path = Field(description="a run of vidda train, or one of its checkpoints")
    inference: InferenceConfig = Field(
        default=InferenceConfig(), description="views of a clip, precision, device, batches"
    )


class FileFeatures(Config):
    """Features from files of any other extractor: an .npz with ids (N,) and features (N, D)."""

    name: Literal["files"] = "files"
    source: Path = Field(description="features of the source's clips, by their ids; others too")
    target: Path = Field(description="features of the target's clips")


class AttributePoints(MeasureConfig):
    """The measured attributes of clips that source and target both have."""

    name: Literal["attributes"] = "attributes"


FeatureSource = Annotated[RecognizerFeatures | FileFeatures, Field(discriminator="name")]
PointSource = Annotated[
    AttributePoints | RecognizerFeatures | FileFeatures, Field(discriminator="name")
]


def check_features(
    config: AttributePoints | RecognizerFeatures | FileFeatures, source: Manifest, target: Manifest
) -> list[str]:
    """Return a line for each mistake that is known before a clip is decoded."""
    problems: list[str] = []
    sides: tuple[tuple[Side, Manifest], ...] = (("source", source), ("target", target))
    try:
        if isinstance(config, RecognizerFeatures):
            _, card = load_card(config.model)
            size = config.inference.transform(card).size
            card.model.check_input(config.inference.sampling(card).frames, size, size)
            config.inference.torch_device()
    except ViddaError as error:
        problems.append(str(error))
    if isinstance(config, FileFeatures):
        for side, manifest in sides:
            try:
                read_feature_file(getattr(config, side), manifest)
            except ViddaError as error:
                problems.append(str(error))
    return problems


def clip_features(
    config: RecognizerFeatures | FileFeatures, manifest: Manifest, side: Side, folder: Path
) -> np.ndarray:
    """Return the features (N, D) of a manifest's clips.

    side: of the manifest. folder: of the parts by which a killed job resumes. Raises ViddaError
    where a clip cannot be read, and where a feature is missing or not finite.
    """
    if isinstance(config, FileFeatures):
        return read_feature_file(getattr(config, side), manifest)
    recognizer, card = load_model(config.model)
    model = recognizer.to(config.inference.torch_device())

    def compute(clips: Sequence[ClipRecord]) -> np.ndarray:
        part = Manifest(manifest.root, manifest.classes, tuple(clips))
        loader = config.inference.loader(card, part, on_error="error")
        device = config.inference.torch_device()
        return infer(model, loader, device, config.inference.precision).features.numpy()

    found = values_in_parts(
        folder, manifest.clips, compute, jobs=1, label=f"features of the {side}"
    )
    _require_finite(found, [clip.id for clip in manifest.clips], str(config.model))
    return found


def read_feature_file(path: Path, manifest: Manifest) -> np.ndarray:
    """Return the features (N, D) of a manifest's clips from an .npz; nothing is unpickled.

    Raises ViddaError where the file is none of features, or lacks one of the clips.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
    except FileNotFoundError:
        raise ViddaError(f"{path}: no such file of features") from None
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise ViddaError(f"{path}: cannot be read as an .npz of features: {error}") from None
    ids, features = arrays.get("ids"), arrays.get("features")
    if ids is None or features is None:
        raise ViddaError(f"{path}: has no arrays 'ids' (N,) and 'features' (N, D); write both")
    if ids.ndim != 1 or features.ndim != 2 or len(ids) != len(features):
        raise ViddaError(
            f"{path}: ids of shape {ids.shape} and features of shape {features.shape}; write (N,)"
            " and (N, D)"
        )
    row_of = {str(name): row for row, name in enumerate(ids)}
    missing = [clip.id for clip in manifest.clips if clip.id not in row_of]
    if missing:
        raise ViddaError(
            f"{path}: has no features of {len(missing)} of {len(manifest)} clips, first"
            f" {missing[0]!r}; extract them for this manifest"
        )
    names = [clip.id for clip in manifest.clips]
    found = features[[row_of[name] for name in names]].astype(np.float32)
    _require_finite(found, names, str(path))
    return found


def attribute_points(
    source: AttributeTable, target: AttributeTable
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return standardized attributes of both sets, (N, A) and (M, A), and the names of these.

    They are those that at least KNOWN_SHARE of the clips of both have; a clip without one gets the
    target's mean. Raises ViddaError where nothing is left that differs between clips.
    """
    names, columns = [], []
    for name in source.names:
        known = [len(table.known(name)) for table in (source, target)]
        enough = known[0] >= KNOWN_SHARE * len(source.ids)
        if enough and known[1] >= max(1, KNOWN_SHARE * len(target.ids)):
            mean = target.known(name).mean()
            values = [table.column(name) for table in (source, target)]
            filled = [np.where(np.isfinite(v), v, mean) for v in values]
            if np.ptp(np.concatenate(filled)) > 0:
                names.append(name)
                columns.append(filled)
    if not columns:
        raise ViddaError("no attribute of the clips differs between any two; give other clips")
    first, second = (np.stack([column[n] for column in columns], axis=1) for n in (0, 1))
    return *standardize(first, second), tuple(names)


def read_points(
    config: AttributePoints | RecognizerFeatures | FileFeatures,
    source: Manifest,
    target: Manifest,
    out: Path,
    jobs: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return standardized points of the source's and the target's clips, (N, D) and (M, D).

    out: run folder, which keeps what a resumed job need not do again. jobs: number of processes
    that measure attributes. Raises ViddaError where a clip cannot be read.
    """
    if isinstance(config, AttributePoints):
        measure = partial(attribute_table, config=config, jobs=jobs)
        tables = [
            measure(manifest, folder=out / PARTS / side, label=f"attributes of the {side}")
            for manifest, side in ((source, "source"), (target, "target"))
        ]
        return attribute_points(*tables)[:2]
    return standardize(
        clip_features(config, source, "source", out / PARTS / "source"),
        clip_features(config, target, "target", out / PARTS / "target"),
    )


def _require_finite(features: np.ndarray, ids: Sequence[str], where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(features).all(1))
    if len(bad):
        raise ViddaError(
            f"{where}: features of {len(bad)} of {len(ids)} clips are nan or inf, first of"
            f" {ids[bad[0]]!r}; extract them again, a model's with precision=fp32"
        )
