"""The exponential moving average of weights, which samples better than the last ones do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class Average:
    """An average of parameters over the steps (Polyak and Juditsky 1992).

    decay: how much of it stays in a step, 0 follows the parameters; at the start it is lower, so
    that the random beginning is forgotten.
    """

    def __init__(self, learned: Mapping[str, torch.nn.Parameter], decay: float) -> None:
        self._learned = learned
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in learned.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the parameters after a step, counted from 1, in."""
        share = 1.0 - min(self._decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self._learned.values()), share)

    @torch.no_grad()
    def restore(self, values: Mapping[str, torch.Tensor]) -> None:
        """Go on from saved values."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the parameters are the average."""
        kept = {name: value.detach().clone() for name, value in self._learned.items()}
        self._set(self.values)
        try:
            yield
        finally:
            self._set(kept)

    @torch.no_grad()
    def _set(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, parameter in self._learned.items():
            parameter.copy_(values[name])
