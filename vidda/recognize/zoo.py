"""The recognizers of torchvision and pytorchvideo: a library's trunk and a new last layer."""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from vidda.errors import ViddaError
from vidda.recognize.pretrained_weights import (
    FileWeights,
    Head,
    LibraryWeights,
    StateDict,
    load_state,
    read_weights,
)
from vidda.recognize.recognizer import Recognizer

log = logging.getLogger("vidda")


class ZooRecognizer(Recognizer):
    """A library's video model without its last layer, then dropout and a linear layer.

    trunk: from (B, C, T, H, W) to (B, width). dropout: the library's own rate. stages: prefixes of
    the trunk's parameters, from the input on; one without parameters, such as a pooling, is
    dropped.
    """

    def __init__(
        self, trunk: nn.Module, width: int, classes: int, dropout: float, stages: Sequence[str]
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, classes)
        named = [name for name, _ in trunk.named_parameters()]
        self.stages = tuple(
            f"trunk.{stage}" for stage in stages if any(name.startswith(stage) for name in named)
        )

    def features(self, video: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.trunk(video))


def load_zoo(
    model: ZooRecognizer,
    weights: FileWeights | LibraryWeights,
    head: Head,
    *,
    url: str,
    last_layer: str,
) -> None:
    """Load weights with the library's parameter names into a recognizer.

    head: "loaded" also loads the last layer. url: of the library's own file. last_layer: prefix of
    the names of the library's last layer. Raises ViddaError when the weights are of another model,
    or `head` is "loaded" and their last layer has another number of classes.
    """
    source, state = read_weights(weights, url)
    last: StateDict = {}
    trunk: StateDict = {}
    for name, tensor in state.items():
        if name.startswith(last_layer):
            # S3D's last layer is a 1x1x1 convolution of what is averaged: a linear layer.
            last[name.rpartition(".")[2]] = tensor.flatten(1) if tensor.ndim > 1 else tensor
        else:
            trunk[name] = tensor
    load_state(model.trunk, trunk, source)
    if head == "new":
        log.info("%s: loaded without its last layer; the head is new", source)
        return
    known = len(last.get("bias", ()))
    if known != model.classes:
        raise ViddaError(
            f"{source}: its last layer has {known} classes, but the data has {model.classes};"
            " set head=new for a new one"
        )
    load_state(model.classifier, last, source)
