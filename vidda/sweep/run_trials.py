"""Trials run one after the other, or side by side by Ray, each as a stage of `vidda run`."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vidda.errors import ViddaError
from vidda.experiment.job_progress import show_progress
from vidda.experiment.process import ProcessUsage, last_line
from vidda.experiment.stage import Stage
from vidda.experiment.stage_session import StageEnd, run_stage
from vidda.sweep.sweep_config import RayExecutor

NOT_RUN = ProcessUsage(2, 0.0, 0.0, 0.0)

StatusText = Callable[[int], str]
"""Describes the progress of the sweep from the number of trials that have ended."""


def run_trial(stage: Stage, out: Path, poll: Callable[[], None] = lambda: None) -> StageEnd:
    """Run a trial to its end; one whose inputs are missing, as of a failed start, has failed.

    out: folder of the sweep. poll: see `run_stage`.
    """
    try:
        return run_stage(stage, out, poll)
    except ViddaError as error:
        return StageEnd(NOT_RUN, "; ".join(str(error).splitlines()))


def run_one_by_one(
    stages: Sequence[Stage], out: Path, status: StatusText
) -> Iterator[tuple[Stage, StageEnd]]:
    """Run trials one after the other and yield each as it ends. out: folder of the sweep."""
    for number, stage in enumerate(stages):
        log = stage.log_file(out)
        before = log.stat().st_size if log.exists() else 0

        def line(log: Path = log, before: int = before) -> str:
            return last_line(log, before)

        text = f"{status(number)}, {stage.name}"
        with show_progress(lambda text=text: text, line) as update:  # type: ignore[misc]
            ended = run_trial(stage, out, update)
        yield stage, ended


def run_by_ray(
    config: RayExecutor, stages: Sequence[Stage], out: Path, status: StatusText
) -> Iterator[tuple[Stage, StageEnd]]:
    """Run `workers` trials at once by Ray, and yield each as it ends; ViddaError without Ray.

    out: folder of the sweep. Machines of a cluster must share the folders. A trial whose Ray worker
    dies has failed.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
    try:
        # `workers` limits the trials; claimed CPUs that never become free would block them.
        remote = ray.remote(_run_in_worker).options(num_cpus=0, num_gpus=config.gpus, max_retries=0)
        waiting, ended = list(stages), 0
        running: dict[Any, Stage] = {}
        with show_progress(
            lambda: f"{status(ended)}, {len(running)} running", lambda: ""
        ) as update:
            while waiting or running:
                while waiting and len(running) < config.workers:
                    stage = waiting.pop(0)
                    running[remote.remote(Path.cwd(), config.cpus, stage, out)] = stage
                done, _ = ray.wait(list(running), num_returns=1, timeout=0.25)
                update()
                for one in done:
                    stage, ended = running.pop(one), ended + 1
                    yield stage, _result(ray, one)
    finally:
        if started:
            ray.shutdown()


def require_ray() -> None:
    """Raise ViddaError unless Ray is installed."""
    _ray()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray sends usage over the network
    try:
        import ray
    except ImportError:
        raise ViddaError(
            "parallel: Ray is not installed: pip install 'vidda[ray]', or use parallel.name=local"
        ) from None
    return ray


def _run_in_worker(folder: Path, cpus: int, stage: Stage, out: Path) -> StageEnd:
    """Run a trial in a Ray worker.

    folder: the working directory, to which the config's paths are relative. cpus: threads.
    """
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = str(cpus)
    return run_trial(stage, out)


def _result(ray: Any, one: Any) -> StageEnd:
    try:
        ended: StageEnd = ray.get(one)
    except ray.exceptions.RayError as error:
        return StageEnd(NOT_RUN, f"its Ray worker died: {str(error).partition(chr(10))[0]}")
    return ended
