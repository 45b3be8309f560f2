"""Freezing of parameters by their names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from vidda.errors import ViddaError


def freeze(model: nn.Module, patterns: Sequence[str]) -> int:
    """Freeze the parameters whose names match a pattern such as `trunk.*`; return the number of
    frozen values.

    patterns: as in fnmatch. Raises ViddaError when a pattern matches no parameter, and when none is
    left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    useless = [p for p in patterns if not any(fnmatchcase(name, p) for name in names)]
    if useless:
        raise ViddaError(
            f"freeze: {', '.join(useless)} matches no parameter; their names begin with"
            f" {', '.join(sorted({name.partition('.')[0] for name in names}))}"
        )
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ViddaError("freeze: no parameter is left to train; freeze fewer")
    return sum(p.numel() for p in model.parameters() if not p.requires_grad)


def set_training_mode(model: nn.Module) -> None:
    """Set a model to training mode, but frozen batch normalizations to evaluation mode.

    Else their running statistics would follow the training clips, and features that are said to be
    frozen would change.
    """
    model.train()
    for module in model.modules():
        weights = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and weights:
            module.train(any(weight.requires_grad for weight in weights))
