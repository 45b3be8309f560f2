"""A table of attributes: of every clip of a manifest, measured or from the manifest's columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
from vidda.data.manifest import BOX_COLUMNS, csv_line, meta_columns, parse_number, write_csv
from vidda.errors import ViddaError
from vidda.gap.clip_attributes import ATTRIBUTES, measure_attributes
from vidda.gap.clip_parts import values_in_parts
from vidda.types import ClipRecord, Manifest

ALTITUDE = "altitude_m"


class MeasureConfig(Config):
    """The measurement of clips' attributes."""

    pairs: Count = Field(
        default=8, description="most pairs of neighboring frames of a clip that are decoded"
    )
    size: int = Field(
        default=160,
        ge=32,
        description="shorter side in pixels at which frames are measured, those of all clips",
    )
    columns: tuple[str, ...] | None = Field(
        default=None,
        description="columns of the manifests to take as attributes too, such as altitude_m; null:"
        " all that hold numbers",
    )


@dataclass(frozen=True, slots=True)
class AttributeTable:
    """Attributes of N clips: names of A of them, and values (N, A), NaN where one is not known."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray

    def known(self, name: str) -> np.ndarray:
        """Return the values of an attribute that are known, (n,); empty where there is none."""
        column = self.column(name)
        return column[np.isfinite(column)]

    def column(self, name: str) -> np.ndarray:
        """Return the values of an attribute, (N,), NaN where one is not known."""
        if name not in self.names:
            return np.full(len(self.ids), np.nan)
        return self.values[:, self.names.index(name)]

    def write(self, file: Path, columns: dict[str, np.ndarray]) -> None:
        """Write the table as a CSV, a line for each clip. columns: further ones, (N,) by name."""
        extra = np.stack([*columns.values()], axis=1) if columns else np.zeros((len(self.ids), 0))
        lines = [
            csv_line([name, *("" if np.isnan(v) else f"{v:.6g}" for v in (*row, *more))])
            for name, row, more in zip(self.ids, self.values, extra, strict=True)
        ]
        write_csv(file, csv_line(["id", *self.names, *columns]), lines)


def attribute_table(
    manifest: Manifest, config: MeasureConfig, folder: Path, *, jobs: int, label: str
) -> AttributeTable:
    """Return the attributes of a manifest's clips, measured and from its columns of numbers.

    folder: of the parts by which a killed job resumes, see `clip_parts`. jobs: number of processes,
    0 for one a core. label: of the progress. An attribute that no clip has is left out. Raises
    ViddaError where a clip or a sidecar cannot be read.
    """
    compute = partial(_measure_part, manifest.root, config.pairs, config.size)
    measured = values_in_parts(folder, manifest.clips, compute, jobs=jobs, label=label)
    columns = numeric_columns(manifest, config.columns)
    names = (*ATTRIBUTES, *columns)
    values = np.concatenate([measured, *(one[:, None] for one in columns.values())], axis=1)
    kept = np.isfinite(values).any(0)
    return AttributeTable(
        tuple(clip.id for clip in manifest.clips),
        tuple(name for name, there in zip(names, kept, strict=True) if there),
        values[:, kept],
    )


def numeric_columns(manifest: Manifest, wanted: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return a manifest's columns of numbers by name, (N,) with NaN where a cell is empty.

    wanted: names of columns; those that this manifest lacks are left out. None takes altitude_m and
    all further columns in which every cell that is not empty is a finite number, but for a person's
    box and those that have the name of a measured attribute. Raises ViddaError where a wanted
    column holds something else.
    """
    known = [ALTITUDE, *meta_columns(manifest.clips)]
    chosen = set(known) - set(BOX_COLUMNS) if wanted is None else set(wanted)
    names = [name for name in known if name in chosen]
    found = {}
    for name in names:
        if name in ATTRIBUTES:
            if wanted is not None:
                raise ViddaError(
                    f"attributes.columns: {name!r} is also the name of what is measured; rename the"
                    " column in the manifest"
                )
            continue
        try:
            values = np.array([_number(clip, name) for clip in manifest.clips])
        except ViddaError as error:
            if wanted is not None:
                raise ViddaError(f"attributes.columns: {error}; leave it out") from None
            continue
        if np.isfinite(values).any():
            found[name] = values
    return found


def _number(clip: ClipRecord, name: str) -> float:
    if name == ALTITUDE:
        return np.nan if clip.altitude_m is None else clip.altitude_m
    text = clip.meta.get(name, "")
    return parse_number(name, text) if text else np.nan


def _measure_part(root: Path, pairs: int, size: int, clips: Sequence[ClipRecord]) -> np.ndarray:
    """Return the attributes of some clips, (n, A) in the order of ATTRIBUTES."""
    rows = np.full((len(clips), len(ATTRIBUTES)), np.nan)
    for row, clip in zip(rows, clips, strict=True):
        found = measure_attributes(clip, root, pairs, size)
        row[:] = [found.get(name, np.nan) for name in ATTRIBUTES]
    return rows
