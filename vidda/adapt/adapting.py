"""Training with a target, which can keep what scores without labels are computed from.

RUN/features/{val,target}/epoch_E.npz    ids (N,), features (N, D), logits (N, K),
                                         weight (K, D) of the last layer; `numpy.load` reads it
"""

import numpy as np

from vidda.adapt.adapt_config import AdaptConfig
from vidda.data.loader import ClipLoader
from vidda.files import atomic
from vidda.recognize.looking import look
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.training import Training


class Adapting(Training):
    """One run of `vidda adapt`."""

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """As in training; with `features` both domains' features are written besides."""
        assert isinstance(self.config, AdaptConfig) and self.target is not None
        if self.config.features:
            for name, loader in (("val", self.val), ("target", self.target)):
                self._keep(name, epoch, loader)
        return super().end_epoch(epoch)

    def _keep(self, name: str, epoch: int, loader: ClipLoader) -> None:
        model = self.parts.tested
        assert isinstance(model, Recognizer)
        seen = look(model, loader, self.accelerator.device, self.config.precision)
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
