"""Mean and variance of norm layers' outputs over clips, measured and stored."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.convnext import LayerNorm2d

from vidda.adapt.losses.feature_statistics import clip_statistics
from vidda.errors import ViddaError
from vidda.files import atomic

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
WEIGHTS_KEY = "model"
"""Metadata key of a statistics file: the digest of the weights that they were measured with."""


class NormStatistics(NamedTuple):
    """The mean and the variance of each channel of a layer, (C,) each."""

    mean: torch.Tensor
    variance: torch.Tensor


class StatisticsTally:
    """Running sums of each layer's statistics over all clips that have passed, in the layers'
    order.

    A layer whose output has one position per clip, as after pooling, is left out: its variance
    within a clip would be 0.
    """

    def __init__(self) -> None:
        self._sums: dict[str, NormStatistics] = {}
        self._clips: dict[str, int] = {}

    def add(self, layer: str, output: torch.Tensor, clips: int, channels: int) -> None:
        """Add the statistics of a layer's output; one of fewer than 3 dimensions is ignored.

        layer: its name. output: (clips x n, ...), with the n rows of a clip one after another.
        clips: their number. channels: the dimension of `output` with the channels.
        """
        if output.ndim < 3:
            return
        # A copy, because a ReLU in place may come next.
        mean, variance = clip_statistics(output.to(torch.float32, copy=True), clips, channels)
        sums = NormStatistics(mean.sum(0), variance.sum(0))
        if layer in self._sums:
            old = self._sums[layer]
            sums = NormStatistics(old.mean + sums.mean, old.variance + sums.variance)
        self._sums[layer] = sums
        self._clips[layer] = self._clips.get(layer, 0) + clips

    def averages(self) -> dict[str, NormStatistics]:
        """Return the statistics averaged over clips; a variance is that within a clip."""
        return {
            layer: NormStatistics(
                sums.mean / self._clips[layer], sums.variance / self._clips[layer]
            )
            for layer, sums in self._sums.items()
        }


def norm_layers(model: nn.Module) -> list[str]:
    """Return the names of the norm layers, from the input on."""
    return [name for name, module in model.named_modules() if isinstance(module, NORMS)]


@contextmanager
def tally_statistics(
    model: nn.Module, layers: list[str], views: int = 1
) -> Iterator[StatisticsTally]:
    """Yield the statistics of these layers' outputs in all forward passes inside the context.

    layers: names of submodules. views: how many consecutive rows of a batch are one clip.
    """
    tally, batch = StatisticsTally(), [0]

    def count_clips(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        batch[0] = len(inputs[0]) // views

    with ExitStack() as hooks:
        hooks.callback(model.register_forward_pre_hook(count_clips).remove)
        for layer in layers:
            module = model.get_submodule(layer)

            def add_output(
                module: nn.Module, inputs: Any, output: torch.Tensor, layer: str = layer
            ) -> None:
                tally.add(layer, output, batch[0], _channels(module))

            hooks.callback(module.register_forward_hook(add_output).remove)
        yield tally


def _channels(norm: nn.Module) -> int:
    return -1 if isinstance(norm, nn.LayerNorm) and not isinstance(norm, LayerNorm2d) else 1


def weights_digest(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers in hex, the same on every device."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_statistics(path: Path, statistics: dict[str, NormStatistics], model: str) -> None:
    """Write statistics atomically as safetensors.

    statistics: by layer. model: digest of the weights that they were measured with, see
    `weights_digest`.
    """
    tensors = {
        f"{layer}.{part}": value.detach().cpu().contiguous()
        for layer, both in statistics.items()
        for part, value in both._asdict().items()
    }
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={WEIGHTS_KEY: model})


def load_statistics(path: Path, model: str, layers: list[str]) -> dict[str, NormStatistics]:
    """Return the statistics that `save_statistics` wrote, by layer.

    model: digest of the weights that they must belong to. layers: all layers that may be in the
    file, in the order of the result. Raises ViddaError when the file is missing, damaged or of
    other weights.
    """
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get(WEIGHTS_KEY) != model:
                raise ViddaError(
                    f"{path}: statistics of other weights than those of start; remove"
                    " method.statistics to have them computed"
                )
            return {
                layer: NormStatistics(
                    file.get_tensor(f"{layer}.mean"), file.get_tensor(f"{layer}.variance")
                )
                for layer in layers
                if f"{layer}.mean" in file.keys()  # noqa: SIM118
            }
    except (SafetensorError, OSError) as error:
        raise ViddaError(
            f"{path}: not a statistics file ({error}); remove method.statistics to have them"
            " computed"
        ) from None


@contextmanager
def without_running_updates(model: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their running statistics inside the context.

    In training mode they still normalize by the batch.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
