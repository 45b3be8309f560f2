"""Selection of an epoch by scores that do not use target labels.

RUN/metrics.jsonl       epoch/score_NAME: every score of `vidda.evaluate.label_free_scores`
"""

import math

from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.adaptation_run import AdaptationRun
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, epoch_scores, read_epoch_outputs
from vidda.recognize.train_config import LAST


class SelectingRun(AdaptationRun):
    """One run of `vidda adapt` that selects its epoch by the config's `select`."""

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Add every score to the epoch's figures, and return the selected one as the epoch's score.

        A score that is not finite counts as -inf.
        """
        assert isinstance(self.config, AdaptConfig)
        score, figures = super().end_epoch(epoch)
        found = epoch_scores(read_epoch_outputs(self.folder.path, epoch))
        figures |= {f"score_{name}": v for name, v in found.items() if name != SOURCE_VALIDATION}
        select = self.config.select
        if select == LAST:
            return score, figures
        # Hopkins' statistic of identical features is 0 / 0: the worst possible.
        selected = found[select]
        return (selected if math.isfinite(selected) else -math.inf), figures
