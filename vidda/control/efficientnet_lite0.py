"""EfficientNet-Lite0's ImageNet weights, from the names of TensorFlow's port to those of timm.

The weights are TensorFlow's own, so that timm's architecture for them is `tf_efficientnet_lite0`:
its padding, the epsilon of its normalization layers, and inputs of mean and deviation 0.5.
"""

import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vidda.control.weight_file import extract_state_dict

if TYPE_CHECKING:  # takes seconds to import
    import torch

REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Number of blocks in each stage (Tan and Le, ICML 2019, table 1)."""

WHOLE = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
    "_fc": "classifier",
}  # fmt: skip
FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2",
}  # fmt: skip
"""Parts of the first block, which does not expand its channels."""
OTHER_BLOCK = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip


def to_safetensors(content: bytes) -> bytes:
    """Return a checkpoint of torch as a safetensors file with timm's names.

    content: of a file whose SHA-256 was checked. Nothing but tensors is loaded from it.
    """
    import torch
    from safetensors.torch import save

    loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    state = extract_state_dict(loaded, "the checkpoint of efficientnet_lite0")
    return save(rename(state))


def rename(state: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Return the tensors of a state_dict under timm's names, without counters of batches.

    Raises KeyError for a name that is not EfficientNet-Lite0's.
    """
    places = list(_places(REPEATS))
    return {
        _name(key, places): tensor.contiguous()
        for key, tensor in state.items()
        if not key.endswith("num_batches_tracked")
    }


def _places(repeats: Iterable[int]) -> Iterable[str]:
    """Yield timm's prefix of each block, which counts within stages, in order."""
    for stage, count in enumerate(repeats):
        for block in range(count):
            yield f"blocks.{stage}.{block}"


def _name(key: str, places: list[str]) -> str:
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if found is None:
        layer, _, parameter = key.partition(".")
        return f"{WHOLE[layer]}.{parameter}"
    number, layer, parameter = int(found[1]), found[2], found[3]
    part = (OTHER_BLOCK if number else FIRST_BLOCK)[layer]
    return f"{places[number]}.{part}.{parameter}"
