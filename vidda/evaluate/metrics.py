"""Metrics of classification: pure functions of arrays, without torch.

torchmetrics is what the tests compare with. Two of its choices are not those of the sources: its
calibration error has a sixteenth bin for a confidence of exactly 1, and a class without a test clip
counts in its mean class accuracy as soon as it is predicted once.
"""

import numpy as np
from scipy.special import softmax

BINS = 15


def is_correct(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each clip is recognized, (N,) bool.

    logits: (N, K). labels: (N,) in 0..K-1.
    """
    return logits.argmax(1) == labels


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of clips that are recognized (top-1), 0 to 1.

    logits: (N, K), or probabilities. labels: (N,) in 0..K-1.
    """
    return float(is_correct(logits, labels).mean())


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the predictions (columns) of the clips of each class (rows), (K, K) int64.

    logits: (N, K). labels: (N,) in 0..K-1.
    """
    count = logits.shape[1]
    pairs = labels * count + logits.argmax(1)
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def mean_class_accuracy(confusion: np.ndarray) -> float:
    """Return the mean of the classes' accuracies, 0 to 1, over the classes that have clips.

    confusion: (K, K), number of clips by class (rows) and prediction (columns).
    """
    clips = confusion.sum(1)
    there = clips > 0
    return float((confusion.diagonal()[there] / clips[there]).mean())


def macro_f1(confusion: np.ndarray) -> float:
    """Return the mean of the classes' F1, 0 to 1, over those that have clips or are predicted.

    confusion: (K, K), number of clips by class (rows) and prediction (columns).
    """
    total = confusion.sum(0) + confusion.sum(1)
    there = total > 0
    return float((2 * confusion.diagonal()[there] / total[there]).mean())


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error, 0 to 1: how far confidence and accuracy differ.

    logits: (N, K). labels: (N,). Clips are put into 15 bins of equal width by the probability of
    the predicted class; the bins' differences are averaged, weighted by their clips (Guo et al.
    2017, arXiv 1706.04599, equation 3).
    """
    confidence = softmax(logits.astype(np.float64), axis=1).max(1)
    # Bins are ((m - 1)/15, m/15], as in the paper.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gap = np.bincount(bins, is_correct(logits, labels) - confidence, BINS)
    return float(np.abs(gap).sum() / len(labels))
