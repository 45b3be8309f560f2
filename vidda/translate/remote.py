"""A translation's worker in another process, whose log comes back with its results."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from vidda.translate.shards import Group
from vidda.translate.worker import Worker, WorkerResult, WorkerSetup

log = logging.getLogger("vidda")

Said = tuple[int, str]
"""The level and text of a line of log."""


class Remote:
    """A worker in another process; what it logs comes back with its results.

    folder: the working folder, from which paths of the config start. threads: of torch; another
    number may round otherwise.
    """

    def __init__(self, setup: WorkerSetup, device: str, folder: Path, threads: int) -> None:
        os.chdir(folder)
        torch.set_num_threads(threads)
        self._setup, self._device = setup, device
        self._worker: Worker | None = None
        self._said = _Listening()
        log.setLevel(logging.INFO)
        log.addHandler(self._said)

    def process(self, group: Group) -> tuple[list[WorkerResult], list[Said]]:
        """Translate a group; the models are loaded when the first one comes."""
        if self._worker is None:
            self._worker = Worker(self._setup, self._device)
        return self._worker.process(group), self._said.taken()


def report(said: Sequence[Said]) -> None:
    """Write another process's lines into this one's log."""
    for level, text in said:
        log.log(level, text)


class _Listening(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Said] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append((record.levelno, record.getMessage()))

    def taken(self) -> list[Said]:
        """What was kept since the last time."""
        kept, self._kept = self._kept, []
        return kept
