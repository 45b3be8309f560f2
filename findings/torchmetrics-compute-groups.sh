#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.13.0): metrics of one collection become one metric by coincidence.
#
# Expected: MetricCollection saves work by letting metrics share their state where they need the
#   same one (precision and recall, say). Metrics with other settings are computed as set.
# Seen: what belongs together is decided by comparing the *numbers* in the states after the first
#   batch. Where two metrics that differ happen to count alike in that batch, they are one metric
#   from then on: here macro top-1 and top-2 accuracy, when the first batch is all right. The
#   result of the second is the first's, for the rest of the epoch, without a word.
# Hurts: action recognition's pair of top-1 and top-5, thresholds swept in one collection, metrics
#   with and without an ignored class. Small first batches (videos), easy first clips (sorted
#   lists) and good models make it likely.
# Remedy: MetricCollection(..., compute_groups=False), or name the groups.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy

CLASSES = 5
random = torch.Generator().manual_seed(0)


def top():
    return {f"top{k}": MulticlassAccuracy(CLASSES, top_k=k, average="macro") for k in (1, 2)}


def thresholds():
    return {f"f1_at_{round(100 * t)}": BinaryF1Score(threshold=t) for t in (0.5, 0.3)}


def clips(count):
    scores = torch.rand(count, CLASSES, generator=random)
    return scores.softmax(1), torch.randint(0, CLASSES, (count,), generator=random)


def pairs(count):
    return torch.rand(count, generator=random), torch.randint(0, 2, (count,), generator=random)


# In the first batch all four are right, and sure; afterwards it is chance.
sure = torch.tensor([0.95, 0.05, 0.95, 0.05]), torch.tensor([1, 0, 1, 0])
all_right = (50 * torch.eye(CLASSES)[:4]).softmax(1), torch.arange(4)
same = True
for metrics, batches in (
    (top, [all_right, *(clips(4) for _ in range(50))]),
    (thresholds, [sure, *(pairs(4) for _ in range(50))]),
):
    grouped = MetricCollection(metrics())
    alone = MetricCollection(metrics(), compute_groups=False)
    for batch in batches:
        grouped.update(*batch)
        alone.update(*batch)
    seen, right = ({k: round(v.item(), 3) for k, v in c.compute().items()} for c in (grouped, alone))
    print(f"as a collection {seen}, each for itself {right}")
    same &= seen == right
if same:
    sys.exit("The behaviour has changed: a collection gives each metric's own value.")
PYTHON
