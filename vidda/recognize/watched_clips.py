"""Accuracy of a finished run on the clips that it watched, whose labels are read only here."""

import json
from collections.abc import Mapping
from pathlib import Path

from vidda.data import load_manifest
from vidda.data.saved_predictions import load_predictions


def epoch_predictions(run: Path, name: str, epoch: int) -> Path:
    """Return the file of a run's predictions after an epoch on the clips called `name`."""
    return run / "predictions" / name / f"epoch_{epoch:03d}.npz"


def print_watched(run: Path, watch: Mapping[str, Path]) -> None:
    """Print a line for each watched manifest: accuracy at the selected and at the last epoch.

    run: a finished run of vidda train or adapt. watch: manifests by name.
    """
    selection = json.loads((run / "selection.json").read_text(encoding="utf-8"))
    epochs: dict[int, list[str]] = {}
    for kind in ("selected", "last"):
        epochs.setdefault(selection[kind], []).append(kind)
    for name, file in watch.items():
        labels = {clip.id: clip.label for clip in load_manifest(file).clips}
        results = []
        for epoch, kinds in epochs.items():
            found = load_predictions(epoch_predictions(run, name, epoch)).predictions
            known = [n for n, one in enumerate(found.ids) if labels.get(one) is not None]
            right = sum(int(found.logits[n].argmax() == labels[found.ids[n]]) for n in known)
            if known:
                share = f"{right / len(known):.1%} of {len(known)} clips"
                results.append(f"{share} at epoch {epoch} ({' and '.join(kinds)})")
        print(f"watched {name}: {', '.join(results) or 'no labels'}")
