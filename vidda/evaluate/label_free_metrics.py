"""Scores of a model without target labels: pure functions of arrays, the higher the better.

They choose among epochs, hyperparameters or methods where the target has no labels. logits are
(N, K) before the softmax, features (N, D) the inputs of the last layer, both of target clips unless
a function states otherwise. None is an accuracy, and any can be wrong: a model that assigns all
clips to one class with certainty has the best entropy.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import entr, expit, log_softmax, softmax
from scipy.stats import spearmanr

from vidda.evaluate.metrics import accuracy

CHUNK = 1024
"""Rows of a matrix of distances or similarities that are computed together."""


def source_validation(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return accuracy on the source's validation clips, 0 to 1. logits: (N, K). labels: (N,)."""
    return accuracy(logits, labels)


def cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each labeled clip, (N,), for `iwcv` and `dev`.

    logits: (N, K). labels: (N,) in 0..K-1.
    """
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return -log_probabilities[np.arange(len(labels)), labels]


def entropy(logits: np.ndarray) -> float:
    """Return minus the mean entropy of the predictions, in nats, -log K to 0.

    logits: (N, K). Morerio et al., ICLR 2018.
    """
    return -float(entr(_probabilities(logits)).sum(1).mean())


def information_maximization(logits: np.ndarray) -> float:
    """Return the mutual information of clip and class, 0 to log K.

    It is high where each prediction is certain and all classes are predicted. logits: (N, K).
    Musgrave et al., arXiv 2111.15672, as a validator; the loss is that of SHOT (arXiv 2002.08546).
    """
    return float(entr(_probabilities(logits).mean(0)).sum()) + entropy(logits)


def soft_neighborhood_density(logits: np.ndarray, temperature: float = 0.05) -> float:
    """Return the soft neighborhood density of the predictions, 0 to log(N - 1).

    It is the mean entropy of each clip's similarities to all others, after a softmax with
    `temperature`; similarities are cosines of the predicted probabilities. logits: (N, K). Saito et
    al., Tune It the Right Way (SND), ICCV 2021, equations 1 to 3. The released code keeps the clip
    itself with a cosine of -1 where it is left out here, and adds 1e-5 inside the logarithm.
    """
    probabilities = _probabilities(logits)
    unit = probabilities / np.linalg.norm(probabilities, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, len(unit), CHUNK):
        near = unit[start : start + CHUNK] @ unit.T / temperature
        itself = np.arange(len(near))
        near[itself, itself + start] = -np.inf
        total += float(entr(softmax(near, axis=1)).sum())
    return total / len(unit)


def class_correlation(logits: np.ndarray) -> float:
    """Return the cosine of the class correlation P^T P and the identity, 1/K to 1.

    P: predicted probabilities (N, K), the softmax of `logits` (N, K). It is 1 where all predictions
    are certain and all classes equally frequent. Tu et al., What Does Softmax Probability Tell Us
    about Classifiers Ranking Across Diverse Test Conditions?, TMLR 2024 (SoftmaxCorr there, Corr-C
    elsewhere).
    """
    probabilities = _probabilities(logits)
    correlation = probabilities.T @ probabilities
    norm = np.linalg.norm(correlation) * np.sqrt(len(correlation))
    return float(correlation.trace() / norm)


def density_ratio(
    source: np.ndarray, target: np.ndarray, at: np.ndarray, penalty: float = 1.0
) -> np.ndarray:
    """Return the density ratio of target and source at some clips, (N,) above 0.

    source: (S, D) features of training clips. target: (T, D). at: (N, D), features of the clips to
    weight. The ratio is (S / T) p(target) / p(source) of a classifier that separates the domains;
    in DEV's code the best of small networks with several weight decays, here a logistic regression
    of standardized features, where `penalty` is the factor of the L2 penalty.
    """
    both = np.concatenate([source, target]).astype(np.float64)
    mean, deviation = both.mean(0), both.std(0) + 1e-8
    domains = np.concatenate([np.zeros(len(source)), np.ones(len(target))])
    features = (both - mean) / deviation

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = features @ weights[1:] + weights[0]
        value = (
            np.logaddexp(0, logits).sum()
            - domains @ logits
            + penalty / 2 * weights[1:] @ weights[1:]
        )
        residual = expit(logits) - domains
        slope = residual @ features + penalty * weights[1:]
        return value, np.concatenate([[residual.sum()], slope])

    found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B").x
    logits = (at - mean) / deviation @ found[1:] + found[0]
    # p / (1 - p) of a logistic regression is exp of its logit; kept from overflowing.
    return len(source) / len(target) * np.exp(np.clip(logits, -30, 30))


def iwcv(losses: np.ndarray, weights: np.ndarray) -> float:
    """Return minus the importance-weighted loss on the source's validation clips.

    losses: (N,) cross-entropy of each clip. weights: (N,) importance of each clip, the ratio of the
    target's density to the source's (`density_ratio`). Sugiyama, Krauledat and Mueller, Covariate
    Shift Adaptation by Importance Weighted Cross Validation, JMLR 2007, section 3.
    """
    return -float((weights * losses).mean())


def dev(losses: np.ndarray, weights: np.ndarray) -> float:
    """Return minus the importance-weighted loss with the weights as control variate.

    losses: (N,) cross-entropy of each of the source's validation clips. weights: (N,) importance of
    each clip, as in `iwcv`, which it equals where all weights are equal. You et al., Toward
    Accurate Model Selection in Deep Unsupervised Domain Adaptation, ICML 2019, equations 8 to 10.
    The released code returns the risk, which is minus this, for losses that are 0 or 1: whether a
    clip is misclassified.
    """
    weighted = weights * losses
    spread = weights.var(ddof=1)
    if spread == 0:
        return iwcv(losses, weights)
    eta = -np.cov(weighted, weights)[0, 1] / spread
    return -float(weighted.mean() + eta * weights.mean() - eta)


def uniformity(weight: np.ndarray) -> float:
    """Return how far the angles between the classes' weights are from all being equal; 0 is best.

    weight: (K, D) of the last layer. Mean squared difference, in radians, of each angle from
    arccos(-1 / (K - 1)). Yang et al., Can We Evaluate Domain Adaptation Models Without
    Target-Domain Labels?, ICLR 2024.
    """
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    classes = len(weight)
    cosines = (unit @ unit.T)[~np.eye(classes, dtype=bool)]
    angles = np.arccos(np.clip(cosines, -1, 1))
    return float(((angles - np.arccos(-1 / (classes - 1))) ** 2).mean())


def hopkins(features: np.ndarray, draws: int = 10, seed: int = 0) -> float:
    """Return the Hopkins statistic of features: about 0.5 if uniform, up to 1 if clustered.

    features: (N, D). It is u / (u + w), with w the sum of distances of clips to their nearest other
    clip and u that of N points sampled uniformly from the features' bounding box. All clips are
    used and `draws` samples averaged, with `seed`: one sample of a subset, as in Transfer Score's
    code, varies too much at a few hundred clips.
    """
    clips = features.astype(np.float64)
    low, high = clips.min(0), clips.max(0)
    own = _nearest(clips, clips, skip_itself=True).sum()
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        sampled = _nearest(rng.uniform(low, high, clips.shape), clips, skip_itself=False).sum()
        found.append(sampled / (sampled + own))
    return float(np.mean(found))


def transfer_score(
    features: np.ndarray, logits: np.ndarray, weight: np.ndarray, draws: int = 10, seed: int = 0
) -> float:
    """Return the Transfer Score: `hopkins` + `information_maximization` / log K - `uniformity`.

    It is high for clustered features, certain and varied predictions, and classes at equal angles.
    features: (N, D). logits: (N, K). weight: (K, D) of the last layer. draws, seed: number and seed
    of the random samples for `hopkins`. Yang et al., Can We Evaluate Domain Adaptation Models
    Without Target-Domain Labels?, ICLR 2024. The released code computes the mutual information of
    each batch and averages these, which understates the diversity; here it is that of all clips.
    """
    information = information_maximization(logits) / np.log(logits.shape[1])
    return hopkins(features, draws, seed) + information - uniformity(weight)


def agreement(runs: Sequence[np.ndarray]) -> float:
    """Return the share of clips for which two runs predict the same class, mean over pairs, 0 to 1.

    runs: two or more (N, K) logits on the same clips, for instance of several seeds. Jiang et al.,
    Assessing Generalization of SGD via Disagreement, ICLR 2022.
    """
    classes = [logits.argmax(1) for logits in runs]
    return float(np.mean([(one == other).mean() for one, other in combinations(classes, 2)]))


def rank_correlation(scores: Sequence[float], accuracies: Sequence[float]) -> float:
    """Return Spearman's correlation of a score with accuracies; nan where either is constant.

    scores, accuracies: one value of each for every epoch.
    """
    if len(set(scores)) == 1 or len(set(accuracies)) == 1:
        return float("nan")
    return float(spearmanr(scores, accuracies).statistic)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return softmax(logits.astype(np.float64), axis=1)


def _nearest(points: np.ndarray, clips: np.ndarray, *, skip_itself: bool) -> np.ndarray:
    """Return the distance of each point to its nearest clip, (P,).

    points: (P, D). clips: (N, D). skip_itself: ignore the clip of a point's own index.
    """
    found = []
    for start in range(0, len(points), CHUNK):
        distances = cdist(points[start : start + CHUNK], clips)
        if skip_itself:
            itself = np.arange(len(distances))
            distances[itself, itself + start] = np.inf
        found.append(distances.min(1))
    return np.concatenate(found)
