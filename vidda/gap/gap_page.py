"""The page of `vidda gap`: one HTML file with its charts and videos inside, without script."""

import base64
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vidda import video
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.gap.attribute_distances import AttributeDistance
from vidda.gap.attribute_heads import AttributeHead
from vidda.gap.clip_attributes import ATTRIBUTES
from vidda.gap.gap_score import GapScore, SpaceDistances
from vidda.svg import histogram
from vidda.types import ClipRecord

TEMPLATE = Path(__file__).parent / "template"
CLIP_HEIGHT, CLIP_SECONDS = 128, 3.0
"""Most pixels of height, and most seconds, of a clip on the page."""
COLUMN = "column of the manifests"


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One attribute on the page: its distance, and the values (n,) and (m,) it was made of.

    head: that the values come from, None where they were measured.
    """

    name: str
    distance: AttributeDistance
    source: np.ndarray
    target: np.ndarray
    head: AttributeHead | None = None

    @property
    def unit(self) -> str:
        """Return the unit, "" for a column of the manifests."""
        return ATTRIBUTES[self.name].unit if self.name in ATTRIBUTES else ""

    @property
    def definition(self) -> str:
        """Return the definition for people."""
        return ATTRIBUTES[self.name].definition if self.name in ATTRIBUTES else COLUMN


@dataclass(frozen=True, slots=True)
class EmbeddedClip:
    """A clip on the page: its id, a note, and its video as a data URI or why there is none."""

    id: str
    note: str
    uri: str
    reason: str


def render_gap_page(
    title: str,
    score: GapScore,
    rows: Sequence[AttributeRow],
    spaces: Mapping[str, SpaceDistances],
    heads: Sequence[AttributeHead],
    groups: Mapping[str, Sequence[EmbeddedClip]],
    notes: Sequence[str],
) -> str:
    """Return the page as HTML; whatever comes from a file is escaped.

    rows: attributes, the largest distance first. spaces: by name, the one of the score first.
    heads: all that were tested, of numbers and of columns of names. groups: clips by the heading
    above them. notes: what was left out, a sentence each.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
    charts = [(row, _chart(row)) for row in rows]
    page: str = environment.get_template("gap.html.jinja").render(
        title=title,
        score=score,
        charts=charts,
        spaces=spaces,
        heads=[head for head in heads if not head.classes],
        class_rows=[(head, _class_shares(head)) for head in heads if head.classes],
        groups=groups,
        notes=notes,
    )
    return page


def embed_clips(clips: Iterable[tuple[ClipRecord, str]], root: Path) -> list[EmbeddedClip]:
    """Return clips with their beginnings as small H.264 videos, in data URIs.

    clips: each with a note. root: of their manifest.
    """
    found = []
    for clip, note in clips:
        uri, reason = "", ""
        try:
            uri = _data_uri(inside(root, clip.path))
        except ViddaError as error:
            reason = str(error)
        found.append(EmbeddedClip(clip.id, note, uri, reason))
    return found


def _data_uri(path: Path) -> str:
    info = video.probe(path)
    fps = info.fps or 1.0
    scale = min(1.0, CLIP_HEIGHT / info.height)
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (info.height, info.width))
    count = max(1, min(info.frames, round(CLIP_SECONDS * fps)))
    frames = video.read(path, np.arange(count), (size[0], size[1]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        video.write(file, frames, fps, crf=26)
        content = base64.b64encode(file.read_bytes()).decode()
    return f"data:video/mp4;base64,{content}"


def _chart(row: AttributeRow) -> Any:
    axis = f"{row.name}, {row.unit}" if row.unit else row.name
    title = f"Distribution of {row.name} in source and target"
    return histogram([row.source, row.target], ["s0", "s1"], x=axis, title=title)


def _class_shares(head: AttributeHead) -> list[tuple[str, float, float]]:
    """Return each class of a head with its predicted share in source and target."""
    return [
        (name, float((head.source == n).mean()), float((head.target == n).mean()))
        for n, name in enumerate(head.classes)
    ]
