#!/usr/bin/env bash
# skada 0.6.0 (torch 2.13.0): the contrastive domain discrepancy is nearly blind to classes.
#
# Expected: CDD (Kang et al., CVPR 2019) is small when clips of one class agree across the domains and
#   those of different classes do not: for a target that equals the source, class by class, the
#   intra-class part is zero and the loss is negative.
# Seen: in `cdd_loss` the mask of a class is (N,) and is multiplied with the (N, N) kernel, which keeps
#   whole columns: pairs of the class with *every* clip count. The mean across the domains is divided
#   by the square of the number of pairs, so that it all but vanishes. What is left hardly depends on
#   which class is where: labels turned round by one class give the same loss to a percent.
# Hurts: Contrastive Adaptation Networks trained with `skada.deep.CAN`: the term that is to align
#   classes pushes all features together instead, and apart from no other class.
# Remedy: none by settings; compute the term yourself.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    skada==0.6.0 torch==2.13.0 skorch==1.4.0 scikit-learn==1.9.1 numpy==2.4.6 POT==0.9.7.post1 \
    braindecode==1.8.1

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from skada.deep.losses import cdd_loss
from skada.deep.utils import SphericalKMeans

torch.manual_seed(0)
CLASSES, EACH, SIGMAS = 3, 20, [1.0, 4.0]
labels = torch.arange(CLASSES).repeat_interleave(EACH)
centers = 5.0 * torch.eye(CLASSES, 8)
features = centers[labels] + 0.1 * torch.randn(len(labels), 8)
means = SphericalKMeans(n_clusters=CLASSES, initial_centroids=centers).fit(features)
clusters = means.predict(features)
assert torch.equal(clusters, labels)


def by_the_paper(source_labels):
    """Equations 3 and 5, with the kernel that skada uses."""
    distance = torch.cdist(features, features)
    kernel = sum(torch.exp(-distance / sigma) for sigma in SIGMAS)

    def mean(first, second):
        pairs = first.float()[:, None] * second.float()[None]
        return float((kernel * pairs).sum() / pairs.sum())

    parts = [[], []]
    for one in range(CLASSES):
        for other in range(CLASSES):
            s, t = source_labels == one, clusters == other
            parts[one != other].append(mean(s, s) + mean(t, t) - 2 * mean(s, t))
    return sum(parts[0]) / len(parts[0]) - sum(parts[1]) / len(parts[1])


found = {}
for name, source_labels in (("right", labels), ("turned round", (labels + 1) % CLASSES)):
    found[name] = float(cdd_loss(source_labels, features, features, means, sigmas=SIGMAS))
    print(f"classes {name}: skada {found[name]:.3f}, by the paper {by_the_paper(source_labels):.3f}")
change = abs(found["turned round"] / found["right"] - 1)
if found["right"] < 0 or change > 0.05:
    sys.exit("skada's cdd_loss now tells classes apart: this finding is out of date")
PYTHON
