"""Load the weights of the networks for detection, pose and optical flow, which are plain
tensors.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from vidda.control.weight_file import read_state_dict
from vidda.errors import ViddaError

if TYPE_CHECKING:  # takes seconds to import, and a sidecar or ONNX needs none of it
    import torch


def load_network_weights(model: "torch.nn.Module", path: Path, key: str) -> None:
    """Load every weight of a model from a file, in place.

    path: a file that `read_state_dict` reads. key: config key of the file, for messages. Raises
    ViddaError when the file holds anything but tensors, or not exactly this model's weights.
    """
    state = read_state_dict(path, key)
    # Models rename keys of their older versions as they load, so the names are not compared here.
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = [line.strip().rstrip(".") for line in str(error).splitlines()[1:]]
        problems = [f"{len(lines)} of another shape ({lines[0]})"]
    else:
        # Counters of batches are absent from old files and have no effect in evaluation.
        absent = [name for name in result.missing_keys if not name.endswith("batches_tracked")]
        names = {"missing": absent, "unexpected": result.unexpected_keys}
        problems = [f"{len(n)} {what} (first {n[0]})" for what, n in names.items() if n]
    if problems:
        raise ViddaError(
            f"{path}: not the weights of this model: {', '.join(problems)}; name the right"
            f" file with {key}"
        )
