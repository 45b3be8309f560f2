"""A training run with a target: predictions at test time, and features for scores without labels.

RUN/online/epoch_E.npz                   predictions of a test-time method, in the steps' order
RUN/features/{val,target}/epoch_E.npz    ids (N,), features (N, D), logits (N, K),
                                         weight (K, D) of the last layer; `numpy.load` reads it
"""

import numpy as np
import torch

from vidda.adapt.adapt_config import TARGET, AdaptConfig
from vidda.adapt.frozen import states_loader
from vidda.adapt.online import Online
from vidda.data.loader import ClipLoader
from vidda.data.saved_predictions import save_predictions
from vidda.files import atomic
from vidda.recognize.framewise import Framewise
from vidda.recognize.infer import Outputs, infer_batch
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.training_run import TrainingRun
from vidda.types import Manifest, Predictions


class AdaptationRun(TrainingRun):
    """One run of `vidda adapt`."""

    def run(self) -> None:
        """Train to the end; a test-time method is prepared with the source and the target first."""
        method, model = self.modules.method, self.modules.model
        if isinstance(method, Online):
            assert isinstance(model, Recognizer)
            method.begin(model, self.folder.path, self._infer_source, self._target_logits)
        super().run()

    @property
    def target(self) -> ClipLoader:
        """The target's clips, as in testing."""
        return self.watched[TARGET]

    def _test_loader(self, manifest: Manifest) -> ClipLoader:
        """Return the clips of a manifest as in testing, or their stored states where layers are
        frozen.
        """
        config, model = self.config, self.modules.model
        assert isinstance(config, AdaptConfig)
        if config.frozen is None:
            return super()._test_loader(manifest)
        assert isinstance(model, Framewise)
        every = np.arange(len(manifest))
        return states_loader(config, model, manifest, config.batch_size, lambda epoch: every)

    def _infer_source(self) -> Outputs:
        return self.infer(self.modules.model, self._test_loader(self.data.train))

    def _target_logits(self, number: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of target clips, (B,) by number, from the current weights."""
        video = torch.stack([self.target.dataset[n].video for n in number.tolist()])
        model = self.modules.model.eval()
        device, precision = self.accelerator.device, self.config.precision
        return infer_batch(model, video, device, precision).logits

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Save online predictions and outputs; return the epoch's score, and figures."""
        if isinstance(self.modules.method, Online):
            self._save_online_predictions(epoch, self.modules.method.answers.cpu().numpy())
        return super().end_epoch(epoch)

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
        assert isinstance(self.config, AdaptConfig)
        if self.config.features and name in ("val", TARGET):
            self._save_features(name, epoch, found)

    def _save_features(self, name: str, epoch: int, found: Outputs) -> None:
        model = self.modules.tested
        assert isinstance(model, Recognizer)
        weight = model.classifier.weight.detach().float().cpu()
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
