"""Rank correlation of what `vidda gap` measures with accuracy, set by set and clip by clip.

    python tools/judge_gap.py sets SETS.csv
    python tools/judge_gap.py clips RUN/source.csv PREDICTIONS.npz

SETS.csv has a line for each source that was trained on, with the columns `gap` (a folder of vidda
gap) and `accuracy` (of that training on the target's test clips); all for one target, a dozen sets
or more, and several seeds averaged. For each figure of the gap it prints Spearman's rank
correlation with accuracy: a figure that ranks sets is near -1.

With `clips` the gap's source are the test clips, and its target the clips that were trained on: the
correlation of each clip's distance, or density, with the error of the predictions on it. A figure
that tells errors has a correlation above 0 as a distance, and below 0 as a density.
"""

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from scipy.stats import rankdata, spearmanr

from vidda.data.saved_predictions import load_predictions

FEWEST_SETS = 12
"""Sets below which a correlation is only printed with a warning."""
PERMUTATIONS, BOOTSTRAP = 9999, 2000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[0], epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    sets = commands.add_parser("sets", help="correlate figures of sets with accuracy")
    sets.add_argument("table", type=Path, help="CSV with the columns gap and accuracy")
    clips = commands.add_parser("clips", help="correlate figures of clips with errors")
    clips.add_argument("table", type=Path, help="source.csv of a folder of vidda gap")
    clips.add_argument("predictions", type=Path, help="labeled predictions for these clips")
    arguments = parser.parse_args()
    if arguments.command == "sets":
        figures, truth = read_sets(arguments.table)
        if len(truth) < FEWEST_SETS:
            print(f"note: {len(truth)} sets are too few; {FEWEST_SETS} say something")
        show(figures, truth, f"accuracy of {len(truth)} sets")
        return 0
    figures, errors, losses = read_clips(arguments.table, arguments.predictions)
    show(figures, errors, f"error (0 or 1) of {len(errors)} clips")
    show(figures, losses, "cross-entropy of the same")
    return 0


def read_sets(table: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the figures of each set by name, (N,), and the accuracies (N,)."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = [figures_of(json.loads((Path(row["gap"]) / "gap.json").read_text())) for row in rows]
    shared = [name for name in found[0] if all(name in one for one in found)]
    figures = {name: np.array([one[name] for one in found]) for name in shared}
    return figures, np.array([float(row["accuracy"]) for row in rows])


def figures_of(content: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the figures of a gap.json by name: of the score, of features, of attributes."""
    found = {f"score.{name}": value for name, value in content["score"].items()}
    for part, keys in (
        ("features", ("neighbor_shift", "log_density_source", "proxy_a_distance", "frechet")),
        ("attributes", ("standardized", "bhattacharyya")),
    ):
        for name, values in content[part].items():
            found |= {f"{name}.{key}": values[key] for key in keys}  # type: ignore[index]
    return found


def read_clips(
    table: Path, predictions: Path
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return figures of N clips by name, 1 where a prediction is wrong, and the loss of each."""
    saved = load_predictions(predictions).predictions
    if saved.labels is None:
        sys.exit(f"error: {predictions} has no labels; evaluate on labeled clips")
    with table.open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    numbers = [n for n, name in enumerate(saved.ids) if name in rows]
    if not numbers:
        sys.exit(f"error: {predictions} has none of the clips of {table}")
    names = [name for name in next(iter(rows.values())) if name != "id"]
    figures = {
        name: np.array([float(rows[saved.ids[n]][name] or "nan") for n in numbers])
        for name in names
    }
    logits, labels = saved.logits[numbers], saved.labels[numbers]
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return figures, (logits.argmax(1) != labels).astype(float), losses


def rank_correlation(
    values: np.ndarray, truth: np.ndarray, seed: int = 0
) -> tuple[float, float, float, float]:
    """Return Spearman's correlation, a bootstrap interval of 95%, and a permutation p-value.

    values, truth: (N,). NaN where one of both is constant.
    """
    if np.ptp(values) == 0 or np.ptp(truth) == 0:
        return (float("nan"),) * 4  # type: ignore[return-value]
    rng = np.random.default_rng(seed)
    found = float(spearmanr(values, truth).statistic)
    drawn = [rng.integers(0, len(values), len(values)) for _ in range(BOOTSTRAP)]
    samples = [
        float(spearmanr(values[one], truth[one]).statistic)
        for one in drawn
        if np.ptp(values[one]) > 0 and np.ptp(truth[one]) > 0
    ]
    ranks = [rankdata(one) for one in (values, truth)]
    centered = [one - one.mean() for one in ranks]
    scale = float(np.linalg.norm(centered[0]) * np.linalg.norm(centered[1]))
    others = [
        float(rng.permutation(centered[0]) @ centered[1]) / scale for _ in range(PERMUTATIONS)
    ]
    p = (1 + sum(abs(one) >= abs(found) - 1e-12 for one in others)) / (1 + PERMUTATIONS)
    low, high = np.quantile(samples, [0.025, 0.975])
    return found, float(low), float(high), p


def show(figures: Mapping[str, np.ndarray], truth: np.ndarray, what: str) -> None:
    """Print the rank correlation of each figure with `truth`, the strongest first."""
    rows: list[tuple[str, Sequence[float]]] = []
    for name, values in figures.items():
        known = np.isfinite(values)
        if known.sum() > 2:
            rows.append((name, rank_correlation(values[known], truth[known])))
    rows.sort(key=lambda row: -abs(np.nan_to_num(row[1][0])))
    print(f"\nSpearman with the {what}; 95% by bootstrap; p by permutation, of each figure alone")
    for name, (value, low, high, p) in rows:
        print(f"  {name:44} {value:+.2f}  {low:+.2f} to {high:+.2f}  p {p:.4f}")


if __name__ == "__main__":
    sys.exit(main())
