"""Results of `vidda translate`: the status and the quality figures of each clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from vidda.data.derived import DerivedFiles
from vidda.errors import ViddaError
from vidda.report.run_records import RunRecord, read_record


@dataclass(frozen=True, slots=True)
class QualityFigure:
    """A quality figure of translated clips.

    name: short, for tables. meaning: with its unit. sign: 1 if higher is worse, -1 if lower is.
    """

    name: str
    meaning: str
    sign: int


FIGURES: Mapping[str, QualityFigure] = {
    "warp_error_ratio": QualityFigure("flicker", "warp error relative to the source's own", 1),
    "flow_epe": QualityFigure("motion error", "endpoint error of the optical flow, in pixels", 1),
    "pck": QualityFigure("joints found", "PCK@0.2 of the pose detected again, 0 to 1", -1),
    "brightness_range": QualityFigure(
        "brightness drift", "largest difference from the first frame, L*", 1
    ),
    "color_range": QualityFigure(
        "color drift", "largest difference from the first frame, a* and b*", 1
    ),
}
"""The figures that are shown, by their names in the results of `vidda translate`."""

STATUSES = ("failed", "rejected", "kept")


class ClipFigures(DerivedFiles):
    """The result of one clip, which `vidda translate` writes beside the clip's video."""

    status: Literal["kept", "rejected", "failed"] = Field(
        description="kept: the clip is in the manifest"
    )
    reasons: tuple[str, ...] = Field(default=(), description="why the clip is not kept")
    path: str | None = Field(default=None, description="path of the video in the folder")
    columns: dict[str, str] = Field(default={}, description="further columns of the manifest")
    quality: dict[str, float | None] = Field(default={}, description="quality figures by name")


@dataclass(frozen=True, slots=True)
class Translation:
    """One folder of vidda translate.

    records: of its shards, or of the folder without shards. clips: results by id, so far.
    """

    path: Path
    records: tuple[RunRecord, ...]
    clips: Mapping[str, ClipFigures]

    def count(self, status: str) -> int:
        """Return how many clips have a status."""
        return sum(clip.status == status for clip in self.clips.values())

    def values(self, figure: str) -> np.ndarray:
        """Return one figure of every clip that has it, (N,)."""
        found = [clip.quality.get(figure) for clip in self.clips.values()]
        return np.array([value for value in found if value is not None], dtype=np.float64)

    def figures(self) -> list[str]:
        """Return the figures of `FIGURES` that at least one clip has."""
        return [name for name in FIGURES if len(self.values(name))]


def read_translation(path: Path) -> Translation:
    """Read the results of a folder of vidda translate so far.

    Raises ViddaError with a line for each damaged result, or when there is none.
    """
    folders = sorted(file.parent for file in path.glob("shards/*/config.yaml"))
    records = tuple(read_record(folder) for folder in folders or [path])
    clips, problems = {}, []
    for file in sorted((path / "videos").rglob("*.json")):
        try:
            clip = ClipFigures.model_validate_json(file.read_text(encoding="utf-8"), strict=True)
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            problems.append(f"{file}: not the result of a clip ({reason}); translate it again")
        else:
            clips[clip.id] = clip
    if not clips and not problems:
        problems = [f"{path}: no clip is translated yet"]
    if problems:
        raise ViddaError("\n".join(problems))
    return Translation(path, records, clips)


def mean_ranks(translation: Translation) -> dict[str, float]:
    """Return each clip's mean rank over the figures, 0 to 1, by id; the higher the worse.

    A clip's rank in a figure is the share of clips that are better; figures that it lacks do not
    count, and a clip without any has rank 0.
    """
    ranks: dict[str, list[float]] = {name: [] for name in sorted(translation.clips)}
    for name in translation.figures():
        sign = FIGURES[name].sign
        values = np.sort(sign * translation.values(name))
        for clip, own in ranks.items():
            value = translation.clips[clip].quality.get(name)
            if value is not None:
                own.append(np.searchsorted(values, sign * value) / len(values))
    return {clip: float(np.mean(own)) if own else 0.0 for clip, own in ranks.items()}


def worst_first(translation: Translation) -> list[ClipFigures]:
    """Return failed, then rejected, then kept clips, each by their mean rank over the figures."""
    ranks = mean_ranks(translation)
    clips = (translation.clips[name] for name in ranks)
    return sorted(clips, key=lambda clip: (STATUSES.index(clip.status), -ranks[clip.id]))


def quartiles(values: np.ndarray) -> Sequence[float]:
    """Return the lower quartile, the median and the upper one. values: (N,), N at least 1."""
    found: list[float] = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return found
