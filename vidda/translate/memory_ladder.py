"""Ways to compute the same with less memory, taken one after the other when it runs out."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from vidda.errors import ViddaError

log = logging.getLogger("vidda")

T = TypeVar("T")
Rung = tuple[str, Callable[[], None]]
"""A text on a way to save memory, for the log, and the function that turns it on."""


class MemoryLadder:
    """Ways to save memory, in the order in which they are turned on; they stay on.

    rungs: they change the rounding of results at most. remedy: for the message when all are on and
    memory still runs out.
    """

    def __init__(self, rungs: Sequence[Rung], remedy: str) -> None:
        self._waiting = list(rungs)
        self._remedy = remedy

    def run(self, work: Callable[[], T]) -> T:
        """Return work(), again after each torch.OutOfMemoryError with the next way to save memory.

        Raises ViddaError when memory runs out with all of them.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                reason = str(error).partition(". ")[0]
            # After the except block, because the traceback holds the tensors to be freed.
            self._climb(reason)

    def _climb(self, reason: str) -> None:
        if not self._waiting:
            raise ViddaError(f"not enough memory ({reason}); {self._remedy}")
        text, turn_on = self._waiting.pop(0)
        log.warning("out of memory: continuing with %s", text)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        turn_on()
