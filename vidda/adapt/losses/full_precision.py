"""Full precision inside a loss: autocast would round its matrix products to 8 or 11 bits."""

import torch


def full_precision(tensor: torch.Tensor) -> torch.autocast:
    """Return a context that disables autocast on a tensor's device.

    tensor: any one on that device.
    """
    return torch.autocast(tensor.device.type, enabled=False)
