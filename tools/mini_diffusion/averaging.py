"""The exponential moving average of weights, which gives better samples than the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class Average:
    """An exponential moving average of parameters over the steps (Polyak and Juditsky 1992).

    decay: share of the average that a step keeps; 0: the parameters themselves. It is lower at the
    start, so that the random initial weights are forgotten. values: the averages, by name.
    """

    def __init__(self, learned: Mapping[str, torch.nn.Parameter], decay: float) -> None:
        self._learned = learned
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in learned.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the parameters after a step, counted from 1, in the average."""
        share = 1.0 - min(self._decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self._learned.values()), share)

    @torch.no_grad()
    def restore(self, values: Mapping[str, torch.Tensor]) -> None:
        """Set the averages to saved values."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Return a context in which the parameters are replaced by their averages."""
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
