#!/usr/bin/env bash
# dtaidistance 2.5.1 (numpy 2.4.6): two nearly equal sequences are infinitely far apart.
#
# Expected: dtw.distance_fast is the C version of dtw.distance. It prunes by default, with the
#   Euclidean distance of the two sequences as an upper bound of their DTW distance; a bound that
#   is never too small cannot change the result.
# Seen: where the best warping path is the diagonal, the DTW distance equals that bound. By
#   rounding it is then often greater than it in the last digit, and `inf` comes back, silently.
#   That happens to the *closest* pairs: a repetition of the same movement. dtw.distance with
#   use_pruning=True does the same; the unpruned versions agree with the textbook recurrence.
# Hurts: nearest-neighbour recognition of gestures and actions by DTW of joint angles, and every
#   ranking by it: the right template drops from the first place to the last.
# Remedy: distance_fast(a, b, use_pruning=False), or assert that distances are finite.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check dtaidistance==2.5.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from dtaidistance import dtw


def by_the_book(a, b):
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0
    for i, j in np.ndindex(len(a), len(b)):
        before = min(table[i, j], table[i, j + 1], table[i + 1, j])
        table[i + 1, j + 1] = (a[i] - b[j]) ** 2 + before
    return table[-1, -1] ** 0.5


random = np.random.default_rng(0)
templates = [np.cumsum(random.normal(size=40)) for _ in range(10)]
trials, infinite, wrong, wrong_unpruned = 300, 0, 0, 0
for trial in range(trials):
    label = trial % 10
    query = templates[label] + 0.02 * random.normal(size=40)
    pruned = [dtw.distance_fast(query, template) for template in templates]
    full = [dtw.distance_fast(query, template, use_pruning=False) for template in templates]
    assert np.isclose(full[label], by_the_book(query, templates[label]))
    infinite += np.isinf(pruned[label])
    wrong += int(np.argmin(pruned)) != label
    wrong_unpruned += int(np.argmin(full)) != label

print(f"10 templates of 40 steps, {trials} noisy repetitions of them, nearest template by DTW:")
print(f"  infinitely far from its own template: {infinite}")
print(f"  wrong template, distance_fast: {wrong}; the same without pruning: {wrong_unpruned}")
if not infinite or wrong_unpruned:
    sys.exit("The behaviour has changed: pruning no longer makes near sequences infinitely far.")
PYTHON
