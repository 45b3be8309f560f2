"""Training with a target: its answers at test time, and what scores without labels are made from.

RUN/online/epoch_E.npz                   predictions of a method of test time
RUN/features/{val,target}/epoch_E.npz    ids (N,), features (N, D), logits (N, K),
                                         weight (K, D) of the last layer; `numpy.load` reads it
"""

import numpy as np
import torch

from vidda.adapt.adapt_config import AdaptConfig
from vidda.adapt.frozen import states_loader
from vidda.adapt.online import Online
from vidda.data.loader import ClipLoader
from vidda.data.saved_predictions import save_predictions
from vidda.files import atomic
from vidda.recognize.framewise import Framewise
from vidda.recognize.infer import infer
from vidda.recognize.inference import clip_logits
from vidda.recognize.method import Outputs
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.training import Training
from vidda.types import Manifest, Predictions


class Adapting(Training):
    """One run of `vidda adapt`."""

    def run(self) -> None:
        """As in training; a method of test time is told of source and target first."""
        method, model = self.parts.method, self.parts.model
        if isinstance(method, Online):
            assert isinstance(model, Recognizer)
            method.begin(model, self.folder.path, self._look_at_source, self._show)
        super().run()

    def _test_loader(self, manifest: Manifest) -> ClipLoader:
        """As in training; of a frozen part's states, where it is frozen."""
        config, model = self.config, self.parts.model
        assert isinstance(config, AdaptConfig)
        if config.frozen is None:
            return super()._test_loader(manifest)
        assert isinstance(model, Framewise)
        every = np.arange(len(manifest))
        return states_loader(config, model, manifest, config.batch_size, lambda epoch: every)

    def _look_at_source(self) -> Outputs:
        loader = self._test_loader(self.data.train)
        return infer(self.parts.model, loader, self.accelerator.device, self.config.precision)

    def _show(self, number: torch.Tensor) -> torch.Tensor:
        """Return logits of target clips, (B, K), by the weights as they are now."""
        assert self.target is not None
        video = torch.stack([self.target.dataset[n].video for n in number.tolist()])
        model = self.parts.model.eval()
        device, precision = self.accelerator.device, self.config.precision
        return torch.from_numpy(clip_logits(model, video, device, precision))

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """As in training; answers, and with `features` both domains' features, are kept besides."""
        assert isinstance(self.config, AdaptConfig) and self.target is not None
        if isinstance(self.parts.method, Online):
            self._keep_answers(epoch, self.parts.method.answers.cpu().numpy())
        if self.config.features:
            for name, loader in (("val", self.val), ("target", self.target)):
                self._keep(name, epoch, loader)
        return super().end_epoch(epoch)

    def _keep_answers(self, epoch: int, answers: np.ndarray) -> None:
        """Of the clips that there is an answer for: one that cannot be read has none."""
        assert self.target is not None
        known = np.isfinite(answers).all(1).nonzero()[0]
        ids = tuple(self.target.dataset.manifest.clips[n].id for n in known)
        place = self.folder.path / "online" / f"epoch_{epoch:03d}.npz"
        save_predictions(place, Predictions(ids, answers[known]), self.data.train.classes)

    def _keep(self, name: str, epoch: int, loader: ClipLoader) -> None:
        model = self.parts.tested
        assert isinstance(model, Recognizer)
        seen = infer(model, loader, self.accelerator.device, self.config.precision)
        weight = model.classifier.weight.detach().float().cpu()
        place = self.folder.path / "features" / name / f"epoch_{epoch:03d}.npz"
        with atomic(place) as temporary:
            np.savez_compressed(
                temporary,
                allow_pickle=False,
                ids=np.array([clip.id for clip in loader.dataset.manifest.clips], dtype=np.str_),
                features=seen.features.numpy(),
                logits=seen.logits.numpy(),
                weight=weight.numpy(),
            )
