"""Memory that a process shares with its workers, which may be too little."""

import torch

from vidda.errors import ViddaError


def share(tensor: torch.Tensor) -> torch.Tensor:
    """Move a tensor to memory that all processes see; ViddaError where there is too little."""
    try:
        return tensor.share_memory_()
    except RuntimeError as error:
        raise ViddaError(shortage_message(error)) from None


def shortage_message(error: RuntimeError) -> str:
    """What to do where torch found no room in shared memory."""
    return (
        f"too little shared memory ({error}): take workers=0 or a smaller batch_size, or give"
        " /dev/shm more room (docker run --shm-size=8g)"
    )
