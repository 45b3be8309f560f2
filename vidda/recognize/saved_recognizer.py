"""A trained recognizer on disk: `model.safetensors`, and `model.yaml` that describes it."""

from pathlib import Path

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from vidda.config import Config, dump, load
from vidda.data.frame_sampling import FrameSamplingConfig
from vidda.data.transforms import TransformConfig
from vidda.errors import ViddaError
from vidda.files import atomic, write_text
from vidda.recognize.pretrained_weights import load_state
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.recognizers import ModelConfig

WEIGHTS = "model.safetensors"
CARD = "model.yaml"


class ModelCard(Config):
    """The description of a checkpoint: its architecture, classes, and how clips are prepared for
    it.
    """

    model: ModelConfig = Field(description="the architecture")
    classes: tuple[str, ...] = Field(description="names of the classes, in the order of the logits")
    sampling: FrameSamplingConfig = Field(description="how frames of a clip are sampled in testing")
    transform: TransformConfig = Field(description="transform of the sampled frames in testing")


def save_model(folder: Path, card: ModelCard, model: nn.Module) -> None:
    """Write a recognizer's weights and card into an existing folder."""
    save_weights(folder / WEIGHTS, model)
    write_text(folder / CARD, dump(card))


def save_weights(path: Path, model: nn.Module) -> None:
    """Write every parameter and buffer of a module as safetensors, atomically."""
    tensors = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary)


def load_card(path: Path) -> tuple[Path, ModelCard]:
    """Return the folder of a recognizer, and its card.

    path: a checkpoint's folder, or a run's, which means its `best` checkpoint (on the source's
    validation clips) or else its `last`. Raises ViddaError when there is none.
    """
    for folder in (path, path / "checkpoints" / "best", path / "checkpoints" / "last"):
        if (folder / CARD).is_file() and (folder / WEIGHTS).is_file():
            return folder, load(ModelCard, folder / CARD)
    raise ViddaError(
        f"{path}: no trained recognizer; name a run of vidda train or one of its checkpoints, with"
        f" {WEIGHTS} and {CARD}"
    )


def load_model(path: Path) -> tuple[Recognizer, ModelCard]:
    """Return a trained recognizer on the CPU, in evaluation mode, and its card.

    path: see `load_card`. Raises ViddaError when there is none or its weights are damaged.
    """
    folder, card = load_card(path)
    model = card.model.build(len(card.classes))
    try:
        state = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        damaged = f"{folder / WEIGHTS}: damaged ({error})"
        raise ViddaError(f"{damaged}; use another checkpoint") from None
    load_state(model, state, str(folder))
    return model.eval(), card
