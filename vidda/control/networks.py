"""What the networks of control share: the device they run on, and weights that are only tensors."""

from pathlib import Path
from typing import TYPE_CHECKING

from vidda.control.weight_file import read_state
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
    """Load every weight of a model from a file; see `read_state`.

    key: of the config, for messages. Raises ViddaError when the file holds anything but tensors, or
    not those of this model.
    """
    state = read_state(path, key)
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
