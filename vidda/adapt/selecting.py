"""Training with a target whose epochs are judged without its labels.

RUN/metrics.jsonl       epoch/score_NAME: every score of `vidda.evaluate.scoring`, epoch by epoch
RUN/selection.json      the epoch that the config's score has chosen, and that score's values
"""

import json
import math

from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.adapting import Adapting
from vidda.data.predictions import load_predictions, save_predictions
from vidda.evaluate.scoring import VALIDATION, read_shown, scores
from vidda.files import write_text


class Selecting(Adapting):
    """One run of `vidda adapt` that chooses its epoch by the config's `select`."""

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """As in adapting; the scores join the figures, and one of them is the epoch's."""
        assert isinstance(self.config, AdaptConfig)
        validation, figures = super().end_epoch(epoch)
        found = scores(read_shown(self.folder.path, epoch))
        chosen = found[self.config.select]
        figures |= {f"score_{name}": v for name, v in found.items() if name != VALIDATION}
        if self.config.select == VALIDATION:
            return validation, figures
        # Hopkins' statistic of features that are all the same is 0 / 0: the worst there is.
        return (chosen if math.isfinite(chosen) else -math.inf), figures

    def _select(self, best: int, scores: list[float]) -> None:
        """Say which epoch the score chose, and finish."""
        assert isinstance(self.config, AdaptConfig)
        name = self.config.select
        if name == VALIDATION:
            super()._select(best, scores)
            return
        place = self.folder.path
        content = {"selected": best, "last": len(scores) - 1, "select": name, "scores": scores}
        write_text(place / "selection.json", json.dumps(content, indent=1) + "\n")
        found = load_predictions(self._place("val", best))
        save_predictions(place / "predictions" / "val.npz", found.predictions, found.classes)
        self.folder.finish()
        print(f"done: {place}; epoch {best} has {name} {scores[best]:.4g} on {self.config.target}")
