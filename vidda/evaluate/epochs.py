"""The selected, the last and the oracle epoch of a run, from its per-epoch predictions.

The selected epoch is the best one on the source's validation clips, or by the label-free score that
the key `select` of `vidda adapt` names: what a user would get. The oracle epoch is the best one by
the test labels, which a user does not have: it shows what selection costs, and is no result.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidda.data.saved_predictions import SavedPredictions, load_predictions
from vidda.errors import ViddaError
from vidda.evaluate.labeled_predictions import join_labels, labels_of
from vidda.evaluate.metrics import accuracy
from vidda.types import Manifest

SELECTION = "selection.json"


@dataclass(frozen=True, slots=True)
class EpochAccuracies:
    """Accuracy of a run on the test clips after each epoch, and three of its epochs.

    accuracies: 0 to 1, one for each epoch. selected: the epoch that the run selected. last: the
    last one. oracle: the one of the highest test accuracy. Epochs count from 0.
    """

    accuracies: tuple[float, ...]
    selected: int
    last: int
    oracle: int

    @property
    def chosen(self) -> dict[str, int]:
        """Return the epochs by name: selected, last and oracle."""
        return {"selected": self.selected, "last": self.last, "oracle": self.oracle}


def read_epochs(run: Path, manifest: Manifest, name: str) -> EpochAccuracies:
    """Return the accuracy of a run's epochs on labeled clips that it predicted after each epoch.

    run: its folder. name: the manifest's, for messages. Raises ViddaError when the run did not
    watch these clips, is not finished, or lacks an epoch.
    """
    selected, last = _selection(run)
    folder = watched_predictions(run, manifest)
    if folder is None:
        raise ViddaError(
            f"{run}: no predictions of the clips of {name} after each epoch;"
            " train with watch.NAME=MANIFEST"
        )
    files = [folder / f"epoch_{epoch:03d}.npz" for epoch in range(last + 1)]
    scores = _accuracies([join_labels(load_predictions(file), manifest, name) for file in files])
    # max takes the first of equally good ones, as training does.
    oracle = max(range(len(scores)), key=lambda epoch: scores[epoch])
    return EpochAccuracies(tuple(scores), selected, last, oracle)


def watched_predictions(run: Path, manifest: Manifest) -> Path | None:
    """Return the folder of a run's predictions of these clips after each epoch, None without one.

    The folder is found by the clips' ids, whatever name the clips were watched under.
    """
    ids = {clip.id for clip in manifest.clips}
    for first in sorted((run / "predictions").glob("*/epoch_000.npz")):
        if set(load_predictions(first).predictions.ids) == ids:
            return first.parent
    return None


def _selection(run: Path) -> tuple[int, int]:
    file = run / SELECTION
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        selected, last = int(content["selected"]), int(content["last"])
    except FileNotFoundError:
        raise ViddaError(
            f"{run}: no {SELECTION} in it; give a finished run of vidda train or adapt"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ViddaError(f"{file}: not what vidda train writes: {error}") from None
    if not 0 <= selected <= last:
        raise ViddaError(f"{file}: selected epoch {selected} not in 0..{last}")
    return selected, last


def _accuracies(epochs: Sequence[SavedPredictions]) -> list[float]:
    return [accuracy(e.predictions.logits, labels_of(e)) for e in epochs]
