"""The one place that turns a device's name into a torch device."""

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
