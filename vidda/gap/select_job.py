"""`vidda select INPUT TARGET OUT n=CLIPS`: the clips of a large source to translate for a target.

OUT/manifest.csv  the chosen clips, with their distance to the target; their files stay in place
OUT/select.json   components of the target, and how many clips of each class were chosen
"""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config, Count, Processes
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.gap.clip_selection import (
    TargetMixture,
    principal_points,
    select_by_mixture,
    select_k_center,
    select_random,
    shares_of,
    source_clusters,
    target_mixture,
)
from vidda.gap.feature_distances import neighbor_distances, require_scikit_learn
from vidda.gap.filter_job import DISTANCE
from vidda.gap.group_columns import class_lines, require_groups
from vidda.gap.manifest_sides import choose_rows, load_sides, with_columns
from vidda.gap.point_sources import AttributePoints, PointSource, check_features, read_points
from vidda.gap.recorded_outputs import write_outputs
from vidda.types import Manifest

COMPONENT = "target_component"
"""Column of the manifest: number of the target's component that a clip was chosen for."""

OUTPUTS = ("manifest.csv", "select.json", "dataset.json")


class MixtureSelection(Config):
    """Groups like the components of a Gaussian mixture of the target, by their weights."""

    name: Literal["mixture"] = "mixture"
    group: str | None = Field(
        default=None,
        description="column of the manifest, such as scene, whose groups are compared; null:"
        " clusters of about 50 clips",
    )
    components: Count | None = Field(
        default=None, description="components of the target; null: by the best silhouette"
    )
    most: int = Field(default=8, ge=2, description="most components where they are not given")


class KCenterSelection(Config):
    """Clips that cover the source: each next one the farthest from those before."""

    name: Literal["k_center"] = "k_center"


class RandomSelection(Config):
    """Clips at random, to compare with."""

    name: Literal["random"] = "random"


class SelectJobConfig(Config):
    """The config of `vidda select`: the clips, the target, and how many to take."""

    may_change: ClassVar[frozenset[str]] = frozenset({"jobs"})

    input: Path = Field(description="manifest of source clips")
    target: Path = Field(description="manifest of target clips; their labels are not read")
    out: Path = Field(description="run folder to write; its manifest.csv can be translated")
    n: Count = Field(description="clips to choose")
    method: Annotated[
        MixtureSelection | KCenterSelection | RandomSelection, Field(discriminator="name")
    ] = Field(default=MixtureSelection(), description="how they are chosen")
    features: PointSource = Field(
        default=AttributePoints(), description="points by which clips are like or unlike"
    )
    neighbors: Count = Field(default=5, description="nearest target clips of a clip, for its score")
    balance: bool = Field(
        default=True, description="choose from each class in proportion to its clips"
    )
    seed: int = Field(default=0, ge=0, description="decides all that is random")
    jobs: Processes = 0


def run(config: SelectJobConfig, *, dry_run: bool, resume: bool) -> int:
    """Choose clips and write their manifest; return exit status 0.

    dry_run: check everything and print the plan. resume: continue an unfinished run. Raises
    ViddaError for mistakes in the config or the manifests, before a clip is decoded.
    """
    require_scikit_learn()
    clips, target = load_sides(config.input, config.target, config.neighbors)
    problems = [f"features: {line}" for line in check_features(config.features, clips, target)]
    if config.n > len(clips):
        problems.append(f"n={config.n}: {config.input} has only {len(clips)} clips; choose fewer")
    method = config.method
    if isinstance(method, MixtureSelection):
        if (method.components or 1) > len(target):
            problems.append(
                f"method.components={method.components}: the target has {len(target)} clips"
            )
        try:
            if method.group is not None:
                require_groups(clips, method.group, str(config.input))
        except ViddaError as error:
            problems.append(f"method.{error}")
    if problems:
        raise ViddaError("\n".join(problems))
    print(f"{config.n} of {len(clips)} clips, to be chosen for {len(target)} target clips")
    if dry_run:
        return 0
    facts = {"input": clips.fingerprint(), "target": target.fingerprint()}
    write = partial(_select, config, clips, target)
    if write_outputs(config, config.out, facts, OUTPUTS, write, resume=resume):
        print(f"written: {config.out / 'manifest.csv'}")
    return 0


def _select(config: SelectJobConfig, clips: Manifest, target: Manifest) -> None:
    """Choose clips and write OUT, manifest.csv last."""
    points, reference = read_points(config.features, clips, target, config.out, config.jobs)
    distances = neighbor_distances(points, reference, config.neighbors)
    points, reference = principal_points(points, reference)
    mixture = None
    if isinstance(config.method, MixtureSelection):
        method = config.method
        mixture = target_mixture(reference, method.components, method.most, config.seed)
    chosen = np.full(len(clips), -1)
    for rows, count in _class_quotas(config, clips):
        part = choose_rows(clips, np.isin(np.arange(len(clips)), rows))
        chosen[rows] = _choose(config, part, points[rows], reference, mixture, count)
    columns = {DISTANCE: [f"{one:.6g}" for one in distances]}
    if mixture is not None:
        columns[COMPONENT] = [str(one) for one in chosen]
    kept = chosen >= 0
    selected = choose_rows(with_columns(clips, columns), kept)
    means = distances[kept].mean(), distances.mean()
    print(f"chosen {len(selected)}: mean distance {means[0]:.3g}, of all clips {means[1]:.3g}")
    for line in class_lines(clips, kept.tolist()):
        print(line)
    content = _content(clips, selected, distances, kept, mixture)
    write_text(config.out / "select.json", json.dumps(content, indent=1) + "\n")
    save_manifest(selected, config.out / "manifest.csv")


def _class_quotas(config: SelectJobConfig, clips: Manifest) -> list[tuple[np.ndarray, int]]:
    """Return the rows (n,) of each class and the number to choose of them; without balance all."""
    if not config.balance:
        return [(np.arange(len(clips)), config.n)]
    labels = [clip.label for clip in clips.clips]
    rows = [
        np.array([n for n, label in enumerate(labels) if label == one])
        for one in dict.fromkeys(labels)
    ]
    sizes = np.array([len(part) for part in rows])
    quotas = shares_of(config.n, sizes.astype(float), sizes)
    return [(part, int(count)) for part, count in zip(rows, quotas, strict=True)]


def _choose(
    config: SelectJobConfig,
    clips: Manifest,
    points: np.ndarray,
    reference: np.ndarray,
    mixture: TargetMixture | None,
    count: int,
) -> np.ndarray:
    """Return the component of each chosen clip (N,), 0 without a mixture; -1 for the others."""
    method = config.method
    if mixture is not None and isinstance(method, MixtureSelection):
        if method.group is None:
            groups = source_clusters(points, config.seed)
        else:
            groups = require_groups(clips, method.group, str(config.input))
        return select_by_mixture(points, groups, mixture, count, config.seed)
    if isinstance(method, KCenterSelection):
        return select_k_center(points, reference, count).astype(int) - 1
    return select_random(len(points), count, config.seed).astype(int) - 1


def _content(
    clips: Manifest,
    selected: Manifest,
    distances: np.ndarray,
    kept: np.ndarray,
    mixture: TargetMixture | None,
) -> dict[str, Any]:
    """Return the content of select.json."""
    counts = [Counter(clip.label for clip in one.clips) for one in (selected, clips)]
    found: dict[str, Any] = {
        "chosen": len(selected),
        "of": len(clips),
        "mean_distance_chosen": float(distances[kept].mean()),
        "mean_distance": float(distances.mean()),
        "classes": {
            name: [count[label] for count in counts] for label, name in enumerate(clips.classes)
        },
    }
    if mixture is not None:
        silhouette = None if np.isnan(mixture.silhouette) else mixture.silhouette
        found |= {"weights": mixture.weights.tolist(), "silhouette": silhouette}
    return found
