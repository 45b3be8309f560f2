"""Tensors in memory that a process shares with its workers."""

import torch

from vidda.errors import ViddaError


def share(tensor: torch.Tensor) -> torch.Tensor:
    """Move a tensor to shared memory, in place, and return it.

    Raises ViddaError where there is too little of it.
    """
    try:
        return tensor.share_memory_()
    except RuntimeError as error:
        raise ViddaError(shortage_message(error)) from None


def shortage_message(error: RuntimeError) -> str:
    """Return the message, with remedies, for torch's error that shared memory is full."""
    return (
        f"too little shared memory ({error}): take workers=0 or a smaller batch_size, or enlarge"
        " /dev/shm (docker run --shm-size=8g)"
    )
