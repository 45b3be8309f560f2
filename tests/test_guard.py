"""The guard around a command's process: errors as lines."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vidda.guard import guarded


def on_a_gpu() -> int:
    text = "CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has a total capacity of"
    raise torch.OutOfMemoryError(text)


def on_the_cpu() -> int:
    return len(torch.empty(2**55, dtype=torch.float32))


def in_numpy() -> int:
    return len(np.empty(2**58, dtype=np.float32))


def in_python() -> int:
    return len(bytearray(2**62))


@pytest.mark.parametrize("work", [on_a_gpu, on_the_cpu, in_numpy, in_python])
def test_too_little_memory_is_a_line_with_the_remedy(
    work: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(work) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory (") and "smaller batch_size" in line


def test_another_error_of_the_runtime_is_raised() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"):
        guarded(lambda: len(torch.zeros(2) + torch.zeros(3)))
