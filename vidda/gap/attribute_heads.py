"""Attributes of clips without annotation: linear heads on frozen features, trained on the source.

A head is only as good as its test: each one is cross-validated on the source, and where the target
has the attribute too, tested there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PENALTIES = np.logspace(-1, 5, 13)
"""Penalties of ridge regression to choose from, by leave-one-out error on what it is trained on."""
MOST = 2000
"""Most source clips that a head is trained and tested on, drawn at random."""
FEWEST = 20
"""Fewest source clips with an attribute for which a head is trained."""


@dataclass(frozen=True, slots=True)
class AttributeHead:
    """One head and its tests.

    features: name of the extractor. score: R^2 of a number, accuracy of a class, cross-validated on
    the source; chance: what a constant gives, 0 or the share of the largest class. on_target: the
    same on the target, None where it does not have the attribute. source, target: predictions for
    the clips of both, numbers or indices of `classes`; those of the source come from heads that did
    not see the clip.
    """

    attribute: str
    features: str
    score: float
    chance: float
    on_target: float | None
    source: np.ndarray
    target: np.ndarray
    classes: tuple[str, ...] = ()


def number_head(
    attribute: str,
    features: Mapping[str, tuple[np.ndarray, np.ndarray]],
    source: np.ndarray,
    target: np.ndarray,
    folds: int,
    seed: int,
) -> AttributeHead | None:
    """Return the head of a number on the best extractor, None where too few source clips have it.

    features: standardized features of source (N, D) and target (M, D) by extractor. source, target:
    values (N,) and (M,), NaN where not known. folds: of the cross-validation.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold, cross_val_predict

    known, there = _drawn(np.isfinite(source), seed), np.isfinite(target)
    if len(known) < max(FEWEST, folds) or np.ptp(source[known]) == 0:
        return None
    split = KFold(folds, shuffle=True, random_state=seed)
    found = []
    for name, (first, second) in features.items():
        head = RidgeCV(PENALTIES)
        own = cross_val_predict(head, first[known], source[known], cv=split)
        said = head.fit(first[known], source[known]).predict(second)
        tested = there.sum() > 1 and np.ptp(target[there]) > 0
        found.append(
            AttributeHead(
                attribute,
                name,
                float(r2_score(source[known], own)),
                0.0,
                float(r2_score(target[there], said[there])) if tested else None,
                own,
                said,
            )
        )
    return max(found, key=lambda one: one.score, default=None)


def class_head(
    column: str,
    features: Mapping[str, tuple[np.ndarray, np.ndarray]],
    source: Sequence[str],
    target: Sequence[str],
    folds: int,
    seed: int,
) -> AttributeHead:
    """Return the head of a column of names on the best extractor.

    features, folds: as for `number_head`. source, target: N and M texts, "" where not known; of the
    source's `head_classes` are not empty.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    texts, names = np.array(source), head_classes(source, folds)
    known = _drawn(np.isin(texts, names), seed)
    labels = np.searchsorted(names, texts[known])
    truth = np.array(target)
    there = np.isin(truth, names)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    found = []
    for name, (first, second) in features.items():
        head = LogisticRegression(max_iter=1000, C=0.1)
        own = cross_val_predict(head, first[known], labels, cv=split)
        said = head.fit(first[known], labels).predict(second)
        right = said[there] == np.searchsorted(names, truth[there])
        found.append(
            AttributeHead(
                column,
                name,
                float((own == labels).mean()),
                float(np.bincount(labels).max() / len(labels)),
                float(right.mean()) if there.any() else None,
                own,
                said,
                tuple(map(str, names)),
            )
        )
    return max(found, key=lambda one: one.score)


def head_classes(texts: Sequence[str], folds: int) -> np.ndarray:
    """Return the names, ascending, of which a head can be trained; empty where it cannot be.

    texts: of each source clip, "" where not known. folds: of the cross-validation, in each of which
    every name has to be.
    """
    names, counts = np.unique([text for text in texts if text], return_counts=True)
    enough = counts >= folds
    whole = enough.sum() > 1 and counts[enough].sum() >= FEWEST
    return names[enough] if whole else names[:0]


def _drawn(known: np.ndarray, seed: int) -> np.ndarray:
    """Return the numbers of the clips that are known, ascending, at most MOST. known: (N,) bool."""
    numbers = np.flatnonzero(known)
    drawn: np.ndarray = np.random.default_rng(seed).permutation(numbers)[:MOST]
    return np.sort(drawn)
