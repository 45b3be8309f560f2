"""Config of `vidda report`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from vidda.config import Config

RowName = Annotated[str, Field(min_length=1)]


class Gap(Config):
    """Names of the two rows of the transfer table that the gap is measured between."""

    source: RowName = Field(default="source only", description="name of the row that counts as 0%")
    target: RowName = Field(
        default="target only", description="name of the row that counts as 100%"
    )


class Gallery(Config):
    """Clips that are shown beside their controls and translations."""

    source: Path = Field(description="translated clips: a manifest, a folder or a video")
    control: Path | None = Field(
        default=None, description="folder that vidda control wrote of the same clips"
    )
    clips: tuple[str, ...] = Field(
        default=(),
        description="ids of the clips to show, * matches any text; empty: by worst and spread",
    )
    worst: int = Field(
        default=2, ge=0, description="number of clips with the worst quality figures to show"
    )
    spread: int = Field(
        default=4, ge=0, description="number of further clips, evenly over the list"
    )
    height: int = Field(default=224, ge=32, description="largest height of the videos, in pixels")
    seconds: float = Field(
        default=8.0, gt=0, description="longest duration of the videos, in seconds"
    )


class ReportConfig(Config):
    """Config of `vidda report`: the folders to report, and the folder to write."""

    runs: tuple[Path, ...] = Field(
        min_length=1, description="folders that vidda train, evaluate or translate wrote"
    )
    out: Path = Field(default=Path("report"), description="folder to write; index.html is in it")
    title: RowName = Field(default="Transfer report", description="heading of the page")
    gap: Gap = Field(default=Gap(), description="rows of 0% and 100% for the share of gap closed")
    translations: dict[str, Path] = Field(
        default={}, description="folders of vidda translate, by the names to show"
    )
    gallery: Gallery | None = Field(
        default=None, description="clips shown as videos side by side; null: none"
    )
    worst: int = Field(
        default=20, ge=1, description="number of the worst clips to list of each translation"
    )
