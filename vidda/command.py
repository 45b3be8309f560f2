"""The commands by name, resolved only when one is called.

A command is a function `run(config, *, dry_run, resume) -> int` whose first parameter's annotation
is its config class.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """Where a command's function is, one line of help, and the config keys that may stand bare.

    A key that ends in `...` takes all bare arguments that are left, as a list.
    """

    target: str
    help: str
    positional: tuple[str, ...] = ()


COMMANDS = {
    "mini": Command(
        "vidda.mini.job:run", "render MiniRoCoG, the built-in dataset, into a folder", ("out",)
    ),
    "prepare": Command(
        "vidda.data.prepare:run", "turn videos and annotation lists into manifests and splits"
    ),
    "randomise": Command(
        "vidda.data.randomise:run",
        "replace backgrounds and clothes through masks: a manifest in, a manifest out",
        ("input", "out"),
    ),
    "control": Command(
        "vidda.control.job:run",
        "write and show what conditions a translation: edges, poses, optical flow",
        ("input", "out"),
    ),
    "caption": Command(
        "vidda.translate.caption_job:run",
        "describe target frames with BLIP, for the prompts of a translation",
    ),
    "personalize": Command(
        "vidda.translate.stable_diffusion.personalize.job:run",
        "adapt a diffusion model to unlabelled target frames",
    ),
    "translate": Command(
        "vidda.translate.job:run",
        "turn clips into real-looking ones: a manifest in, a manifest out",
        ("input", "out"),
    ),
    "camera": Command(
        "vidda.camera.job:run",
        "give clips the cameras of unlabelled target clips: a manifest in, a manifest out",
        ("input", "target", "out"),
    ),
    "train": Command("vidda.recognize.train:run", "train a recognizer on labelled manifests"),
    "adapt": Command(
        "vidda.adapt.job:run",
        "train a recognizer on labelled source clips and unlabelled target clips",
    ),
    "pretrain": Command(
        "vidda.recognize.pretrain:run", "pre-train VideoMAE on clips without labels"
    ),
    "evaluate": Command(
        "vidda.evaluate.job:run", "measure models or predictions, compare two, transfer tables"
    ),
    "run": Command("vidda.experiment.job:run", "the main job: from videos to a transfer report"),
    "sweep": Command(
        "vidda.sweep.job:run", "methods x seeds x tasks, and a search over keys, in one table"
    ),
    "report": Command(
        "vidda.report.job:run", "a web page of runs, and tables for papers", ("runs...",)
    ),
    "predict": Command(
        "vidda.recognize.predict_job:run",
        "what a model sees in a video, a folder of videos or a manifest",
        ("model", "input"),
    ),
    "export": Command(
        "vidda.recognize.export:run",
        "write a model as ONNX, for machines without PyTorch",
        ("model", "format"),
    ),
    "doctor": Command("vidda.doctor:run", "check this installation by using each part of it"),
}


def resolve(name: str) -> tuple[Callable[..., int], Any]:
    """Return a command's function and its config class, importing what they need."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    function: Callable[..., int] = getattr(importlib.import_module(module), attribute)
    first = next(iter(inspect.signature(function, eval_str=True).parameters.values()))
    return function, first.annotation


def schema_of(name: str) -> Any:
    """Return a command's config class."""
    return resolve(name)[1]
