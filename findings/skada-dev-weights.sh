#!/usr/bin/env bash
# skada 0.6.0: Deep Embedded Validation multiplies each loss with every weight.
#
# Expected: DEV (You et al., ICML 2019) estimates the target's risk as the mean of loss times density
#   ratio, clip by clip, less a control variate: of two models with the same losses, it prefers the one
#   that errs where the target is not.
# Seen: `DeepEmbeddedValidation._score` has weights of shape (N, 1) and losses of shape (N,); their
#   product is (N, N). Its mean is the mean weight times the mean loss, so the ratios decide nothing;
#   the control variate is taken from the first two clips alone, whose order is the split's. Giving
#   the losses as a column, (N, 1), yields the estimate of the paper.
# Hurts: everybody who selects hyper-parameters without target labels by skada's DEV: it is the
#   source's validation loss plus noise.
# Remedy: pass loss_func=... that returns a column (N, 1).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    skada==0.6.0 scikit-learn==1.9.1 numpy==2.4.6 POT==0.9.7.post1

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from skada import make_da_pipeline
from skada.metrics import DeepEmbeddedValidation

random = np.random.default_rng(0)
COUNT = 2000
source = random.normal(0.0, 1.0, (COUNT, 1))
target = random.normal(1.0, 1.0, (COUNT, 1))
clips = np.concatenate([source, target])
labels = np.concatenate([np.ones(COUNT, int), np.full(COUNT, -1)])
domains = np.concatenate([np.full(COUNT, 1), np.full(COUNT, -2)])


class Errs(ClassifierMixin, BaseEstimator):
    """Sure of class 1, which is right, but where `side` times the clip's value is over 1."""

    def __init__(self, side):
        self.side = side

    def fit(self, X, y=None):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        wrong = self.side * X[:, 0] > 1.0
        return np.stack([np.where(wrong, 0.9, 0.1), np.where(wrong, 0.1, 0.9)], axis=1)


def losses(y, p):
    return -np.log(p[np.arange(len(y)), y])


def column(y, p):
    return losses(y, p)[:, None]


def risk(side, loss, seed):
    model = make_da_pipeline(Errs(side)).fit(clips, labels, sample_domain=domains)
    scorer = DeepEmbeddedValidation(loss_func=loss, random_state=seed)
    # The scorer flips the sign, so that more is better.
    return -scorer(model, clips, labels, sample_domain=domains)


def true_risk(side):
    ones = np.ones(COUNT, int)
    return losses(ones, Errs(side).predict_proba(target)).mean()


away, towards = -1.0, 1.0
print(f"true risk on the target: errs away from it {true_risk(away):.3f}, toward it {true_risk(towards):.3f}")
found = {}
for name, loss in (("(N,)", losses), ("(N, 1)", column)):
    rows = [(risk(away, loss, seed), risk(towards, loss, seed)) for seed in range(20)]
    found[name] = np.array(rows)
    right = int((found[name][:, 0] < found[name][:, 1]).sum())
    means = found[name].mean(0)
    print(f"losses {name}: {means[0]:.3f} and {means[1]:.3f}; the better model is chosen in {right} of 20 splits")
    found[name] = right, means
seen = found["(N, 1)"][0] == 20 and found["(N,)"][0] < 18
apart = abs(found["(N,)"][1][1] - true_risk(towards)) > 0.2
if not (seen and apart):
    sys.exit("skada's DEV now weighs each loss by its own weight: this finding is out of date")
PYTHON
