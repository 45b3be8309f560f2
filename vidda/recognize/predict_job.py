"""`vidda predict MODEL INPUT`: predictions for videos, whole or in windows over time."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from rich.box import SIMPLE_HEAD
from rich.table import Table

from vidda.console import console
from vidda.data.choose_clips import find_clips
from vidda.data.saved_predictions import write_probabilities
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.recognize.annotate import annotate
from vidda.recognize.infer import require_finite
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.predictor import Predictor
from vidda.recognize.saved_recognizer import ModelCard, load_card
from vidda.recognize.timeline import Timeline, sliding_windows
from vidda.types import Manifest
from vidda.video import VideoError, probe
from vidda.video.writing import SUFFIXES

MAX_PRINTED_LINES = 40
"""Largest number of printed table rows; OUT has all rows."""


class PredictConfig(InferenceConfig):
    """The config of `vidda predict`: the model, the videos and the outputs."""

    model: Path = Field(description="a run of vidda train, or one of its checkpoints")
    input: Path = Field(description="a video, a folder of videos, or a manifest")
    out: Path | None = Field(
        default=None, description="CSV file to write with all probabilities; null: none"
    )
    window: float | None = Field(
        default=None,
        gt=0,
        description="length of a sliding window, in `unit`; null: predict whole clips",
    )
    step: float | None = Field(
        default=None,
        gt=0,
        description="distance from window to window, in `unit`; null: half a window",
    )
    unit: Literal["seconds", "frames"] = Field(
        default="seconds", description="unit of window and step"
    )
    annotate: Path | None = Field(
        default=None,
        description="video to write with the predictions drawn in; needs window; null: none",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.window is None and (self.step is not None or self.annotate is not None):
            key = "step" if self.step is not None else "annotate"
            raise ValueError(f"{key} needs a sliding window: window=SECONDS")
        return self


@dataclass(frozen=True, slots=True)
class PredictionLine:
    """A row of the result: the cells before the probabilities, and the probabilities (K,)."""

    cells: tuple[str, ...]
    probabilities: np.ndarray


def run(config: PredictConfig, *, dry_run: bool, resume: bool) -> int:
    """Predict clips or windows, print a table, write the outputs; return the exit status.

    It is 0 when every video could be read, else 1; nothing is written when none could be read.
    dry_run: check everything and stop. resume: without effect. Raises ViddaError for mistakes in
    the config.
    """
    clips = find_clips(config.input)
    _, card = load_card(config.model)
    _check_config(config, card, len(clips))
    if dry_run:
        print(f"dry run: would predict {len(clips)} clips with {config.model}")
        return 0
    whole = config.window is None
    heads = ("clip",) if whole else ("clip", "start_s", "end_s")
    lines, skipped = _predict_clips(config, clips) if whole else _predict_windows(config, clips)
    if skipped > 1:
        print(f"{skipped} of {len(clips)} clips could not be read", file=sys.stderr, flush=True)
    if not lines:
        return 1
    _print_table(heads, lines, card.classes)
    if config.out is not None:
        names = [line.cells for line in lines]
        probabilities = np.stack([line.probabilities for line in lines])
        write_probabilities(config.out, heads, names, probabilities, card.classes)
        print(f"written: {config.out}")
    return int(skipped > 0)


def _check_config(config: PredictConfig, card: ModelCard, clips: int) -> None:
    """Raise ViddaError for what cannot be done, before any video is decoded."""
    size = config.transform(card).size
    card.model.check_input(config.sampling(card).frames, size, size)
    config.torch_device()
    problems = [
        f"{file} exists already; choose another name"
        for file in (config.out, config.annotate)
        if file is not None and file.exists()
    ]
    if config.annotate is not None:
        if clips != 1:
            problems.append(f"annotate={config.annotate} is for one video, not for {clips}")
        if config.annotate.suffix.lower() not in SUFFIXES:
            known = " or ".join(SUFFIXES)
            problems.append(f"annotate={config.annotate}: name a file that ends in {known}")
    if problems:
        raise ViddaError("\n".join(problems))


def _predict_clips(config: PredictConfig, clips: Manifest) -> tuple[list[PredictionLine], int]:
    """Return a line for each clip that can be read, and the number of those that cannot."""
    predictor = Predictor(config.model, config)
    found = predictor.predict_clips(clips, on_error="skip", label="predicting")
    lines = [
        PredictionLine((name,), row)
        for name, row in zip(found.ids, found.probabilities, strict=True)
    ]
    return lines, len(clips) - len(lines)


def _predict_windows(config: PredictConfig, clips: Manifest) -> tuple[list[PredictionLine], int]:
    """Return a line for each window of each readable video, and the number of unreadable videos."""
    predictor = Predictor(config.model, config)
    lines: list[PredictionLine] = []
    skipped = 0
    for clip in clips.clips:
        path = inside(clips.root, clip.path)
        try:
            spans = _spans(config, path)
            found = predictor.predict_windows(clip, clips.root, spans)
            require_finite(found.probabilities, [clip.id] * len(spans), str(config.model))
        except VideoError as error:
            print(f"skipped clip {clip.id!r}: {error}", file=sys.stderr, flush=True)
            skipped += 1
            continue
        lines += _window_lines(clip.id, found)
        if config.annotate is not None:
            annotate(path, config.annotate, found, predictor.classes)
            print(f"written: {config.annotate}")
    return lines, skipped


def _spans(config: PredictConfig, path: Path) -> np.ndarray:
    info = probe(path)
    if info.fps == 0:
        raise VideoError(f"{path}: is an image, which a window cannot slide over")
    assert config.window is not None
    scale = info.fps if config.unit == "seconds" else 1.0
    length = max(1, round(config.window * scale))
    step = max(1, length // 2 if config.step is None else round(config.step * scale))
    if info.variable_frame_rate:
        print(f"note: {path}: its frame rate varies; times follow the mean rate", file=sys.stderr)
    return sliding_windows(info.frames, length, step)


def _window_lines(clip: str, found: Timeline) -> list[PredictionLine]:
    times = [(f"{first / found.fps:.3f}", f"{end / found.fps:.3f}") for first, end in found.spans]
    rows = zip(times, found.probabilities, strict=True)
    return [PredictionLine((clip, *when), probabilities) for when, probabilities in rows]


def _print_table(
    heads: Sequence[str], lines: Sequence[PredictionLine], classes: Sequence[str]
) -> None:
    table = Table(*heads, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for _ in classes[:3]:
        table.add_column("class")
        table.add_column("probability", justify="right")
    for line in lines[:MAX_PRINTED_LINES]:
        order = np.argsort(-line.probabilities, kind="stable")[:3]
        cells = [cell for n in order for cell in (classes[n], f"{line.probabilities[n]:.1%}")]
        table.add_row(*line.cells, *cells)
    console(sys.stdout).print(table)
    if len(lines) > MAX_PRINTED_LINES:
        print(f"... and {len(lines) - MAX_PRINTED_LINES} more rows (out=FILE.csv writes all)")
