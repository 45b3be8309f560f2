"""`vidda gap source=MANIFEST target=MANIFEST`: how a source differs from a target, before training.

OUT/gap.json         the score, distances of attributes and features, heads
OUT/attributes.csv   a line for each attribute
OUT/source.csv       a line for each clip: its attributes, and its distance and density by features
OUT/target.csv
OUT/index.html       all of it on one page, with the most and the least target-like clips
OUT/parts/           what a resumed job need not measure again
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from vidda.config import Config, Count, FileName, Processes
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.gap.attribute_distances import compare_attribute
from vidda.gap.attribute_heads import AttributeHead, class_head, head_classes, number_head
from vidda.gap.attribute_table import (
    AttributeTable,
    MeasureConfig,
    attribute_table,
)
from vidda.gap.feature_distances import require_scikit_learn, standardize
from vidda.gap.gap_files import gap_content, print_gap, write_gap_tables
from vidda.gap.gap_page import AttributeRow, embed_clips, render_gap_page
from vidda.gap.gap_score import SpaceDistances, gap_score, measure_space
from vidda.gap.group_columns import column_texts
from vidda.gap.manifest_sides import load_sides
from vidda.gap.point_sources import (
    PARTS,
    FeatureSource,
    attribute_points,
    check_features,
    clip_features,
)
from vidda.gap.recorded_outputs import write_outputs
from vidda.types import ClipRecord, Manifest

OUTPUTS = ("gap.json", "index.html", "attributes.csv", "source.csv", "target.csv")
ATTRIBUTE_SPACE = "attributes"
"""Name of the space whose coordinates are the attributes."""
LEAST_R2 = 0.3
"""Least cross-validated R² of a head whose predictions are compared."""
FeaturePair = tuple[np.ndarray, np.ndarray]
"""Values of the source's clips and of the target's."""


class GapJobConfig(Config):
    """The config of `vidda gap`: two sets of clips, and what they are compared by."""

    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    source: Path = Field(description="manifest of the clips to train on, or to translate")
    target: Path = Field(description="manifest of target clips; their labels are not read")
    out: Path = Field(description="run folder to write; its index.html opens from disk")
    attributes: MeasureConfig = Field(
        default=MeasureConfig(), description="measurement of the clips' attributes"
    )
    features: dict[FileName, FeatureSource] = Field(
        default={},
        description="extractors of features by a name of yours; the first is that of the score,"
        " and without one the attributes are",
    )
    predict: tuple[str, ...] = Field(
        default=(),
        description="columns of names, such as a scene, to predict for the target by heads on"
        " the features",
    )
    neighbors: Count = Field(default=5, description="nearest target clips of a clip")
    bins: int = Field(default=20, ge=2, description="most bins that both sets share")
    permutations: Count = Field(
        default=999, description="random divisions of the clips for a p-value"
    )
    bootstrap: int = Field(
        default=200, ge=2, description="samples of the clips for the score's spread"
    )
    folds: int = Field(default=5, ge=2, description="parts of a cross-validation")
    shown: int = Field(
        default=6, ge=0, description="most and least target-like clips on the page, of each"
    )
    seed: int = Field(default=0, ge=0, description="decides all that is random")
    jobs: Processes = 0


def run(config: GapJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Compare two sets of clips and write what differs; return exit status 0.

    dry_run: check everything and print the plan. resume: continue an unfinished run. Raises
    ViddaError for mistakes in the config or the manifests, before a clip is decoded.
    """
    require_scikit_learn()
    source, target = load_sides(config.source, config.target, config.neighbors, config.folds)
    problems = [
        f"features.{name}: {line}"
        for name, one in config.features.items()
        for line in check_features(one, source, target)
    ]
    if ATTRIBUTE_SPACE in config.features:
        problems.append(f"features.{ATTRIBUTE_SPACE}: the attributes have this name; take another")
    if config.predict and not config.features:
        problems.append("predict: a head needs features, such as features.own.name=recognizer")
    problems += [
        f"predict: column {column!r} of {config.source} has too few clips of two names for a head;"
        " leave it out"
        for column in config.predict
        if not len(head_classes(column_texts(source, column), config.folds))
    ]
    if problems:
        raise ViddaError("\n".join(problems))
    print(f"{len(source)} source clips and {len(target)} target clips")
    if dry_run:
        return 0
    facts = {"source": source.fingerprint(), "target": target.fingerprint()}
    write = partial(_compare, config, source, target)
    if write_outputs(config, config.out, facts, OUTPUTS, write, resume=resume):
        print(f"written: {config.out / 'index.html'}")
    return 0


def _compare(config: GapJobConfig, source: Manifest, target: Manifest) -> None:
    """Measure everything and write OUT, gap.json last."""
    out = config.out
    first, second, features = _measure(config, source, target)
    points = features | {ATTRIBUTE_SPACE: attribute_points(first, second)[:2]}
    spaces = {
        name: measure_space(*pair, config.neighbors, config.folds, config.seed)
        for name, pair in points.items()
    }
    rows, tested = _attribute_rows(config, first, second, features)
    measured = [(row.source, row.target) for row in rows if row.head is None]
    chosen = next(iter(spaces))
    score = gap_score(
        measured,
        spaces[chosen],
        points[chosen][1],
        config.neighbors,
        config.bootstrap,
        config.seed,
    )
    heads = [row.head for row in rows if row.head is not None] + tested
    classes = _class_heads(config, source, target, features)
    write_gap_tables(out, rows, {"source": first, "target": second}, spaces)
    notes = _notes(first, second, rows, tested)
    page = render_gap_page(
        f"Gap between {config.source} and {config.target}",
        score,
        rows,
        spaces,
        [*heads, *classes],
        _shown_clips(config, source, target, spaces[chosen]),
        notes,
    )
    write_text(out / "index.html", page)
    content = gap_content(score, rows, spaces, [*heads, *classes], notes)
    write_text(out / "gap.json", json.dumps(content, indent=1) + "\n")
    print_gap(score, chosen, rows)


def _measure(
    config: GapJobConfig, source: Manifest, target: Manifest
) -> tuple[AttributeTable, AttributeTable, dict[str, FeaturePair]]:
    """Return the attributes of source and target, and their standardized features by extractor."""
    parts = config.out / PARTS
    first, second = (
        attribute_table(
            manifest,
            config.attributes,
            parts / f"{side}-attributes",
            jobs=config.jobs,
            label=f"attributes of the {side}",
        )
        for side, manifest in (("source", source), ("target", target))
    )
    features = {
        name: standardize(
            clip_features(one, source, "source", parts / f"source-{name}"),
            clip_features(one, target, "target", parts / f"target-{name}"),
        )
        for name, one in config.features.items()
    }
    return first, second, features


def _attribute_rows(
    config: GapJobConfig,
    first: AttributeTable,
    second: AttributeTable,
    features: dict[str, FeaturePair],
) -> tuple[list[AttributeRow], list[AttributeHead]]:
    """Return the attributes of both sets and those that heads predict, largest distance first.

    The second list has the heads that are only tested: of attributes that the target has too, and
    those that are too weak for a comparison.
    """
    rows, tested = [], []
    for name in first.names:
        pair = first.known(name), second.known(name)
        own, other = first.column(name), second.column(name)
        head = number_head(name, features, own, other, config.folds, config.seed)
        missing = not len(pair[1])
        if head is not None and (not missing or head.score < LEAST_R2):
            tested.append(head)
        if missing:
            if head is None or head.score < LEAST_R2:
                continue
            pair = head.source, head.target
        distance = compare_attribute(*pair, config.bins, config.permutations, config.seed)
        rows.append(AttributeRow(name, distance, *pair, head if missing else None))
    return sorted(rows, key=lambda row: -row.distance.standardized), tested


def _class_heads(
    config: GapJobConfig, source: Manifest, target: Manifest, features: dict[str, FeaturePair]
) -> list[AttributeHead]:
    """Return the heads of the columns of names that are to be predicted."""
    heads = []
    for column in config.predict:
        own, other = (column_texts(manifest, column) for manifest in (source, target))
        heads.append(class_head(column, features, own, other, config.folds, config.seed))
    return heads


def _notes(
    first: AttributeTable,
    second: AttributeTable,
    rows: list[AttributeRow],
    tested: list[AttributeHead],
) -> list[str]:
    """Return what was not compared, and why, a sentence each."""
    shown = {row.name for row in rows} | {head.attribute for head in tested}
    weak = [head.attribute for head in tested if head.attribute not in second.names]
    lacking = [name for name in first.names if name not in shown]
    extra = [name for name in second.names if name not in first.names]
    notes = []
    if lacking:
        notes.append(
            f"Not compared, since the target does not have them: {', '.join(lacking)}. Sidecars of"
            " vidda mask, or heads on features, give those of people."
        )
    if weak:
        notes.append(
            f"Not compared, since no head tells them from the features (R² below {LEAST_R2}):"
            f" {', '.join(weak)}."
        )
    if extra:
        notes.append(f"Not compared, since the source does not have them: {', '.join(extra)}.")
    return notes


def _shown_clips(
    config: GapJobConfig, source: Manifest, target: Manifest, space: SpaceDistances
) -> dict[str, Any]:
    """Return the clips of the page, embedded, by the heading above them."""
    order = np.argsort(space.neighbors_source, kind="stable")
    count = min(config.shown, len(source))

    def noted(numbers: np.ndarray) -> list[tuple[ClipRecord, str]]:
        return [(source.clips[n], f"distance {space.neighbors_source[n]:.3g}") for n in numbers]

    spaced = np.linspace(0, len(target) - 1, min(count, len(target))).round().astype(int)
    return {
        "Source clips most like the target": embed_clips(noted(order[:count]), source.root),
        "Source clips least like the target": embed_clips(
            noted(order[len(order) - count :][::-1]), source.root
        ),
        "Target clips, an even choice": embed_clips(
            [(target.clips[n], "") for n in spaced], target.root
        ),
    }
