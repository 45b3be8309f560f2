"""Regional compilation: the blocks that networks repeat are compiled, once for each shape."""

from collections.abc import Iterable

import torch
from torch import nn

BLOCKS = ("ResnetBlock2D", "Transformer2DModel")
"""Classes of the blocks that UNets and ControlNets of diffusers repeat."""
BACKEND = "inductor"
COMPILE_ERRORS = (torch._dynamo.exc.TorchDynamoException,)
"""Raised where blocks cannot be compiled, as on a machine without a compiler of C."""
MOST_GRAPHS = 256
"""Graphs that are compiled at most; further blocks run as they are. Stable Diffusion 1.5 has about
two dozen for each size of frames and of batches.
"""


def set_compiled(networks: Iterable[nn.Module], compiled: bool) -> None:
    """Compile the networks' repeated blocks, in place, or undo it.

    A block is compiled when it first runs, which may raise one of `COMPILE_ERRORS`; blocks of equal
    shapes share the result.
    """
    if compiled:
        limit = torch._dynamo.config.recompile_limit
        torch._dynamo.config.recompile_limit = max(MOST_GRAPHS, limit)
    for network in networks:
        for module in network.modules():
            if type(module).__name__ not in BLOCKS:
                continue
            if compiled:
                module.compile(backend=BACKEND, dynamic=False)
            else:
                module._compiled_call_impl = None
