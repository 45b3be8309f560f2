"""A run of training or adaptation: its data, its modules, and the end of each epoch."""

import json
import math
from pathlib import Path
from typing import Generic, NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.nn import functional as F

from vidda.data.loader import ClipLoader
from vidda.data.saved_predictions import load_predictions, save_predictions
from vidda.errors import ViddaError
from vidda.files import write_text
from vidda.recognize.feed import Feed
from vidda.recognize.infer import Outputs, infer, join_outputs
from vidda.recognize.loop import train
from vidda.recognize.method import Method, Supervised
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import ModelCard, save_model
from vidda.recognize.train_config import LAST, C, TrainConfig, TrainData
from vidda.recognize.watched_clips import epoch_predictions, print_watched
from vidda.run import RunFolder
from vidda.types import Manifest, Predictions


def supervised(config: TrainConfig, classes: int) -> Supervised:
    """Return the supervised method of a config. classes: K."""
    return Supervised(classes, config.label_smoothing, config.mixup, config.cutmix)


class TrainingRun(Generic[C]):
    """The data and modules of a run, from its start to its end.

    steps: optimizer steps in an epoch. feed: the batches of a step.
    """

    def __init__(
        self,
        config: C,
        data: TrainData[C],
        accelerator: Accelerator,
        model: Recognizer,
        folder: RunFolder,
        steps: int,
        method: Method,
        feed: Feed,
    ) -> None:
        self.config = config
        self.data = data
        self.accelerator = accelerator
        self.model = model
        self.folder = folder
        self.steps = steps
        self.feed = feed
        self.modules = config.loop_modules(
            model,
            method,
            accelerator,
            runner=self.runner(model),
            layer_decay=config.layer_decay,
            ema=config.ema,
        )
        self.val = self._test_loader(data.val)
        self.watched = {name: self._test_loader(clips) for name, clips in data.watch.items()}
        self.card = ModelCard(
            model=config.model.without_weights(),
            classes=data.train.classes,
            sampling=config.test_sampling,
            transform=config.test_transform,
        )

    def run(self) -> None:
        """Train to the end, select an epoch and finish the run folder."""
        position = train(
            self.folder,
            self.modules,
            self.feed,
            self.config.loop_schedule(self.steps, self.config.patience),
            self.config.seed,
            end_epoch=self.end_epoch,
            save_model=lambda folder, tested: save_model(folder, self.card, tested),
            infer_target=None if self.target is None else self._infer_target,
        )
        if self.accelerator.is_main_process:
            assert position.best_epoch is not None
            self._select(position.best_epoch, position.scores)

    def runner(self, model: Recognizer) -> nn.Module:
        """Return the module that takes the run's batches: the model itself."""
        return model

    @property
    def tested(self) -> Recognizer:
        """The model that is tested and saved."""
        tested = self.modules.tested
        assert isinstance(tested, Recognizer)
        return tested

    @property
    def target(self) -> ClipLoader | None:
        """The clips whose outputs the method may use before an epoch; None in plain training."""
        return None

    def _infer_target(self) -> Outputs:
        """Return the current model's outputs for the target's clips."""
        assert self.target is not None
        return self.infer(self.model, self.target)

    def end_epoch(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Save predictions of the watched and the validation clips; return the epoch's score, and
        figures.
        """
        tested = self.tested
        for name, loader in self.watched.items():
            self.save_outputs(name, epoch, self.infer(tested, loader))
        found = self.infer(tested, self.val)
        labels = torch.tensor([self.data.val.clips[n].label for n in found.number.tolist()])
        self.save_outputs("val", epoch, found, labels)
        # NumPy's choice among equal logits, as of all who read the saved predictions.
        accuracy = float((found.logits.numpy().argmax(1) == labels.numpy()).mean())
        loss = float(F.cross_entropy(found.logits, labels))
        figures = {"val_accuracy": accuracy, "val_loss": loss}
        if self.config.select == LAST:
            return float(epoch), figures
        # Among epochs of equal accuracy, the one with the lower loss.
        return accuracy - 1e-6 * loss, figures

    def _select(self, best: int, scores: list[float]) -> None:
        """Write the selected epoch and its predictions, finish the run folder, and print a
        summary.
        """
        name, run = self.config.select, self.folder.path
        # JSON has no infinity.
        kept = [score if math.isfinite(score) else None for score in scores]
        selection = {"selected": best, "last": len(scores) - 1, "select": name, "scores": kept}
        write_text(run / "selection.json", json.dumps(selection, indent=1) + "\n")
        found = load_predictions(self._predictions_path("val", best))
        save_predictions(run / "predictions" / "val.npz", found.predictions, found.classes)
        self.folder.finish()
        print(f"done: {run}; epoch {best} by {name} ({scores[best]:.4g}) of {len(scores)}")
        print_watched(run, self.config.watch)

    def infer(self, model: Recognizer, loader: ClipLoader) -> Outputs:
        """Return a model's outputs for the clips of a loader, of all processes together.

        Raises ViddaError when no clip can be read.
        """
        device, precision = self.accelerator.device, self.config.chosen_precision
        found = infer(self.runner(model), loader, device, precision)
        if self.accelerator.num_processes > 1:
            found = join_outputs(gather_object([found]))
        return found if found.ids else _raise_unreadable(loader)

    def save_outputs(
        self, name: str, epoch: int, found: Outputs, labels: torch.Tensor | None = None
    ) -> None:
        """Save the predictions of an epoch on the clips called `name`.

        labels: (N,) int64 of these clips, or None where they are unknown.
        """
        if not self.accelerator.is_main_process:
            return
        known = None if labels is None else labels.numpy()
        predictions = Predictions(found.ids, found.logits.numpy(), known)
        save_predictions(self._predictions_path(name, epoch), predictions, self.data.train.classes)

    def _predictions_path(self, name: str, epoch: int) -> Path:
        return epoch_predictions(self.folder.path, name, epoch)

    def _test_loader(self, manifest: Manifest) -> ClipLoader:
        c = self.config
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        clip_input = c.model.clip_input()
        dataset = clip_input.dataset(
            manifest, c.test_sampling, c.test_transform, cache=c.cache, on_error=c.on_error
        )
        return ClipLoader(
            dataset,
            max(1, c.batch_size // world),
            order=lambda epoch: np.arange(len(manifest))[rank::world],
            workers=c.workers if clip_input.pixels else 0,
            on_error=c.on_error,
        )


def _raise_unreadable(loader: ClipLoader) -> NoReturn:
    clips = loader.dataset.manifest.clips
    why = next(iter(loader.skipped.values()), "")
    raise ViddaError(
        f"none of {len(clips)} clips to predict can be read, first {clips[0].id!r}: {why};"
        " on_error=skip skips all of them"
    )
