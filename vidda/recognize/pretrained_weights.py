"""Pre-trained weights, from a file or downloaded by a library; nothing is unpickled."""

import logging
import pickle
import sys
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.config import Config
from vidda.control.weight_file import extract_state_dict, read_state_dict
from vidda.errors import ViddaError

log = logging.getLogger("vidda")

StateDict = dict[str, torch.Tensor]
"""Tensors by the names of a state_dict."""


class FileWeights(Config):
    """A file of weights of the library's model, with the library's parameter names."""

    name: Literal["file"] = "file"
    path: Path = Field(
        description="file with the weights: .safetensors, or a state_dict saved by torch.save"
    )


class LibraryWeights(Config):
    """The library's default weights, downloaded into its cache when they are missing there."""

    name: Literal["library"] = "library"


PretrainedWeightsConfig = Annotated[FileWeights | LibraryWeights, Field(discriminator="name")]

Head = Annotated[
    Literal["new", "loaded"],
    Field(
        description="last layer: new, or loaded from the weights (needs the same number of classes)"
    ),
]


def check_head(head: Head, weights: object | None) -> None:
    """Raise ValueError, for a config's validation, when a head is to be loaded but there are no
    weights.
    """
    if head == "loaded" and weights is None:
        raise ValueError("head: loaded needs weights to load it from; set weights or head: new")


def read_weights(weights: FileWeights | LibraryWeights, url: str) -> tuple[str, StateDict]:
    """Return the source of the weights for messages, and every tensor by its name, on the CPU.

    url: of the library's file. Raises ViddaError when a file is missing or has no tensors, and when
    the library's is neither in the cache nor downloadable.
    """
    if isinstance(weights, FileWeights):
        return str(weights.path), read_state_dict(weights.path, "the model's weights.path")
    return url.rpartition("/")[2], _fetch(url)


def load_state(
    module: nn.Module, state: StateDict, source: str, ignore: tuple[str, ...] = ()
) -> None:
    """Load tensors into every parameter and buffer of a module.

    source: name of the weights for messages. ignore: prefixes of names in `state` that the module
    need not have. Raises ViddaError, one line, when a tensor is missing, unexpected or of another
    shape, or holds nan or inf.
    """
    own = module.state_dict()
    counters = "num_batches_tracked"  # absent in files older than it, and without effect
    missing = [name for name in own if name not in state and not name.endswith(counters)]
    rest = [name for name in state if name not in own and not name.startswith(ignore)]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    kinds = {"missing": missing, "unexpected": rest, "of another shape": shapes}
    problems = [f"{len(found)} {kind} (first {found[0]})" for kind, found in kinds.items() if found]
    if problems:
        raise ViddaError(
            f"{source}: not the weights of this model: {', '.join(problems)};"
            " name a file of the same architecture"
        )
    broken = [name for name in own if name in state and not bool(state[name].isfinite().all())]
    if broken:
        raise ViddaError(
            f"{source}: {len(broken)} of {len(own)} tensors hold nan or inf (first {broken[0]}):"
            " the training diverged, or the file is damaged; use another checkpoint"
        )
    module.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def _fetch(url: str) -> StateDict:
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if not (cache / url.rpartition("/")[2]).exists():
        log.info("downloading %s into %s", url, cache)
    try:
        content = torch.hub.load_state_dict_from_url(
            url,
            map_location="cpu",
            progress=sys.stderr.isatty(),
            check_hash=True,
            weights_only=True,
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ViddaError(
            f"{url} cannot be downloaded ({reason}) and is not in {cache}; on a machine without"
            " network copy the file there, or set weights.name=file weights.path=FILE"
        ) from None
    return extract_state_dict(content, url)
