"""Torch devices and types from the names that configs give them."""

from typing import TYPE_CHECKING, Literal

from vidda.errors import ViddaError

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch
    from accelerate import Accelerator

Precision = Literal["fp32", "bf16", "fp16"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]
"""A precision, or `auto`: see `choose_precision`."""


def torch_device(name: str, key: str) -> "torch.device":
    """Return the torch device of a name; `auto` is the current GPU, or the CPU if there is none.

    key: the config's key of the name, for the message. Raises ViddaError when this machine has no
    such device.
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


def torch_dtype(precision: Precision) -> "torch.dtype":
    """Return torch's floating-point type of a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def choose_precision(choice: PrecisionChoice, device: "torch.device") -> Precision:
    """Return the precision of a choice: for `auto` bf16 where the device computes in it, else fp32.

    On CPUs that only emulate bf16, networks take two to sixteen times as long in it as in fp32.
    """
    import torch

    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "fp32"


def open_accelerator(mixed_precision: str, *, cpu: bool) -> "Accelerator":
    """Return Accelerate's device, precision and processes.

    mixed_precision: no, bf16 or fp16. cpu: whether to leave a GPU alone.

    Accelerate keeps the first choice for the whole process and refuses another, as of a second
    training in a notebook; here the last choice counts.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if AcceleratorState._shared_state:
        state = AcceleratorState()
        device = "cpu" if cpu or not torch.cuda.is_available() else "cuda"
        kept = (state.mixed_precision, state.device.type)
        if state.num_processes == 1 and kept != (mixed_precision, device):
            AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(mixed_precision=mixed_precision, cpu=cpu)
