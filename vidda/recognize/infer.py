"""Outputs of a recognizer, logits and features, for clips as in testing."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import nn

from vidda.data.loader import ClipLoader
from vidda.device import Precision, torch_dtype
from vidda.errors import ViddaError
from vidda.progress import meter
from vidda.recognize.recognizer import Output, Recognizer


class Outputs(NamedTuple):
    """A model's outputs for the clips of a manifest that can be read, in the manifest's order.

    ids: of N clips. number: (N,) int64 index of each clip in the manifest. logits: (N, K).
    features: (N, D), the input of the last layer. Both are float32 on the CPU.
    """

    ids: tuple[str, ...]
    number: torch.Tensor
    logits: torch.Tensor
    features: torch.Tensor


def infer(
    model: nn.Module,
    loader: ClipLoader,
    device: torch.device,
    precision: Precision,
    *,
    label: str | None = None,
) -> Outputs:
    """Return a model's outputs for every clip that the loader can read.

    Several views of a clip are averaged, see `infer_batch`. The model is set to evaluation mode.
    precision: of the forward pass. label: of the progress display; None shows none.
    """
    model.eval()
    clips = loader.dataset.manifest.clips
    found = []
    silent = nullcontext(lambda count: None)
    with silent if label is None else meter(label=label, total=len(clips), unit="clips") as advance:
        for inputs, _, number in loader.epoch(0):
            logits, features = infer_batch(model, inputs, device, precision)
            ids = tuple(clips[n].id for n in number.tolist())
            found.append(Outputs(ids, number.clone(), logits, features))
            advance(len(ids))
    return join_outputs(found)


@torch.no_grad()
def infer_batch(
    model: nn.Module, video: torch.Tensor, device: torch.device, precision: Precision
) -> Output:
    """Return logits (B, K) and features (B, D) of a batch of clips, float32 on the CPU.

    video: (B, C, T, H, W), or (B, V, C, T, H, W) with V views of each clip; of clips of another
    shape where the recognizer's `clip_dims` says so. Views are averaged: features as they are,
    logits as probabilities, of whose mean the logits are the logarithm.
    """
    # What is no recognizer takes stored states, of one view each.
    several = isinstance(model, Recognizer) and video.ndim == model.clip_dims + 2
    on_device = video.to(device, non_blocking=True)
    with torch.autocast(device.type, torch_dtype(precision), enabled=precision != "fp32"):
        out = model(rearrange(on_device, "b v ... -> (b v) ...") if several else on_device)
    logits, features = out.logits.float(), out.features.float()
    if several:
        views = video.shape[1]
        by_view = rearrange(logits.log_softmax(1), "(b v) k -> b v k", v=views)
        logits = by_view.logsumexp(1) - math.log(views)
        features = rearrange(features, "(b v) d -> b v d", v=views).mean(1)
    return Output(logits.cpu(), features.cpu())


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of batches, or of processes, together in the manifest's order."""
    readable = [part for part in parts if part.ids]
    if not readable:
        return Outputs((), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 0), torch.zeros(0, 0))
    ids = [clip_id for part in readable for clip_id in part.ids]
    number, logits, features = (
        torch.cat(tensors) for tensors in list(zip(*readable, strict=True))[1:]
    )
    order = number.argsort(stable=True)
    in_order = tuple(ids[n] for n in order.tolist())
    return Outputs(in_order, number[order], logits[order], features[order])


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
