"""The list of checks: what each is called, whether vidda can do without it, and the remedy.

A check uses a part of the installation for real, at the smallest size. It returns a line about
what is there and raises when it does not work: `Missing` or ModuleNotFoundError where the part is
absent, anything else where it is broken. Libraries are imported inside the checks, because one that
cannot be imported must not take the others with it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vidda.doctor import machine, models, video

REINSTALL = "delete .venv and run tools/quickstart.sh again"


@dataclass(frozen=True, slots=True)
class Check:
    """A part, how to find out whether it works, whether it must, and what to do if it does not."""

    part: str
    function: Callable[[], str]
    required: bool = True
    remedy: str = REINSTALL


# The checks of a group share a process.
GROUPS = {
    "machine": (
        Check("vidda", machine.check_vidda),
        Check("machine", machine.check_machine),
        Check("disk", machine.check_disk, remedy="free some space"),
        Check("torch on the CPU", machine.check_cpu),
        Check(
            "CUDA",
            machine.check_cuda,
            required=False,
            remedy="everything runs on the CPU, slowly; with an NVIDIA GPU, update its driver",
        ),
    ),
    "video": (
        Check("PyAV", video.check_pyav),
        Check("decord", video.check_decord),
        Check("OpenCV", video.check_opencv),
        Check("other codecs", video.check_codecs, required=False),
        Check(
            "torchcodec",
            video.check_torchcodec,
            required=False,
            remedy="not needed; pip install '.[torchcodec]', and Debian's package ffmpeg",
        ),
    ),
    "models": (
        Check("torchvision", models.check_torchvision),
        Check("pytorchvideo", models.check_pytorchvideo),
        Check("timm", models.check_timm),
        Check("torchmetrics", models.check_torchmetrics),
        Check("safetensors", models.check_safetensors),
        Check("transformers", models.check_transformers),
        Check("diffusers", models.check_diffusers),
        Check("peft", models.check_peft),
        Check("accelerate", models.check_accelerate),
    ),
    "optional": (
        Check("mmpose", models.check_mmpose, required=False),
        Check("wandb", models.check_wandb, required=False),
        Check(
            "public weights",
            models.check_weights,
            required=False,
            remedy="or copy their folders here and name them",
        ),
    ),
}
