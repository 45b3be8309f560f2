"""A trained recognizer that predicts videos: of `vidda predict`, and to be called from Python."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from vidda.config import load as load_config
from vidda.data.choose_clips import find_clips
from vidda.device import Precision
from vidda.files import inside
from vidda.recognize.infer import infer, infer_batch, require_finite
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.timeline import Timeline, predict_windows
from vidda.types import ClipRecord, Manifest
from vidda.video import require_frames

Video = np.ndarray | Path | str
"""Frames (T, H, W, 3) uint8 RGB, or the path of a video, of a folder of videos or of a manifest."""


@dataclass(frozen=True, slots=True)
class ClipPredictions:
    """A recognizer's predictions for N clips.

    ids: of the clips. classes: K names, in the order of the columns. logits: (N, K) float32.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    logits: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """The probability of each class, (N, K) float64; rows sum to 1."""
        return softmax(self.logits.astype(np.float64), axis=1)

    @property
    def names(self) -> tuple[str, ...]:
        """The most probable class of each clip, N names."""
        return tuple(self.classes[label] for label in self.logits.argmax(1))

    def __len__(self) -> int:
        return len(self.ids)


class Predictor:
    """A trained recognizer on a device, with the way in which it takes clips.

    model: a run of vidda train or adapt, which means its `best` checkpoint or else its `last`; or a
    checkpoint's folder. settings: views of a clip, precision, device, batches. Raises ViddaError
    where there is no such model, it is damaged, or it cannot take such views.
    """

    def __init__(self, model: Path, settings: InferenceConfig) -> None:
        self.device = settings.torch_device()
        loaded, self.card = load_model(model)
        self._sampling = settings.sampling(self.card)
        self._transform = settings.transform(self.card)
        self._input = settings.clip_input(self.card)
        size = self._transform.size
        self.card.model.check_input(self._sampling.frames, size, size)
        self._model, self._settings = loaded.to(self.device), settings
        self._name = str(model)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, K, in the order of the logits."""
        return self.card.classes

    def predict(self, videos: Video | Sequence[Video]) -> ClipPredictions:
        """Return the predictions for videos, in order.

        videos: one or several; each is an array of frames, (T, H, W, 3) uint8 RGB of any size, with
        its number among them as id; or a path, whose clips have the ids that vidda predict prints.
        Raises VideoError for an array of another kind and a video that cannot be read, and
        ViddaError for predictions that are not finite.
        """
        several = [videos] if isinstance(videos, np.ndarray | Path | str) else videos
        found = [
            self._predict_frames(video, str(number))
            if isinstance(video, np.ndarray)
            else self.predict_clips(find_clips(Path(video)))
            for number, video in enumerate(several)
        ]
        ids = tuple(clip_id for one in found for clip_id in one.ids)
        logits = [np.zeros((0, len(self.classes)), np.float32), *(one.logits for one in found)]
        return ClipPredictions(ids, self.classes, np.concatenate(logits))

    def predict_clips(
        self,
        clips: Manifest,
        *,
        on_error: Literal["error", "skip"] = "error",
        label: str | None = None,
    ) -> ClipPredictions:
        """Return the predictions for a manifest's clips, in order.

        on_error: "error" raises VideoError at a clip that cannot be read; "skip" reports it on
        standard error and leaves it out. label: of the progress display; None shows none. Raises
        ViddaError for predictions that are not finite.
        """
        settings = self._settings
        loader = settings.loader(self.card, clips, on_error)
        found = infer(self._model, loader, self.device, settings.precision, label=label)
        logits = found.logits.numpy() if found.ids else np.zeros((0, len(self.classes)), np.float32)
        return self._checked(found.ids, logits)

    def predict_windows(self, clip: ClipRecord, root: Path, spans: np.ndarray) -> Timeline:
        """Return the predictions for windows of a video, and show the progress.

        clip, root: the video, and its manifest's root. spans: (W, 2) int64, first frame of each
        window and the one after its last; see `vidda.recognize.timeline.sliding_windows`. Raises
        VideoError where the video cannot be read.
        """
        settings = self._settings
        batch = max(1, settings.batch_size // settings.views(self.card))
        return predict_windows(
            self._model,
            inside(root, clip.path),
            spans,
            self._input.windows(clip, root, spans, self._sampling, self._transform),
            self.device,
            settings.precision,
            batch,
        )

    def _predict_frames(self, frames: np.ndarray, name: str) -> ClipPredictions:
        """Return the prediction for frames, which become inputs as a file's do.

        frames: (T, H, W, 3) uint8 RGB. name: the clip's id.
        """
        require_frames(frames, f"clip {name}")
        views = self._input.of_frames(frames, name, self._sampling, self._transform)
        video = views if len(views) == 1 else views[None]
        output = infer_batch(self._model, video, self.device, self._settings.precision)
        return self._checked((name,), output.logits.numpy())

    def _checked(self, ids: tuple[str, ...], logits: np.ndarray) -> ClipPredictions:
        require_finite(logits, ids, self._name)
        return ClipPredictions(ids, self.classes, logits)


def load(
    model: Path | str,
    *,
    device: str = "auto",
    precision: Precision = "fp32",
    clips: int | None = None,
    stride: int | None = None,
    crops: Literal[1, 3] | None = None,
    batch_size: int = 16,
    workers: int = 0,
    poses: Mapping[str, Any] | None = None,
) -> Predictor:
    """Load a trained recognizer.

    model: a run of vidda train or adapt, or one of its checkpoints' folders. device: cpu, cuda,
    cuda:1, ...; auto takes a GPU if there is one. precision: of the forward pass. clips, stride,
    crops: temporal windows over a clip, frames between those of a window, square crops; None for
    those the model was trained to be tested with. batch_size: views in a forward pass. workers:
    processes that decode videos; 0 decodes in this one, and more need the caller's script to be
    importable, as for torch's DataLoader. poses: keys of the source of the poses, for a recognizer
    of poses, such as `{"name": "sidecar"}`; None for the one it was trained to be tested with.

    Raises ViddaError, a line for each mistake, where there is no such model or device. Other models
    of the Hugging Face hub are no trained recognizers of one's own classes: they are what a
    training starts from (`model.start` of vidda train).
    """
    keys = {
        "device": device,
        "precision": precision,
        "clips": clips,
        "stride": stride,
        "crops": crops,
        "batch_size": batch_size,
        "workers": workers,
        "poses": poses,
    }
    settings = load_config(
        InferenceConfig, None, [f"{key}={json.dumps(value)}" for key, value in keys.items()]
    )
    return Predictor(Path(model), settings)
