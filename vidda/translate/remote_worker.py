"""A translation worker in another process, which returns its log lines with its results."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from vidda.translate.shards import Group
from vidda.translate.worker import Worker, WorkerResult, WorkerSetup

log = logging.getLogger("vidda")

LogLine = tuple[int, str]
"""Level and text of a log line."""


class RemoteWorker:
    """A worker in another process, which returns its log lines with its results.

    device: name of the device. folder: the working folder that paths of the config are relative to.
    threads: number of torch's threads; another number may round differently.
    """

    def __init__(self, setup: WorkerSetup, device: str, folder: Path, threads: int) -> None:
        os.chdir(folder)
        torch.set_num_threads(threads)
        self._setup, self._device = setup, device
        self._worker: Worker | None = None
        self._lines = _LogCollector()
        log.setLevel(logging.INFO)
        log.addHandler(self._lines)

    def process(self, group: Group) -> tuple[list[WorkerResult], list[LogLine]]:
        """Translate a group; return its results and log lines. The first call loads the models."""
        if self._worker is None:
            self._worker = Worker(self._setup, self._device)
        return self._worker.process(group), self._lines.take()


def relay_log(lines: Sequence[LogLine]) -> None:
    """Write another process's log lines into this one's log."""
    for level, text in lines:
        log.log(level, text)


class _LogCollector(logging.Handler):
    """A log handler that keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append((record.levelno, record.getMessage()))

    def take(self) -> list[LogLine]:
        """Return the lines since the last call."""
        lines, self._lines = self._lines, []
        return lines
