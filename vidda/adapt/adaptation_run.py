"""A training run with a target: its predictions and features, and the scores that select an epoch.

RUN/online/epoch_E.npz                   predictions of a test-time method, in the steps' order
RUN/features/{val,target}/epoch_E.npz    ids (N,), features (N, D), logits (N, K),
                                         weight (K, D) of the last layer; `numpy.load` reads it
RUN/metrics.jsonl                        epoch/score_NAME: every score without target labels, of
                                         `vidda.evaluate.label_free_scores`
"""

import math

import numpy as np
import torch
from torch import nn

from vidda.adapt.adapt_config import TARGET, AdaptConfig
from vidda.adapt.frozen import states_loader
from vidda.adapt.online import Online
from vidda.adapt.temporal_relations import require_framewise
from vidda.data.loader import ClipLoader
from vidda.data.saved_predictions import save_predictions
from vidda.evaluate.label_free_scores import SOURCE_VALIDATION, epoch_scores, read_epoch_outputs
from vidda.files import atomic
from vidda.recognize.framewise import FrozenHead
from vidda.recognize.infer import Outputs, infer_batch
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.train_config import LAST
from vidda.recognize.training_run import TrainingRun
from vidda.types import Manifest, Predictions


class AdaptationRun(TrainingRun[AdaptConfig]):
    """One run of `vidda adapt`."""

    def run(self) -> None:
        """Train to the end; a test-time method is prepared with the source and the target first."""
        method = self.modules.method
        if isinstance(method, Online):
            method.begin(self.model, self.folder.path, self._infer_source, self._target_logits)
        super().run()

    def runner(self, model: Recognizer) -> nn.Module:
        """Return the module that takes the run's batches: the model, or its part above what is
        frozen.
        """
        if self.config.frozen is None:
            return model
        return FrozenHead(require_framewise(model, "frozen"))

    @property
    def target(self) -> ClipLoader:
        """The target's clips, as in testing."""
        return self.watched[TARGET]

    def _test_loader(self, manifest: Manifest) -> ClipLoader:
        """Return the clips of a manifest as in testing, or their stored states where layers are
        frozen.
        """
        if self.config.frozen is None:
            return super()._test_loader(manifest)
        model, every = require_framewise(self.model, "frozen"), np.arange(len(manifest))
        size = self.config.batch_size
        return states_loader(self.config, model, manifest, size, lambda epoch: every)

    def _infer_source(self) -> Outputs:
        return self.infer(self.model, self._test_loader(self.data.train))

    def _target_logits(self, number: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of target clips, (B,) by number, from the current weights."""
        video = torch.stack([self.target.dataset[n].video for n in number.tolist()])
        device, precision = self.accelerator.device, self.config.chosen_precision
        return infer_batch(self.model.eval(), video, device, precision).logits

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Save predictions and features; return the score by which `select` compares epochs, and
        figures.

        A score that is not finite counts as -inf.
        """
        if isinstance(self.modules.method, Online):
            self._save_online_predictions(epoch, self.modules.method.answers.cpu().numpy())
        score, figures = super().end_epoch(epoch)
        found = epoch_scores(read_epoch_outputs(self.folder.path, epoch))
        figures |= {f"score_{name}": v for name, v in found.items() if name != SOURCE_VALIDATION}
        if self.config.select == LAST:
            return score, figures
        # Hopkins' statistic of identical features is 0 / 0: the worst possible.
        selected = found[self.config.select]
        return (selected if math.isfinite(selected) else -math.inf), figures

    def _save_online_predictions(self, epoch: int, answers: np.ndarray) -> None:
        """Save the predictions of a test-time method, without clips that have none as they cannot
        be read.
        """
        known = np.isfinite(answers).all(1).nonzero()[0]
        ids = tuple(self.target.dataset.manifest.clips[n].id for n in known)
        path = self.folder.path / "online" / f"epoch_{epoch:03d}.npz"
        save_predictions(path, Predictions(ids, answers[known]), self.data.train.classes)

    def save_outputs(
        self, name: str, epoch: int, found: Outputs, labels: torch.Tensor | None = None
    ) -> None:
        """Save predictions and, with `features`, both domains' features."""
        super().save_outputs(name, epoch, found, labels)
        if self.config.features and name in ("val", TARGET):
            self._save_features(name, epoch, found)

    def _save_features(self, name: str, epoch: int, found: Outputs) -> None:
        weight = self.tested.classifier.weight.detach().float().cpu()
        path = self.folder.path / "features" / name / f"epoch_{epoch:03d}.npz"
        with atomic(path) as temporary:
            np.savez_compressed(
                temporary,
                allow_pickle=False,
                ids=np.array(found.ids, dtype=np.str_),
                features=found.features.numpy(),
                logits=found.logits.numpy(),
                weight=weight.numpy(),
            )
