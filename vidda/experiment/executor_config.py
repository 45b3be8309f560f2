"""Config of where the stages of a job run: children of this process, or the workers of Ray."""

from typing import Annotated, Literal

from pydantic import Field

from vidda.config import Config


class LocalExecutor(Config):
    """Execution by child processes on this machine."""

    name: Literal["local"] = "local"
    at_once: int = Field(
        default=1,
        ge=1,
        description="number of stages that run side by side, each with its share of the cores, and"
        " on one of the GPUs where there are several",
    )


class RayExecutor(Config):
    """Execution by the workers of Ray, whose machines must share the folders.

    It joins the cluster that RAY_ADDRESS names, or starts one on this machine.
    """

    name: Literal["ray"] = "ray"
    workers: int = Field(default=2, ge=1, description="number of stages at once")
    cpus: int = Field(
        default=1,
        ge=1,
        description="threads of each stage; another number may change results by rounding",
    )
    gpus: float = Field(
        default=0.0, ge=0, description="GPUs of each stage; below 1: a share of one GPU"
    )


ExecutorConfig = Annotated[LocalExecutor | RayExecutor, Field(discriminator="name")]
