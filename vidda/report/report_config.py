"""What `vidda report` is told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from vidda.config import Config

Name = Annotated[str, Field(min_length=1)]


class Gap(Config):
    """The two rows of the transfer table between which the others lie."""

    source: Name = Field(default="source only", description="row that stands for 0%")
    target: Name = Field(default="target only", description="row that stands for 100%")


class Gallery(Config):
    """Which clips are shown beside their translations."""

    source: Path = Field(description="what was translated: a manifest, a folder or a video")
    control: Path | None = Field(
        default=None, description="folder that vidda control wrote of the same clips"
    )
    clips: tuple[str, ...] = Field(
        default=(),
        description="ids of the clips, * standing for anything; none: some worst, others even",
    )
    worst: int = Field(default=2, ge=0, description="clips with the worst figures")
    spread: int = Field(default=4, ge=0, description="further ones, evenly over the list")
    height: int = Field(
        default=224, ge=32, description="of the videos, in pixels; smaller ones stay"
    )
    seconds: float = Field(default=8.0, gt=0, description="a longer clip is shown up to here")


class ReportConfig(Config):
    """Which folders are reported, and where the report goes."""

    runs: tuple[Path, ...] = Field(
        min_length=1, description="folders that vidda train, evaluate or translate wrote"
    )
    out: Path = Field(default=Path("report"), description="folder to write; index.html is in it")
    title: Name = Field(default="Transfer report", description="heading of the page")
    gap: Gap = Field(default=Gap(), description="rows that the gap is measured between")
    translations: dict[str, Path] = Field(
        default={}, description="folders of vidda translate under the names to show"
    )
    gallery: Gallery | None = Field(default=None, description="videos side by side; null: none")
    worst: int = Field(default=20, ge=1, description="clips of each translation that are listed")
