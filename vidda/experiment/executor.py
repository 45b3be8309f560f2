"""Executors: run stages side by side, by children of this process or by workers of Ray."""

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.experiment.executor_config import ExecutorConfig, LocalExecutor, RayExecutor
from vidda.experiment.process import POLL_S, TERMINATE_S, StageServer, run_vidda
from vidda.experiment.stage import Stage
from vidda.experiment.stage_session import StageEnd, run_stage


class _StoppedError(Exception):
    """Raised in the threads of running stages to end them."""


class Executor(ABC):
    """Runs stages in threads, each of which waits for its stage's process.

    at_once: number of stages that may run at the same time. out: folder of the job.
    """

    def __init__(self, at_once: int, out: Path) -> None:
        self.at_once = at_once
        self.out = out
        # Its threads live as long as it: Linux ends a child with the thread that started it.
        self._pool = ThreadPoolExecutor(at_once)
        self._stop = threading.Event()

    def start(self, stage: Stage) -> Future[StageEnd]:
        """Start a stage; the future has its end."""
        return self._pool.submit(self._run, stage)

    def close(self) -> None:
        """End the stages that are still running."""
        self._stop.set()
        self._pool.shutdown()

    @abstractmethod
    def _run(self, stage: Stage) -> StageEnd:
        """Run a stage to its end, in one of the threads."""

    def _poll(self) -> None:
        if self._stop.is_set():
            raise _StoppedError


class _LocalExecutor(Executor):
    """Runs stages in child processes, which share the cores and the GPUs of this machine."""

    def __init__(self, config: LocalExecutor, out: Path) -> None:
        super().__init__(config.at_once, out)
        self._servers: SimpleQueue[StageServer] = SimpleQueue()
        devices = _cuda_devices() if config.at_once > 1 else []
        for share in child_variables(config.at_once, _cores(), devices):
            self._servers.put(StageServer(share))

    def close(self) -> None:
        """End the stages that are still running, and the servers."""
        super().close()
        while not self._servers.empty():
            self._servers.get().close()

    def _run(self, stage: Stage) -> StageEnd:
        server = self._servers.get()
        try:
            return run_stage(stage, self.out, self._poll, server.run)
        finally:
            self._servers.put(server)


def child_variables(at_once: int, cores: int, devices: Sequence[str]) -> list[dict[str, str]]:
    """Return the environment variables of each of `at_once` children that run side by side.

    cores: of the machine, of which each child gets an equal share. devices: CUDA's names of the
    GPUs; of several, each child sees one. A single child gets all cores and GPUs.
    """
    if at_once == 1:
        return [{}]
    threads = {"OMP_NUM_THREADS": str(max(1, cores // at_once))}
    if len(devices) < 2:
        return [threads] * at_once
    return [
        {**threads, "CUDA_VISIBLE_DEVICES": devices[number % len(devices)]}
        for number in range(at_once)
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cuda_devices() -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, or else the numbers of all."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name.strip() for name in chosen.split(",") if name.strip()]


class _RayExecutor(Executor):
    """Runs stages in Ray workers; a stage whose worker dies has failed.

    Ray is started with the first stage.
    """

    def __init__(self, config: RayExecutor, out: Path) -> None:
        super().__init__(config.workers, out)
        self._config = config
        self._ray = _import_ray()
        self._started = False

    def start(self, stage: Stage) -> Future[StageEnd]:
        """Start a stage, and Ray with the first one; the future has its end."""
        if not self._ray.is_initialized():
            self._ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
            self._started = True
        return super().start(stage)

    def close(self) -> None:
        """End the stages that are still running, and Ray if it was started here."""
        super().close()
        if self._started:
            self._ray.shutdown()

    def _run(self, stage: Stage) -> StageEnd:
        ray = self._ray
        # `workers` limits the stages; claimed CPUs that never become free would block them. Without
        # a claim only the strategy brings them to other machines.
        remote = ray.remote(_run_in_worker).options(
            num_cpus=0,
            num_gpus=self._config.gpus,
            max_retries=0,
            scheduling_strategy="SPREAD",
        )
        one = remote.remote(Path.cwd(), self._config.cpus, stage, self.out)
        try:
            while not ray.wait([one], timeout=POLL_S)[0]:
                self._poll()
        except _StoppedError:
            ray.cancel(one)
            ray.wait([one], timeout=TERMINATE_S)
            raise
        try:
            ended: StageEnd = ray.get(one)
        except ray.exceptions.RayError as error:
            return StageEnd(None, f"its Ray worker died: {str(error).partition(chr(10))[0]}")
        return ended


def _run_in_worker(folder: Path, cpus: int, stage: Stage, out: Path) -> StageEnd:
    """Run a stage in a Ray worker.

    folder: the working directory, to which the config's paths are relative. cpus: threads.
    """
    os.chdir(folder)
    return run_stage(stage, out, run=partial(run_vidda, variables={"OMP_NUM_THREADS": str(cpus)}))


def require_executor(config: ExecutorConfig) -> None:
    """Raise ViddaError if what the executor needs is not installed."""
    if isinstance(config, RayExecutor):
        _import_ray()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray sends usage over the network
    try:
        import ray
    except ImportError:
        raise ViddaError(
            "executor: Ray is not installed: pip install 'vidda[ray]', or use executor.name=local"
        ) from None
    return ray


@contextmanager
def open_executor(config: ExecutorConfig, out: Path) -> Iterator[Executor]:
    """Yield an executor; stages that still run at the end are ended. out: folder of the job."""
    executor: Executor
    if isinstance(config, RayExecutor):
        executor = _RayExecutor(config, out)
    else:
        executor = _LocalExecutor(config, out)
    try:
        yield executor
    finally:
        executor.close()
