"""Predictions of a recognizer on the clips of a manifest."""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from vidda.data.loader import ClipLoader
from vidda.device import Precision, torch_dtype
from vidda.errors import ViddaError
from vidda.progress import meter
from vidda.types import Predictions


def predict(
    model: nn.Module,
    loader: ClipLoader,
    device: torch.device,
    precision: Precision,
    *,
    label: str | None = None,
) -> Predictions:
    """Return logits of every clip that the loader can read, in the manifest's order, without
    labels.

    Several views of one clip are averaged, see `clip_logits`. The model is set to evaluation mode.
    label: of the progress display; None shows none.
    """
    model.eval()
    numbers, logits = [], []
    clips = loader.dataset.manifest.clips
    silent = nullcontext(lambda count: None)
    with silent if label is None else meter(label=label, total=len(clips), unit="clips") as advance:
        for batch in loader.epoch(0):
            numbers.append(batch.number.numpy())
            logits.append(clip_logits(model, batch.video, device, precision))
            advance(len(batch.number))
    if not numbers:
        return Predictions((), np.zeros((0, 0), np.float32))
    order = np.argsort(np.concatenate(numbers), kind="stable")
    ids = tuple(clips[number].id for number in np.concatenate(numbers)[order])
    return Predictions(ids, np.concatenate(logits)[order])


def require_finite(answers: np.ndarray, clips: Sequence[str], model: str) -> None:
    """Raise ViddaError unless all predictions of a model are finite.

    answers: (N, K) logits or probabilities. clips: N ids. model: its name in the message.
    """
    bad = np.flatnonzero(~np.isfinite(answers).all(1))
    if len(bad):
        raise ViddaError(
            f"{model}: its predictions for {len(bad)} of {len(answers)} clips are nan or inf, first"
            f" for {clips[bad[0]]!r}; try precision=fp32, or another checkpoint"
        )


@torch.inference_mode()
def clip_logits(
    model: nn.Module, video: torch.Tensor, device: torch.device, precision: Precision
) -> np.ndarray:
    """Return logits (B, K) float32 of clips (B, C, T, H, W), or of clips in V views (B, V, C, T, H,
    W).

    Views are averaged as probabilities; the logits are then the logarithm of that mean.
    """
    several = video.ndim == 6
    on_device = video.to(device, non_blocking=True)
    with torch.autocast(device.type, torch_dtype(precision), enabled=precision != "fp32"):
        logits = model(on_device.flatten(0, 1) if several else on_device).logits.float()
    if several:
        views = video.shape[1]
        by_view = logits.log_softmax(1).unflatten(0, (-1, views))
        logits = by_view.logsumexp(1) - math.log(views)
    return logits.cpu().numpy()
