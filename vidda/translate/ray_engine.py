"""Translation by actors of a Ray cluster, which may span machines that share the folders."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vidda.errors import ViddaError
from vidda.translate.remote_worker import RemoteWorker, relay_log
from vidda.translate.shards import Group
from vidda.translate.worker import WorkerResult, WorkerSetup


def translate_with_ray(setup: WorkerSetup, groups: Sequence[Group]) -> Iterator[list[WorkerResult]]:
    """Translate groups with one actor for each GPU of the cluster; yield each group's results.

    Joins the cluster that RAY_ADDRESS names, else starts one on this machine. Raises ViddaError
    when Ray is not installed or an actor dies.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports over the network
    try:
        import ray
        from ray.exceptions import RayActorError, RayTaskError
        from ray.util import ActorPool
    except ImportError:
        raise ViddaError("engine ray: Ray is not installed: pip install 'vidda[ray]'") from None
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
    try:
        count, share = _actors(setup, int(ray.cluster_resources().get("GPU", 0)))
        setup = replace(setup, pixels=setup.pixels // count)
        # Actors request no CPUs, so that none waits for one that never becomes free.
        actor_class = ray.remote(RemoteWorker).options(num_cpus=0, num_gpus=share)
        arguments = (setup, setup.config.device, Path.cwd(), torch.get_num_threads())
        pool = ActorPool([actor_class.remote(*arguments) for _ in range(count)])
        waiting: Any = list(groups)
        for done, lines in pool.map_unordered(
            lambda actor, group: actor.process.remote(group), waiting
        ):
            relay_log(lines)
            yield done
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        reason = str(error).partition("\n")[0]
        raise ViddaError(
            f"engine ray: an actor died ({reason}); the same command with --resume continues"
        ) from None
    finally:
        if started:
            ray.shutdown()


def _actors(setup: WorkerSetup, gpus: int) -> tuple[int, float]:
    """Return the number of actors, and the share of a GPU that each one gets."""
    config = setup.config
    if gpus == 0 or config.device == "cpu":
        return max(1, config.workers), 0.0
    count = config.workers or gpus
    return count, 1.0 / math.ceil(count / gpus)
