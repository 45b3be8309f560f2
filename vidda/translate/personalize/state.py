"""The state of a run between two steps, without pickle: safetensors and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vidda.files import write_text

LEARNED = "learned.safetensors"
OPTIMIZER = "optimizer.safetensors"
REST = "state.json"


def save_state(
    folder: Path,
    learned: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    scaler: Mapping[str, Any],
) -> None:
    """Write what learns, the optimiser's moments and the loss scale into an existing folder."""
    save_file({name: _portable(value) for name, value in learned.items()}, folder / LEARNED)
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, float] = {}
    _flatten("", optimizer.state_dict()["state"], tensors, numbers)
    save_file(tensors, folder / OPTIMIZER)
    content = {"optimizer": numbers, "scaler": dict(scaler)}
    write_text(folder / REST, json.dumps(content, indent=1) + "\n")


def load_state(
    folder: Path,
    learned: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    """Restore what `save_state` wrote, in place; gives the loss scale's state."""
    saved = load_file(folder / LEARNED)
    with torch.no_grad():
        for name, parameter in learned.items():
            parameter.copy_(saved[name])
    content = json.loads((folder / REST).read_text(encoding="utf-8"))
    state: dict[Any, Any] = {}
    for key, value in (load_file(folder / OPTIMIZER) | content["optimizer"]).items():
        number, *names, last = key.split("/")
        place = state.setdefault(int(number), {})
        for name in names:
            place = place.setdefault(name, {})
        place[last] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    scaler: dict[str, Any] = content["scaler"]
    return scaler


def _flatten(
    prefix: str,
    tree: Mapping[Any, Any],
    tensors: dict[str, torch.Tensor],
    numbers: dict[str, float],
) -> None:
    """Sort the leaves of a nested state into tensors and numbers; 8-bit Adam has both, nested."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            _flatten(f"{name}/", value, tensors, numbers)
        elif isinstance(value, torch.Tensor):
            tensors[name] = _portable(value)
        else:
            numbers[name] = value


def _portable(value: torch.Tensor) -> torch.Tensor:
    return value.detach().contiguous().cpu()
