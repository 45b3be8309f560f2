"""Full precision inside a loss: under autocast its products would be rounded to 8 or 11 bits."""

import torch


def full_precision(tensor: torch.Tensor) -> torch.autocast:
    """Return a context on the tensor's device in which nothing is cast down."""
    return torch.autocast(tensor.device.type, enabled=False)
