"""What the models of torchvision and pytorchvideo share: a library's trunk and our last layer."""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from vidda.errors import ViddaError
from vidda.recognize.pretrained_weights import (
    FileWeights,
    Head,
    LibraryWeights,
    State,
    load_state,
    read_weights,
)
from vidda.recognize.recognizer import Recognizer

log = logging.getLogger("vidda")


class ZooRecognizer(Recognizer):
    """A library's video model without its last layer, then dropout and a linear layer.

    trunk: gives (B, width) for (B, C, T, H, W). dropout: the library's own rate. stages: prefixes
    of the trunk's parameters, from the input on; a stage without any, a pooling, does not count.
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
    """Fill a zoo model from weights in the library's own names.

    url: the library's own file. last_layer: prefix of the names of the library's last layer.
    Raises ViddaError when the weights are another model's, or `head` is `loaded` and their last
    layer tells another number of classes apart.
    """
    source, state = read_weights(weights, url)
    last: State = {}
    trunk: State = {}
    for name, tensor in state.items():
        if name.startswith(last_layer):
            # S3D's last layer is a 1x1x1 convolution of what is averaged: a linear layer.
            last[name.rpartition(".")[2]] = tensor.flatten(1) if tensor.ndim > 1 else tensor
        else:
            trunk[name] = tensor
    load_state(model.trunk, trunk, source)
    if head == "new":
        log.info("%s: loaded without its last layer, a new one is started", source)
        return
    known = len(last.get("bias", ()))
    if known != model.classes:
        raise ViddaError(
            f"{source}: its last layer knows {known} classes, the data has {model.classes};"
            " head=new starts a new one"
        )
    load_state(model.classifier, last, source)
