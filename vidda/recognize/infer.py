"""Features and logits of all clips of a manifest."""

import torch
from torch import nn

from vidda.data.loader import ClipLoader
from vidda.device import Precision, torch_dtype
from vidda.recognize.method import Outputs


@torch.no_grad()
def infer(
    model: nn.Module, loader: ClipLoader, device: torch.device, precision: Precision
) -> Outputs:
    """Return features and logits of every clip, in the manifest's order, in evaluation mode.

    Several views of a clip are averaged. The row of a clip that cannot be read, where the loader
    skips those, is all zeros. precision: of the forward pass; the outputs are float32.
    """
    model.eval()
    count = len(loader.dataset.manifest)
    found: Outputs | None = None
    for batch in loader.epoch(0):
        video = batch.video.to(device, non_blocking=True)
        views = video.unsqueeze(1) if video.ndim == 5 else video
        with torch.autocast(device.type, torch_dtype(precision), enabled=precision != "fp32"):
            out = model(views.flatten(0, 1))
        parts = [
            t.float().unflatten(0, views.shape[:2]).mean(1).cpu()
            for t in (out.features, out.logits)
        ]
        if found is None:
            found = Outputs(*(torch.zeros(count, part.shape[1]) for part in parts))
        for whole, part in zip(found, parts, strict=True):
            whole[batch.number] = part
    assert found is not None
    return found
