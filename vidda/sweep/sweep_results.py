"""Results of a sweep: the transfer table of the chosen combinations, and tables for a README.

OUT/results/         a transfer table as `vidda evaluate` writes it, for `vidda report`
OUT/sweep.md         methods x tasks, gains over the baseline, chosen combinations, and the quality
                     of the scores
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vidda.config import dump
from vidda.data.saved_predictions import SavedPredictions, save_predictions
from vidda.evaluate.gains import Gain, compute_gains, gain_grid
from vidda.evaluate.job import EvaluateConfig
from vidda.evaluate.transfer import (
    EpochCell,
    Transfer,
    TransferCell,
    epoch_cell,
    load_tests,
    transfer_cells,
)
from vidda.evaluate.transfer import TransferRow as TransferRow
from vidda.evaluate.transfer_tables import (
    NO_VALUE,
    TransferGrid,
    legend,
    transfer_grids,
    write_tables,
)
from vidda.files import write_text
from vidda.run import RunFolder
from vidda.sweep.sweep_config import SweepConfig
from vidda.sweep.trial_results import chosen_rows, read_test_predictions
from vidda.sweep.trial_table import TrialRow


@dataclass(frozen=True, slots=True)
class SweepResults:
    """The chosen rows by (method, task), and their accuracies and gains."""

    config: SweepConfig
    rows: dict[tuple[str, str], list[TrialRow]]
    cells: list[TransferCell]
    epochs: list[EpochCell]
    gains: list[Gain]

    def grids(self) -> list[TransferGrid]:
        """Return the transfer tables, the gains over the baseline and the chosen combinations."""
        tasks, baseline = self.config.tasks, self.config.baseline
        gained = [gain_grid(self.gains, baseline, tasks)] if baseline and self.gains else []
        return [*transfer_grids(self.cells, self.epochs, tasks), *gained, *_chosen_grid(self)]

    def legend(self) -> list[str]:
        """Return sentences that explain the tables."""
        lines = legend(self.cells, self.epochs, self.config.intervals.confidence)
        if self.gains:
            lines.append(
                "Gains are of runs of one seed on the same clips: mean, ± deviation between seeds,"
                " and an interval as above."
            )
        if any(self.config.searched_keys(name) for name in self.config.methods):
            lines.append(
                f"Combinations of keys were chosen by {self.config.select_point}, as a mean over"
                " seeds at the selected epochs, without target labels."
            )
        return lines


def collect_results(
    config: SweepConfig, rows: Sequence[TrialRow]
) -> tuple[SweepResults, Transfer] | None:
    """Compute the results of the finished rows, and their transfer table; None without any."""
    best: dict[tuple[str, str], list[TrialRow]] = {}
    for method in config.methods:
        for task in config.tasks:
            own = [row for row in rows if (row.method, row.task) == (method, task)]
            if found := chosen_rows(own, config.select_point):
                best[method, task] = found
    if not best:
        return None
    transfer = _transfer(config, best)
    tests = load_tests(transfer)
    table: list[TransferCell] = []
    epochs: list[EpochCell] = []
    predictions: dict[tuple[str, str], dict[int, SavedPredictions]] = {}
    for (method, task), members in best.items():
        name, test = tests[task]
        stream = config.methods[method].stream
        saved = [
            read_test_predictions(row, _selected(row), test, name, stream=stream) for row in members
        ]
        predictions[method, task] = {row.seed: one for row, one in zip(members, saved, strict=True)}
        table += transfer_cells(method, task, saved, config.intervals)
        runs = [row.run for row in members]
        three = None if stream else epoch_cell(method, task, runs, test, name)
        epochs += [three] if three else []
    above = compute_gains(predictions, config.baseline, config.intervals) if config.baseline else []
    return SweepResults(config, best, table, epochs, above), transfer


def _selected(row: TrialRow) -> int:
    assert row.epochs
    return int(row.epochs.selected)


def _transfer(config: SweepConfig, best: dict[tuple[str, str], list[TrialRow]]) -> Transfer:
    runs: dict[str, dict[str, tuple[Path, ...]]] = {}
    for (method, task), members in best.items():
        runs.setdefault(method, {})[task] = tuple(row.run for row in members)
    rows = tuple(TransferRow(name=name, runs=tasks) for name, tasks in runs.items())
    return Transfer(data=config.prepared, tasks=config.tasks, rows=rows)


def is_written(results: SweepResults, transfer: Transfer, out: Path) -> bool:
    """Return whether a folder is finished and holds exactly these results."""
    if not (out / "DONE").exists():
        return False
    try:
        before = dict(json.loads((out / "transfer.json").read_text(encoding="utf-8")))
        settings = (out / "config.yaml").read_text(encoding="utf-8")
    except (FileNotFoundError, ValueError, TypeError):
        return False  # missing or damaged files are written again
    now = {
        "cells": [asdict(cell) for cell in results.cells],
        "epochs": [asdict(cell) for cell in results.epochs],
    }
    # Through JSON, which has no tuples.
    same = json.loads(json.dumps(now)) == {key: before.get(key) for key in now}
    return same and settings == dump(_settings(results, transfer, out))


def write_results(results: SweepResults, transfer: Transfer, out: Path) -> None:
    """Write the results as `vidda evaluate` writes a transfer table, replacing the folder."""
    config = results.config
    tests = load_tests(transfer)
    shutil.rmtree(out, ignore_errors=True)
    fingerprints = {f"test of {task}": test.fingerprint() for task, (_, test) in tests.items()}
    settings = _settings(results, transfer, out)
    with RunFolder.open(out, settings, fingerprints, resume=False) as folder:
        for (method, task), members in results.rows.items():
            name, test = tests[task]
            stream = config.methods[method].stream
            for number, row in enumerate(members):
                found = read_test_predictions(row, _selected(row), test, name, stream=stream)
                file = out / "predictions" / method / f"{task}_{number}.npz"
                save_predictions(file, found.predictions, found.classes, found.columns)
        write_tables(out, results.cells, results.epochs, config.tasks, config.intervals.confidence)
        folder.finish()


def _settings(results: SweepResults, transfer: Transfer, out: Path) -> EvaluateConfig:
    return EvaluateConfig(out=out, transfer=transfer, intervals=results.config.intervals)


def write_markdown(results: SweepResults, rows: Sequence[TrialRow], file: Path) -> None:
    """Write the tables as Markdown, for a README, with the trials that failed."""
    lines = []
    for grid in [*results.grids(), *_score_worth_grid(rows)]:
        lines += [f"## {grid.title}", "", _line(grid.heads), _line(["---"] * len(grid.heads))]
        lines += [*map(_line, grid.rows), ""]
    lines += [f"- {line}" for line in results.legend()]
    lines += [f"- failed: {row.name}: {row.reason}" for row in rows if row.status == "failed"]
    write_text(file, "\n".join(lines) + "\n")


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _chosen_grid(results: SweepResults) -> Iterator[TransferGrid]:
    """Yield a table of the combination chosen for each method and task, if keys are searched."""
    config = results.config
    names = [name for name in config.methods if config.searched_keys(name)]
    rows = []
    for name in names:
        texts = []
        for task in config.tasks:
            members = results.rows.get((name, task))
            texts.append(_keys(members[0]) if members else NO_VALUE)
        rows.append((name, *texts))
    if rows:
        yield TransferGrid(
            f"Chosen by {config.select_point}", ("method", *config.tasks), tuple(rows)
        )


def _keys(row: TrialRow) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in row.keys.items())


def _score_worth_grid(rows: Sequence[TrialRow]) -> Iterator[TransferGrid]:
    """Yield a table of the quality of each score for choosing epochs, over all trials with it."""
    names = dict.fromkeys(name for row in rows for name in row.lost)
    lines = []
    for name in names:
        having = [row for row in rows if name in row.lost]
        known = [c for row in having if (c := row.correlations[name]) is not None]
        correlation = f"{np.mean(known):+.2f}" if known else NO_VALUE
        lost = 100 * np.mean([row.lost[name] for row in having])
        lines.append((name, f"{correlation}", f"{lost:.1f}", str(len(having))))
    if lines:
        heads = ("score", "rank correlation", "points lost to the oracle", "trials")
        yield TransferGrid("Scores without target labels, over the epochs", heads, tuple(lines))
