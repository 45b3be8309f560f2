"""What the networks of control share: the device they run on, and weights that are only tensors."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from vidda.errors import ViddaError

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch


def torch_device(name: str, key: str) -> "torch.device":
    """A device by name, `auto` for the current GPU if there is one.

    key: of the config, for the message. Raises ViddaError when this machine has no such device.
    """
    import torch

    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        # With its number: another thread may have another current one.
        return torch.device("cuda", torch.cuda.current_device())
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ViddaError(
            f"{key} {name!r} is not on this machine ({reason}); {key}=cpu is"
        ) from None
    return device


def fill(model: "torch.nn.Module", path: Path, key: str) -> None:
    """Load every weight of a model from a .safetensors file or a state_dict that torch has saved.

    A state_dict may stand under the key `state_dict`. key: of the config, for messages. Raises
    ViddaError when the file holds anything but tensors, or not those of this model.
    """
    state = _read(path, key)
    # A model may rename what older versions of it have saved, so it is asked what does not fit.
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = [line.strip().rstrip(".") for line in str(error).splitlines()[1:]]
        problems = [f"{len(lines)} of another shape ({lines[0]})"]
    else:
        # Counters of batches are absent from old files, and without effect.
        absent = [name for name in result.missing_keys if not name.endswith("batches_tracked")]
        parts = {"missing": absent, "left over": result.unexpected_keys}
        problems = [f"{len(n)} {what} (first {n[0]})" for what, n in parts.items() if n]
    if problems:
        raise ViddaError(
            f"{path}: not the weights of this model: {', '.join(problems)}; name the file that"
            f" belongs to it with {key}"
        )


def _read(path: Path, key: str) -> "dict[str, torch.Tensor]":
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
            f"{path}: more than plain tensors, or damaged ({reason}); where you trust it, save"
            " torch.load(FILE, weights_only=False)['state_dict'] alone and name that file"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(map(torch.is_tensor, content.values())):
        raise ViddaError(f"{path}: holds no state_dict; save the model's state_dict alone")
    return content
