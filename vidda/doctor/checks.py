"""The list of checks: the name of each part, whether vidda requires it, and the remedy.

A check uses a part of the installation at the smallest size. It returns a line that describes the
part, and raises if it does not work: `MissingPart` or ModuleNotFoundError if it is missing, any
other exception if it is broken. Libraries are imported inside the checks, because one that cannot
be imported must not stop the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vidda.doctor import machine_checks, model_checks, video_checks

REINSTALL = "delete .venv and run tools/quickstart.sh again"


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one part of the installation.

    function: returns a detail, or raises. required: whether vidda needs the part. remedy: printed
    if it does not work.
    """

    part: str
    function: Callable[[], str]
    required: bool = True
    remedy: str = REINSTALL


# The checks of a group share a process.
GROUPS = {
    "machine": (
        Check("vidda", machine_checks.check_vidda),
        Check("machine", machine_checks.check_machine),
        Check("disk", machine_checks.check_disk, remedy="free some space"),
        Check("torch on the CPU", machine_checks.check_cpu),
        Check(
            "CUDA",
            machine_checks.check_cuda,
            required=False,
            remedy="all commands run on the CPU, slowly; with an NVIDIA GPU, update its driver",
        ),
    ),
    "video": (
        Check("PyAV", video_checks.check_pyav),
        Check("decord", video_checks.check_decord),
        Check("OpenCV", video_checks.check_opencv),
        Check("other codecs", video_checks.check_codecs, required=False),
        Check(
            "torchcodec",
            video_checks.check_torchcodec,
            required=False,
            remedy="not needed; pip install '.[torchcodec]', and Debian's package ffmpeg",
        ),
    ),
    "models": (
        Check("torchvision", model_checks.check_torchvision),
        Check("pytorchvideo", model_checks.check_pytorchvideo),
        Check("timm", model_checks.check_timm),
        Check("einops", model_checks.check_einops),
        Check("safetensors", model_checks.check_safetensors),
        Check("transformers", model_checks.check_transformers),
        Check("diffusers", model_checks.check_diffusers),
        Check("peft", model_checks.check_peft),
        Check("accelerate", model_checks.check_accelerate),
    ),
    "optional": (
        Check("mmpose", model_checks.check_mmpose, required=False),
        Check(
            "wandb",
            model_checks.check_wandb,
            required=False,
            remedy="only wandb=offline and wandb=online need it",
        ),
        Check(
            "public weights",
            model_checks.check_weights,
            required=False,
            remedy="or copy their folders to this machine and name them in the config",
        ),
    ),
}
