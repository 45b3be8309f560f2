"""The number of frames computed at once, halved when memory runs out."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from vidda.errors import ViddaError

log = logging.getLogger("vidda")

T = TypeVar("T")


class Fitting:
    """A number of frames at once that fits into memory, found by trying.

    size: the number to try first. key: its config key, for messages.
    """

    def __init__(self, size: int, key: str) -> None:
        self.size = size
        self._key = key

    def run(self, work: Callable[[int], T]) -> T:
        """Return work(size), halving the size after each torch.OutOfMemoryError.

        Raises ViddaError when not even one frame fits.
        """
        while True:
            try:
                return work(self.size)
            except torch.OutOfMemoryError as error:
                reason = str(error).partition(". ")[0]
            # After the except block, because the traceback holds the tensors to be freed.
            self._halve(reason)

    def _halve(self, reason: str) -> None:
        if self.size == 1:
            raise ViddaError(
                f"not enough memory for one frame at a time ({reason}); take smaller frames,"
                " bf16, fewer anchors or a larger device"
            )
        self.size //= 2
        log.warning("out of memory: continuing with %s=%d", self._key, self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
