"""The state of a training between two steps, without pickle: safetensors and JSON.

FOLDER/learned.safetensors    parameters, where a checkpoint holds only those that learn
FOLDER/optimizer.safetensors  the optimizer's tensors, <parameter>.<name>; its numbers as metadata
FOLDER/position.json          steps and epochs done, and the loss scale
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from vidda.errors import ViddaError
from vidda.files import write_text

LEARNED = "learned.safetensors"
OPTIMIZER = "optimizer.safetensors"
POSITION = "position.json"


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint's file by name; raises ViddaError where it is damaged."""
    try:
        return load_file(file)
    except (SafetensorError, FileNotFoundError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> ViddaError:
    return ViddaError(
        f"{file}: damaged ({error}); delete its folder, and --resume takes the previous checkpoint"
    )


def save_learned(folder: Path, learned: Mapping[str, torch.nn.Parameter]) -> None:
    """Write the parameters that learn, by name, to `learned.safetensors` in an existing folder."""
    tensors = {name: value.detach().contiguous().cpu() for name, value in learned.items()}
    save_file(tensors, folder / LEARNED)


@torch.no_grad()
def load_learned(folder: Path, learned: Mapping[str, torch.nn.Parameter]) -> None:
    """Restore the parameters that `save_learned` wrote, in place.

    learned: by name. Raises ViddaError where the file is damaged.
    """
    saved = read_tensors(folder / LEARNED)
    for name, parameter in learned.items():
        parameter.copy_(saved[name])


def save_state(
    folder: Path,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler | None,
    position: Mapping[str, Any],
) -> None:
    """Write an optimizer's moments, the loss scale and the position to an existing folder.

    Learning rates and parameter groups are not written: they come from the config. scaler: None
    where the loss is not scaled. position: how far the training is, as plain JSON values.
    """
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, str] = {}
    for name, value in _leaves(optimizer.state_dict()["state"]):
        if isinstance(value, torch.Tensor):
            tensors[name] = value.contiguous().cpu()
        else:
            numbers[name] = json.dumps(value)
    save_file(tensors, folder / OPTIMIZER, metadata=numbers)
    content = {**position, "scaler": scaler.state_dict() if scaler else {}}
    write_text(folder / POSITION, json.dumps(content, indent=1) + "\n")


def load_state(
    folder: Path, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None
) -> dict[str, Any]:
    """Restore what `save_state` wrote and return the position.

    optimizer, scaler: of the same parameters, changed in place. Raises ViddaError for a checkpoint
    of an older version, and for a damaged one.
    """
    if not (folder / POSITION).exists():
        raise ViddaError(
            f"{folder}: written by an older version of vidda; start again in another folder"
        )
    state: dict[Any, Any] = {}
    tensors = read_tensors(folder / OPTIMIZER)
    with safe_open(folder / OPTIMIZER, framework="pt") as opened:
        numbers = {name: json.loads(value) for name, value in (opened.metadata() or {}).items()}
    try:
        position: dict[str, Any] = json.loads((folder / POSITION).read_text(encoding="utf-8"))
        scale = position.pop("scaler")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise _damaged(folder / POSITION, error) from None
    for key, value in (tensors | numbers).items():
        number, *names, last = key.split(".")
        values = state.setdefault(int(number), {})
        for name in names:
            values = values.setdefault(name, {})
        values[last] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    if scaler is not None:
        scaler.load_state_dict(scale)
    return position


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested state by dotted name; 8-bit Adam nests mappings in its own."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
