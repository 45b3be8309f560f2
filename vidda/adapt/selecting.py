"""Training with a target whose epochs are judged without its labels.

RUN/metrics.jsonl       epoch/score_NAME: every score of `vidda.evaluate.label_free_scores`
"""

import math

from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.adapting import Adapting
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, epoch_scores, read_epoch_outputs
from vidda.recognize.train_config import LAST


class Selecting(Adapting):
    """One run of `vidda adapt` that chooses its epoch by the config's `select`."""

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """As in adapting; the scores join the figures, and one of them is the epoch's."""
        assert isinstance(self.config, AdaptConfig)
        judged, figures = super().end_epoch(epoch)
        found = epoch_scores(read_epoch_outputs(self.folder.path, epoch))
        figures |= {f"score_{name}": v for name, v in found.items() if name != SOURCE_VALIDATION}
        select = self.config.select
        if select == LAST:
            return judged, figures
        # Hopkins' statistic of features that are all the same is 0 / 0: the worst there is.
        chosen = found[select]
        return (chosen if math.isfinite(chosen) else -math.inf), figures
