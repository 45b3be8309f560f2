"""Run trials: one after the other, or side by side by Ray; both as `vidda run` does a stage."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vidda.errors import ViddaError
from vidda.experiment.job_progress import showing
from vidda.experiment.process import ProcessUsage, last_line
from vidda.experiment.stage import Stage
from vidda.experiment.stage_session import Ended, session
from vidda.sweep.sweep_config import RayExecutor

NOT_RUN = ProcessUsage(2, 0.0, 0.0, 0.0)

Say = Callable[[int], str]
"""Where the sweep stands, told by how many of the given trials have ended."""


def attempt(stage: Stage, out: Path, watching: Callable[[], None] = lambda: None) -> Ended:
    """Return a session of a trial, which may not even have what it needs to begin with."""
    try:
        return session(stage, out, watching)
    except ViddaError as error:
        return Ended(NOT_RUN, "; ".join(str(error).splitlines()))


def one_by_one(stages: Sequence[Stage], out: Path, say: Say) -> Iterator[tuple[Stage, Ended]]:
    """Yield each trial as it ends."""
    for number, stage in enumerate(stages):
        log = stage.log(out)
        before = log.stat().st_size if log.exists() else 0

        def line(log: Path = log, before: int = before) -> str:
            return last_line(log, before)

        text = f"{say(number)}, {stage.name}"
        with showing(lambda text=text: text, line) as passing:  # type: ignore[misc]
            ended = attempt(stage, out, passing)
        yield stage, ended


def by_ray(
    config: RayExecutor, stages: Sequence[Stage], out: Path, say: Say
) -> Iterator[tuple[Stage, Ended]]:
    """Yield each trial as it ends, `workers` of them at once; raises ViddaError without Ray.

    Machines of a cluster must share the folders. A trial whose Ray worker dies has failed.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
    try:
        # Without a claim on CPUs none waits for one that never becomes free: workers says how many.
        remote = ray.remote(_there).options(num_cpus=0, num_gpus=config.gpus, max_retries=0)
        waiting, ended = list(stages), 0
        at_work: dict[Any, Stage] = {}
        with showing(lambda: f"{say(ended)}, {len(at_work)} at work", lambda: "") as passing:
            while waiting or at_work:
                while waiting and len(at_work) < config.workers:
                    stage = waiting.pop(0)
                    at_work[remote.remote(Path.cwd(), config.cpus, stage, out)] = stage
                done, _ = ray.wait(list(at_work), num_returns=1, timeout=0.25)
                passing()
                for one in done:
                    stage, ended = at_work.pop(one), ended + 1
                    yield stage, _result(ray, one)
    finally:
        if started:
            ray.shutdown()


def require_ray() -> None:
    """Raise ViddaError unless Ray is installed."""
    _ray()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports over the network
    try:
        import ray
    except ImportError:
        raise ViddaError(
            "parallel: Ray is not installed: pip install 'vidda[ray]', or take parallel.name=local"
        ) from None
    return ray


def _there(folder: Path, cpus: int, stage: Stage, out: Path) -> Ended:
    """Return a trial in a Ray worker. folder: from which the config's paths start."""
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = str(cpus)
    return attempt(stage, out)


def _result(ray: Any, one: Any) -> Ended:
    try:
        ended: Ended = ray.get(one)
    except ray.exceptions.RayError as error:
        return Ended(NOT_RUN, f"its Ray worker died: {str(error).partition(chr(10))[0]}")
    return ended
