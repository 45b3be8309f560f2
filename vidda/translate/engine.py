"""Engines of a translation job: this process, several processes, or a Ray cluster.

Every engine writes the same files, because the translation of a group of clips depends on nothing
else.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.ray_engine import translate_with_ray
from vidda.translate.remote_worker import LogLine, RemoteWorker, relay_log
from vidda.translate.shards import Group
from vidda.translate.translate_config import TranslateConfig
from vidda.translate.worker import Worker, WorkerResult, WorkerSetup
from vidda.workers import WorkerSpawnContext, end_with_parent

log = logging.getLogger("vidda")


def translate_groups(setup: WorkerSetup, groups: Sequence[Group]) -> Iterator[list[WorkerResult]]:
    """Translate the groups with the engine of the config; yield each group's results when it is
    done.

    Raises ViddaError when the engine is not installed, or a model cannot be loaded.
    """
    engine = setup.config.engine
    if not groups:
        return iter(())
    if engine == "local":
        return Worker(setup, setup.config.device).run(groups)
    if engine == "processes":
        return _translate_with_processes(setup, groups)
    return translate_with_ray(setup, groups)


def worker_devices(config: TranslateConfig) -> list[str]:
    """Return the name of the device of each worker process on this machine."""
    if config.device != "auto":
        return [config.device] * max(1, config.workers)
    gpus = torch.cuda.device_count()
    if gpus == 0:
        return ["cpu"] * max(1, config.workers)
    return [f"cuda:{number % gpus}" for number in range(config.workers or gpus)]


def _translate_with_processes(
    setup: WorkerSetup, groups: Sequence[Group]
) -> Iterator[list[WorkerResult]]:
    """Translate the groups with one worker process for each device; yield each group's results."""
    context = WorkerSpawnContext()  # CUDA does not survive a fork
    device_queue: Any = context.SimpleQueue()
    devices = worker_devices(setup.config)
    for name in devices:
        device_queue.put(name)
    share = replace(setup, pixels=setup.pixels // len(devices))
    arguments = (share, device_queue, Path.cwd(), torch.get_num_threads())
    with ProcessPoolExecutor(
        len(devices), mp_context=context, initializer=_start_worker, initargs=arguments
    ) as pool:
        pending = [pool.submit(_process_group, group) for group in groups]
        try:
            for future in as_completed(pending):
                done, lines = future.result()
                relay_log(lines)
                yield done
        except BrokenProcessPool:
            raise ViddaError(
                "a worker process was killed, perhaps for lack of memory; the same command with"
                " --resume continues; fewer workers, or fewer frames per chunk, need less"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_remote: RemoteWorker | None = None
"""The worker of this process, if the process is one of a pool."""


def _start_worker(setup: WorkerSetup, device_queue: Any, folder: Path, threads: int) -> None:
    """Set up this process as one worker of the pool."""
    global _remote
    end_with_parent()
    _remote = RemoteWorker(setup, device_queue.get(), folder, threads)


def _process_group(group: Group) -> tuple[list[WorkerResult], list[LogLine]]:
    """Translate a group with this process's worker."""
    assert _remote is not None
    return _remote.process(group)
