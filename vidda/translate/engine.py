"""Who does the work of a translation job: this process, several, or a Ray cluster.

Every engine gives the same files: what a group of clips becomes depends on nothing else.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.ray_engine import by_ray
from vidda.translate.remote import Remote, Said, report
from vidda.translate.shards import Group
from vidda.translate.translate_config import TranslateConfig
from vidda.translate.worker import Worker, WorkerResult, WorkerSetup
from vidda.workers import Spawning, belong

log = logging.getLogger("vidda")


def translate(setup: WorkerSetup, groups: Sequence[Group]) -> Iterator[list[WorkerResult]]:
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
    return by_ray(setup, groups)


def devices(config: TranslateConfig) -> list[str]:
    """Return the device of each worker process on this machine."""
    if config.device != "auto":
        return [config.device] * max(1, config.workers)
    gpus = torch.cuda.device_count()
    if gpus == 0:
        return ["cpu"] * max(1, config.workers)
    return [f"cuda:{number % gpus}" for number in range(config.workers or gpus)]


def _by_processes(setup: WorkerSetup, groups: Sequence[Group]) -> Iterator[list[WorkerResult]]:
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
                " --resume goes on; fewer workers, or fewer frames at once, need less"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_remote: Remote | None = None
"""This process's worker, where it is one of a pool."""


def _start(setup: WorkerSetup, names: Any, folder: Path, threads: int) -> None:
    global _remote
    belong()
    _remote = Remote(setup, names.get(), folder, threads)


def _process(group: Group) -> tuple[list[WorkerResult], list[Said]]:
    assert _remote is not None
    return _remote.process(group)
