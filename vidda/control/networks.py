"""Weights of control's networks, which are only tensors."""

from pathlib import Path
from typing import TYPE_CHECKING

from vidda.control.weight_file import read_state
from vidda.errors import ViddaError

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch


def fill(model: "torch.nn.Module", path: Path, key: str) -> None:
    """Load every weight of a model from a file; see `read_state`.

    key: of the config, for messages. Raises ViddaError when the file holds anything but tensors, or
    not those of this model.
    """
    state = read_state(path, key)
    # A model may rename what older versions of it have saved, so it is asked what does not fit.
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = [line.strip().rstrip(".") for line in str(error).splitlines()[1:]]
        problems = [f"{len(lines)} of another shape ({lines[0]})"]
    else:
        # Counters of batches are absent from old files, and without effect.
        absent = [name for name in result.missing_keys if not name.endswith("batches_tracked")]
        parts = {"missing": absent, "left over": result.unexpected_keys}
        problems = [f"{len(n)} {what} (first {n[0]})" for what, n in parts.items() if n]
    if problems:
        raise ViddaError(
            f"{path}: not the weights of this model: {', '.join(problems)}; name the file that"
            f" belongs to it with {key}"
        )
