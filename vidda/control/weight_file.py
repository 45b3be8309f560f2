"""Weight files, read as plain tensors and never unpickled."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidda.errors import ViddaError

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch

STATE_DICT_KEYS = ("model_state", "state_dict", "model")
"""Keys under which a checkpoint may hold its state_dict, beside counters and the like."""


def read_state_dict(path: Path, key: str) -> "dict[str, torch.Tensor]":
    """Return every tensor of a .safetensors file or of a state_dict that torch saved, on the CPU.

    key: config key of the path, for messages. Raises ViddaError when the file does not exist, is
    damaged, or holds anything but tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ViddaError(f"{path}: no such file; correct {key}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise ViddaError(
            f"{path}: cannot be read as plain weights: more than plain tensors, or damaged"
            f" ({reason}); if you trust it, save torch.load(FILE, weights_only=False)"
            "['state_dict'] alone and name that file"
        ) from None
    return extract_state_dict(content, str(path))


def extract_state_dict(content: Any, source: str) -> "dict[str, torch.Tensor]":
    """Return the state_dict in an object that torch loaded: itself, or under one of
    `STATE_DICT_KEYS`.

    source: name of the file, for the message. Raises ViddaError when there is none.
    """
    import torch

    if isinstance(content, dict):
        nested = [content[key] for key in STATE_DICT_KEYS if isinstance(content.get(key), dict)]
        state = nested[0] if nested else content
        if state and all(map(torch.is_tensor, state.values())):
            return dict(state)
    raise ViddaError(f"{source}: holds no state_dict; save the model's state_dict as .safetensors")
