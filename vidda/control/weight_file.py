"""Files of weights, read as plain tensors and never by unpickling."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidda.errors import ViddaError

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch

KEYS = ("model_state", "state_dict", "model")
"""Under which a file may hold its state_dict, beside counters and the like."""


def read_state(path: Path, key: str) -> "dict[str, torch.Tensor]":
    """Return every tensor of a .safetensors file or of a state_dict that torch has saved, on the
    CPU.

    key: of the config, for messages. Raises ViddaError when the file is not there, is damaged, or
    holds anything but tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ViddaError(f"{path}: no such file of weights; correct {key}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise ViddaError(
            f"{path}: cannot be read as plain weights: more than plain tensors, or damaged"
            f" ({reason}); where you trust it, save torch.load(FILE, weights_only=False)"
            "['state_dict'] alone and name that file"
        ) from None
    return plain_state(content, str(path))


def plain_state(content: Any, source: str) -> "dict[str, torch.Tensor]":
    """Return the state_dict in what torch has loaded: itself, or under one of `KEYS`.

    source: what it was loaded from, for the message. Raises ViddaError when there is none.
    """
    import torch

    if isinstance(content, dict):
        held = [content[key] for key in KEYS if isinstance(content.get(key), dict)]
        state = held[0] if held else content
        if state and all(map(torch.is_tensor, state.values())):
            return dict(state)
    raise ViddaError(f"{source}: holds no state_dict; save the model's state_dict as .safetensors")
