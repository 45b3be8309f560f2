"""Checks of the machine: this package, its processor, memory, disk and CUDA devices."""

import os
import platform
import shutil

import vidda
from vidda.doctor.findings import MissingPart
from vidda.provenance import git_commit, version


def check_vidda() -> str:
    """Describe the versions of vidda and Python, and the commit.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    commit = git_commit()
    where = f", commit {commit[:12]}{'+changes' if '+' in commit else ''}" if commit else ""
    return f"{vidda.__version__}{where}, Python {platform.python_version()}"


def check_machine() -> str:
    """Describe the machine's cores, memory and platform.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{cores} cores, {memory / 2**30:.0f} GiB memory, {platform.platform(terse=True)}"


def check_disk() -> str:
    """Describe the free disk space in this folder; OSError below 2 GiB.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    free = shutil.disk_usage(".").free / 2**30
    if free < 2:
        raise OSError(f"{free:.1f} GiB free in this folder")
    return f"{free:.0f} GiB free in this folder"


def check_cpu() -> str:
    """Multiply matrices on the CPU in each precision.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    return f"torch {version('torch')}; {_precisions('cpu')}"


def check_cuda() -> str:
    """Multiply matrices on each CUDA device in each precision; MissingPart without a device.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import torch

    if not torch.cuda.is_available():
        raise MissingPart("torch finds no CUDA device")
    lines = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        memory = f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        lines.append(f"{index}: {name}, {memory}; {_precisions(f'cuda:{index}')}")
    return f"CUDA {torch.version.cuda}\n" + "\n".join(lines)


def _precisions(device: str) -> str:
    """Multiply two matrices on a device in each precision, and compare with float64 on the CPU."""
    import torch

    a, b = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = a @ b
    works: list[str] = []
    fails: list[str] = []
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        try:
            got = (a.to(device, dtype) @ b.to(device, dtype)).double().cpu()
        except RuntimeError:
            fails.append(name)
            continue
        close = (got - right).norm() < 0.02 * right.norm()
        (works if close else fails).append(name)
    if "fp32" in fails:
        raise ValueError(f"{device}: a matrix product is wrong in {', '.join(fails)}")
    return f"{', '.join(works)} right" + (f"; {', '.join(fails)} wrong" if fails else "")
