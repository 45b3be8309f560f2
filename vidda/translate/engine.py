"""Who does the work of a translation job: this process, several, or a Ray cluster.

Every engine gives the same files: what a group of clips becomes depends on nothing else.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.job_config import TranslateConfig
from vidda.translate.shards import Group
from vidda.translate.worker import Done, Setup, Worker
from vidda.workers import Spawning, belong

log = logging.getLogger("vidda")

Said = tuple[int, str]
"""The level and text of a line of log."""


def translate(setup: Setup, groups: Sequence[Group]) -> Iterator[list[Done]]:
    """Translate the groups with the engine of the config; yields each as it is done.

    Raises ViddaError when the engine is not installed, or a model cannot be loaded.
    """
    engine = setup.config.engine
    if not groups:
        return iter(())
    if engine == "local":
        return Worker(setup, setup.config.device).run(groups)
    if engine == "processes":
        return _by_processes(setup, groups)
    from vidda.translate.ray_engine import by_ray

    return by_ray(setup, groups)


def devices(config: TranslateConfig) -> list[str]:
    """The device of each worker process on this machine."""
    if config.device != "auto":
        return [config.device] * max(1, config.workers)
    gpus = torch.cuda.device_count()
    if gpus == 0:
        return ["cpu"] * max(1, config.workers)
    return [f"cuda:{number % gpus}" for number in range(config.workers or gpus)]


class Remote:
    """A worker in another process; what it logs comes back with its results.

    folder: the working folder, from which paths of the config start. threads: of torch; another
    number may round otherwise.
    """

    def __init__(self, setup: Setup, device: str, folder: Path, threads: int) -> None:
        os.chdir(folder)
        torch.set_num_threads(threads)
        self._setup, self._device = setup, device
        self._worker: Worker | None = None
        self._said = _Listening()
        log.setLevel(logging.INFO)
        log.addHandler(self._said)

    def process(self, group: Group) -> tuple[list[Done], list[Said]]:
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


def _by_processes(setup: Setup, groups: Sequence[Group]) -> Iterator[list[Done]]:
    context = Spawning()  # CUDA does not survive a fork
    names: Any = context.SimpleQueue()
    wanted = devices(setup.config)
    for name in wanted:
        names.put(name)
    given = (setup, names, Path.cwd(), torch.get_num_threads())
    with ProcessPoolExecutor(
        len(wanted), mp_context=context, initializer=_start, initargs=given
    ) as pool:
        pending = [pool.submit(_process, group) for group in groups]
        try:
            for future in as_completed(pending):
                done, said = future.result()
                report(said)
                yield done
        except BrokenProcessPool:
            raise ViddaError(
                "a worker process was killed, perhaps for lack of memory; the same command with"
                " --resume goes on; fewer workers or a smaller sampling.chunk need less"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_remote: Remote | None = None
"""This process's worker, where it is one of a pool."""


def _start(setup: Setup, names: Any, folder: Path, threads: int) -> None:
    global _remote
    belong()
    _remote = Remote(setup, names.get(), folder, threads)


def _process(group: Group) -> tuple[list[Done], list[Said]]:
    assert _remote is not None
    return _remote.process(group)
