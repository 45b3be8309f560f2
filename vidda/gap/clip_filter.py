"""Filtering: which clips to keep, by how unlike the target they are."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

Drop = float | Literal["elbow"]
"""The share of the clips to drop, or `elbow`: those beyond the elbow of the sorted values."""


def elbow(values: np.ndarray) -> int:
    """Return the number of values (N,) before the elbow of their ascending curve, 1..N.

    The elbow is the point farthest below the straight line from the first to the last one (Satopaa
    et al., 2011, kneedle). All values stay where none is below.
    """
    ordered = np.sort(values)
    span = float(ordered[-1] - ordered[0])
    if len(ordered) < 3 or span <= 0:
        return len(ordered)
    below = np.linspace(0, 1, len(ordered)) - (ordered - ordered[0]) / span
    chosen = int(below.argmax())
    return chosen + 1 if below[chosen] > 1e-9 else len(ordered)


def drop_clips(
    unlikeness: np.ndarray, drop: Drop, labels: Sequence[int | None] | None
) -> np.ndarray:
    """Return which clips to keep, (N,) bool; the most unlike ones are dropped.

    unlikeness: (N,), larger is less like the target; of equal ones the first stays. labels: (N,)
    classes, of each of which the same share is dropped, rounded down; None drops from all together.
    """
    count = len(unlikeness)
    share = 1 - elbow(unlikeness) / count if drop == "elbow" else float(drop)
    kept = np.zeros(count, bool)
    classes = [None] * count if labels is None else labels
    for one in dict.fromkeys(classes):
        members = np.array([n for n, label in enumerate(classes) if label == one])
        stays = len(members) - math.floor(share * len(members) + 1e-9)
        kept[members[np.argsort(unlikeness[members], kind="stable")[:stays]]] = True
    return kept


def drop_groups(unlikeness: np.ndarray, drop: Drop, groups: Sequence[str]) -> np.ndarray:
    """Return which clips to keep, (N,) bool; whole groups are dropped, the most unlike first.

    unlikeness: (N,). groups: (N,) names; a group is as unlike as its clips on average. With a share
    groups go as long as no more than it of all clips is dropped; a group that is too large for what
    is left ends it. With `elbow` those beyond the elbow of the groups' averages go.
    """
    names = list(dict.fromkeys(groups))
    places = np.array([names.index(group) for group in groups])
    sizes = np.bincount(places)
    averages = np.bincount(places, unlikeness) / sizes
    order = np.argsort(averages, kind="stable")
    if drop == "elbow":
        stays = elbow(averages)
    else:
        dropped = np.cumsum(sizes[order[::-1]])
        most = math.floor(float(drop) * len(groups) + 1e-9)
        stays = len(names) - int(np.searchsorted(dropped, most, side="right"))
    return np.isin(places, order[:stays])
