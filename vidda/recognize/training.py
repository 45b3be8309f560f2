"""One run of training or adaptation: its data, its parts, and what happens after each epoch."""

import json
import math
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.nn import functional as F

from vidda.data import load_manifest
from vidda.data.dataset import ClipDataset
from vidda.data.loader import ClipLoader
from vidda.data.saved_predictions import load_predictions, save_predictions
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.recognize.feed import Feed
from vidda.recognize.infer import infer
from vidda.recognize.inference import predict
from vidda.recognize.loop import train
from vidda.recognize.method import Method, Outputs, Supervised
from vidda.recognize.saved_recognizer import ModelCard, save_model
from vidda.recognize.train_config import LAST, TrainConfig, TrainData
from vidda.run import RunFolder
from vidda.types import Manifest, Predictions


def supervised(config: TrainConfig, classes: int) -> Supervised:
    """Return cross-entropy as the config wants it."""
    return Supervised(classes, config.label_smoothing, config.mixup, config.cutmix)


class Training:
    """Everything of a run that outlives one step.

    steps: of the optimizer, an epoch. feed: what the method is trained on. target: the clips that
    it may look at before an epoch.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainData,
        accelerator: Accelerator,
        model: nn.Module,
        folder: RunFolder,
        steps: int,
        method: Method,
        feed: Feed,
        target: Manifest | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.accelerator = accelerator
        self.folder = folder
        self.steps = steps
        self.feed = feed
        self.parts = config.parts(
            model, method, accelerator, layer_decay=config.layer_decay, ema=config.ema
        )
        self.target = None if target is None else self._test_loader(target)
        self.val = self._test_loader(data.val)
        self.watched = {name: self._test_loader(clips) for name, clips in data.watch.items()}
        self.card = ModelCard(
            model=config.model.without_weights(),
            classes=data.train.classes,
            sampling=config.test_sampling,
            transform=config.test_transform,
        )

    def run(self) -> None:
        """Train to the end and finish the run folder."""
        position = train(
            self.folder,
            self.parts,
            self.feed,
            self.config.pace(self.steps, self.config.patience),
            self.config.seed,
            end_epoch=self.end_epoch,
            save_model=lambda place, tested: save_model(place, self.card, tested),
            look=None if self.target is None else self._look,
        )
        if self.accelerator.is_main_process:
            assert position.best_epoch is not None
            self._select(position.best_epoch, position.scores)

    def _look(self) -> Outputs:
        """Return the target's clips through the weights that learn."""
        assert self.target is not None
        device = self.accelerator.device
        return infer(self.parts.model, self.target, device, self.config.precision)

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Predict the watched clips and the validation clips; the epoch's score, and figures."""
        for name, loader in self.watched.items():
            self._save(name, epoch, self._predict(loader))
        found = self._predict(self.val)
        labels = {clip.id: clip.label for clip in self.data.val.clips}
        known = np.array([labels[clip_id] for clip_id in found.ids])
        self._save("val", epoch, Predictions(found.ids, found.logits, known))
        accuracy = float((found.logits.argmax(1) == known).mean())
        loss = float(F.cross_entropy(torch.from_numpy(found.logits), torch.from_numpy(known)))
        figures = {"val_accuracy": accuracy, "val_loss": loss}
        if self.config.select == LAST:
            return float(epoch), figures
        # Among epochs of equal accuracy, the one with the lower loss.
        return accuracy - 1e-6 * loss, figures

    def _select(self, best: int, scores: list[float]) -> None:
        """Say which epoch was chosen, and finish."""
        name, run = self.config.select, self.folder.path
        # The worst there is has no place in JSON.
        kept = [score if math.isfinite(score) else None for score in scores]
        selection = {"selected": best, "last": len(scores) - 1, "select": name, "scores": kept}
        write_text(run / "selection.json", json.dumps(selection, indent=1) + "\n")
        found = load_predictions(self._place("val", best))
        save_predictions(run / "predictions" / "val.npz", found.predictions, found.classes)
        self.folder.finish()
        print(f"done: {run}; epoch {best} by {name} ({scores[best]:.4g}) of {len(scores)}")
        self._tell_watched(best, len(scores) - 1)

    def _tell_watched(self, best: int, last: int) -> None:
        """Print the accuracy on the watched clips, whose labels are read only now, at the end."""
        for name, file in self.config.watch.items():
            labels = {clip.id: clip.label for clip in load_manifest(file).clips}
            said = []
            for epoch in dict.fromkeys((best, last)):
                found = load_predictions(self._place(name, epoch)).predictions
                known = [n for n, one in enumerate(found.ids) if labels.get(one) is not None]
                right = [found.logits[n].argmax() == labels[found.ids[n]] for n in known]
                if known:
                    said.append(f"{np.mean(right):.1%} of {len(known)} clips at epoch {epoch}")
            print(f"watched {name}: {', '.join(said) or 'no labels'}")

    def _predict(self, loader: ClipLoader) -> Predictions:
        """Of all processes together, in the manifest's order."""
        own = predict(self.parts.tested, loader, self.accelerator.device, self.config.precision)
        if self.accelerator.num_processes == 1:
            return own if own.ids else _nothing(loader)
        everyone = gather_object([(own.ids, own.logits)])
        everyone = [(ids, logits) for ids, logits in everyone if ids]
        if not everyone:
            return _nothing(loader)
        ids = [clip_id for part, _ in everyone for clip_id in part]
        logits = np.concatenate([part for _, part in everyone])
        place = {clip.id: n for n, clip in enumerate(loader.dataset.manifest.clips)}
        order = sorted(range(len(ids)), key=lambda n: place[ids[n]])
        return Predictions(tuple(ids[n] for n in order), logits[order])

    def _save(self, name: str, epoch: int, found: Predictions) -> None:
        if self.accelerator.is_main_process:
            save_predictions(self._place(name, epoch), found, self.data.train.classes)

    def _place(self, name: str, epoch: int) -> Path:
        return self.folder.path / "predictions" / name / f"epoch_{epoch:03d}.npz"

    def _test_loader(self, manifest: Manifest) -> ClipLoader:
        c = self.config
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        dataset = ClipDataset(manifest, c.test_sampling, c.test_transform, cache=c.cache)
        return ClipLoader(
            dataset,
            max(1, c.batch_size // world),
            order=lambda epoch: np.arange(len(manifest))[rank::world],
            workers=c.workers,
            on_error=c.on_error,
        )


def _nothing(loader: ClipLoader) -> NoReturn:
    clips = loader.dataset.manifest.clips
    why = next(iter(loader.skipped.values()), "")
    raise ViddaError(
        f"none of {len(clips)} clips to predict can be read, first {clips[0].id!r}: {why};"
        " on_error=skip skips all of them"
    )
