"""One side of a pair, its source or its target: its config, and where it is."""

import csv
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.config import Config
from vidda.data.listing import is_media
from vidda.errors import ViddaError

SideName = Literal["source", "target"]


class PairSource(Config):
    """The labeled clips that are trained on."""

    path: Path = Field(
        description="folder of a folder for each class, a manifest of vidda, or a list of clips;"
        " relative to the root"
    )
    domain: str = Field(
        default="synthetic", description="synthetic (variants can be made), real, or your own name"
    )
    view: str = Field(default="ground", description="ground, air, or a name of your own")
    group: str | None = Field(
        default=None,
        description="column by which clips stay together in a split; by default subject or scene,"
        " where there is one",
    )
    class_file: Path | None = Field(
        default=None,
        description="file of class names for a list whose labels are numbers; relative to the root",
    )


class PairTarget(PairSource):
    """The clips that are adapted to, and tested on where they have labels."""

    domain: str = Field(default="real", description="real, synthetic, or a name of your own")
    labeled: bool = Field(
        default=True,
        description="whether the clips have labels, for a test and target_only; false ignores them",
    )


@dataclass(frozen=True, slots=True)
class SideFile:
    """The folder or file of one side. name: of the side. path: under the root, normalized."""

    side: PairSource
    name: SideName
    root: Path
    path: str

    @property
    def file(self) -> Path:
        """Return its absolute path."""
        return self.root / self.path

    @property
    def labeled(self) -> bool:
        """Return whether its labels are used."""
        return not isinstance(self.side, PairTarget) or self.side.labeled

    @property
    def base(self) -> str:
        """Return the start of the paths of its clips, "" or with a slash at its end.

        Names that a split is drawn by leave it out, so that they do not depend on the root.
        """
        folder = self.path if self.file.is_dir() else posixpath.dirname(self.path)
        return folder + "/" if folder else ""

    def manifest(self) -> Path | None:
        """Return the manifest of vidda that it is or holds, None if it is something else."""
        file = self.file / "manifest.csv" if self.file.is_dir() else self.file
        if file.suffix.lower() != ".csv" or not file.is_file():
            return None
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            header = next(csv.reader(stream), [])
        return file if {"id", "path", "domain"} <= set(header) else None


def find_side(side: PairSource, name: SideName, root: Path) -> SideFile:
    """Return the folder or file of a side. root: of the dataset, absolute.

    Raises ViddaError when it is not there, not under the root, or a single video.
    """
    key = f"dataset.{name}.path"
    whole = posixpath.normpath((root / side.path).as_posix())
    path = posixpath.relpath(whole, root.as_posix())
    if path == ".." or path.startswith("../"):
        raise ViddaError(
            f"{key}: {side.path} is not under the root {root}; set root=DIR to a folder that holds"
            " the source and the target"
        )
    found = SideFile(side, name, root, path)
    if not found.file.exists():
        raise ViddaError(f"{key}: {found.file} is not there; give a folder, a manifest or a list")
    if found.file.is_file() and is_media(path):
        raise ViddaError(f"{key}: {found.file} is one video; give its folder, or a list of videos")
    return found


def require_apart(source: SideFile, target: SideFile) -> None:
    """Raise ViddaError when source and target are one folder or file, or one holds the other."""
    one, other = (side.file.resolve() for side in (source, target))
    if one == other:
        raise ViddaError(
            f"dataset.source.path and dataset.target.path: both are {one}; give two folders"
        )
    outer, inner = (one, other) if other.is_relative_to(one) else (other, one)
    if inner.is_relative_to(outer) and inner.is_dir():
        raise ViddaError(
            f"dataset.source.path and dataset.target.path: {inner} is inside {outer}; give two"
            " folders, neither in the other"
        )
