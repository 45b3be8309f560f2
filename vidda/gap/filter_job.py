"""`vidda filter INPUT TARGET OUT`: leave out clips that are unlike the target.

OUT/manifest.csv  the clips that stay, with their scores; their files stay where they are
OUT/dropped.csv   the others, with theirs
OUT/filter.json   how many of each class stay
"""

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vidda.config import Config, Count, Processes
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.gap.clip_filter import drop_clips, drop_groups
from vidda.gap.feature_distances import (
    TargetDensity,
    neighbor_distances,
    require_scikit_learn,
)
from vidda.gap.group_columns import class_lines, require_groups
from vidda.gap.manifest_sides import choose_rows, load_sides, with_columns
from vidda.gap.point_sources import AttributePoints, PointSource, check_features, read_points
from vidda.gap.recorded_outputs import write_outputs
from vidda.types import Manifest

DISTANCE, DENSITY = "target_distance", "target_log_density"
"""Columns of the manifests that are written."""

OUTPUTS = ("manifest.csv", "dropped.csv", "filter.json", "dataset.json")


class FilterJobConfig(Config):
    """The config of `vidda filter`: the clips, the target, and what is left out."""

    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    input: Path = Field(description="manifest of source or translated clips")
    target: Path = Field(description="manifest of target clips; their labels are not read")
    out: Path = Field(description="run folder to write; its manifest.csv can be trained on")
    features: PointSource = Field(
        default=AttributePoints(), description="points by which clips are like or unlike"
    )
    score: Literal["neighbors", "density"] = Field(
        default="neighbors",
        description="mean distance to the nearest target clips, or kernel density of the target's"
        " principal components",
    )
    neighbors: Count = Field(default=5, description="nearest target clips of a clip")
    drop: Annotated[float, Field(gt=0, lt=1)] | Literal["elbow"] = Field(
        default=0.2,
        description="share of the clips to drop, the least likely ones; elbow: those beyond the"
        " elbow of their sorted scores",
    )
    group: str | None = Field(
        default=None,
        description="column of the manifest, such as scene, whose worst groups are dropped whole;"
        " null: clip by clip",
    )
    balance: bool = Field(
        default=True,
        description="drop the same share of every class; with group it is only reported",
    )
    jobs: Processes = 0


def run(config: FilterJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Score the clips and write the manifest of those that stay; return exit status 0.

    dry_run: check everything and print the plan. resume: continue an unfinished run. Raises
    ViddaError for mistakes in the config or the manifests, before a clip is decoded.
    """
    require_scikit_learn()
    clips, target = load_sides(config.input, config.target, config.neighbors)
    problems = [f"features: {line}" for line in check_features(config.features, clips, target)]
    groups = None
    try:
        if config.group is not None:
            groups = require_groups(clips, config.group, str(config.input))
    except ViddaError as error:
        problems.append(str(error))
    if problems:
        raise ViddaError("\n".join(problems))
    print(f"{len(clips)} clips, to be scored by {len(target)} target clips")
    if dry_run:
        return 0
    facts = {"input": clips.fingerprint(), "target": target.fingerprint()}
    write = partial(_filter, config, clips, target, groups)
    if write_outputs(config, config.out, facts, OUTPUTS, write, resume=resume):
        print(f"written: {config.out / 'manifest.csv'}")
    return 0


def _filter(
    config: FilterJobConfig, clips: Manifest, target: Manifest, groups: Sequence[str] | None
) -> None:
    """Score all clips and write OUT, manifest.csv last."""
    points, reference = read_points(config.features, clips, target, config.out, config.jobs)
    if config.score == "neighbors":
        unlikeness = neighbor_distances(points, reference, config.neighbors)
        column, scores = DISTANCE, unlikeness
    else:
        scores = TargetDensity.of(reference).log_density(points)
        column, unlikeness = DENSITY, -scores
    if groups is not None:
        kept = drop_groups(unlikeness, config.drop, groups)
    else:
        labels = [clip.label for clip in clips.clips] if config.balance else None
        kept = drop_clips(unlikeness, config.drop, labels)
    print(f"kept {kept.sum()} of {len(clips)} clips")
    for line in class_lines(clips, kept.tolist()):
        print(line)
    if kept.all():
        print(f"note: nothing was dropped: drop={config.drop} is less than one {_unit(config)}")
    scored = with_columns(clips, {column: [f"{score:.6g}" for score in scores]})
    parts = {"dropped": choose_rows(scored, ~kept), "manifest": choose_rows(scored, kept)}
    counts = [Counter(clip.label for clip in one.clips) for one in (parts["manifest"], clips)]
    content = {
        "kept": int(kept.sum()),
        "of": len(clips),
        "mean_score_kept": float(scores[kept].mean()),
        "mean_score": float(scores.mean()),
        "classes": {
            name: [count[label] for count in counts] for label, name in enumerate(clips.classes)
        },
    }
    write_text(config.out / "filter.json", json.dumps(content, indent=1) + "\n")
    for name, part in parts.items():
        save_manifest(part, config.out / f"{name}.csv")


def _unit(config: FilterJobConfig) -> str:
    """Return the least that can be dropped, in words."""
    if config.group is not None:
        return f"group of {config.group}"
    return "clip of a class" if config.balance else "clip"
