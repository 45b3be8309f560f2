"""The state of a training run between two steps, without pickle: safetensors and JSON."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vidda.files import write_text

OPTIMIZER = "optimizer.safetensors"
POSITION = "position.json"


def save_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Write an optimiser's moments; rates and groups come from the config again."""
    tensors = {
        f"{number}.{name}": value.contiguous().cpu()
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    save_file(tensors, folder / OPTIMIZER)


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Restore what `save_optimizer` wrote, into an optimiser of the same parameters."""
    content = optimizer.state_dict()
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / OPTIMIZER).items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**content, "state": state})


def save_position(folder: Path, position: dict[str, Any]) -> None:
    """Write counters, the best epoch so far and the loss scale."""
    write_text(folder / POSITION, json.dumps(position, indent=1) + "\n")


def load_position(folder: Path) -> dict[str, Any]:
    """What `save_position` wrote."""
    position: dict[str, Any] = json.loads((folder / POSITION).read_text(encoding="utf-8"))
    return position
