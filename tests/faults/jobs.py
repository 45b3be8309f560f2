"""Small jobs of every command that can be resumed: `vidda COMMAND CONFIG`, and their input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.adapt.tiny_adapt import method, write_clips
from tests.experiment.jobs import job
from tests.tiny import BICONVLSTM, SIZES, train_config
from tests.tiny_diffusion import write_tiny
from tests.translate.personalizing import DREAMBOOTH
from tests.translate.target_clips import SIZE, content, write_target
from tests.translate.translations import settings, write_models, write_source
from vidda.cli import main

Argv = list[str]


def mini(place: Path, out: Path) -> Argv:
    return ["mini", str(out), "size=32", "frames=3", "syn_train=1", "syn_val=1", "real_train=1",
            "real_test=1", "jobs=1"]  # fmt: skip


def prepare(place: Path, out: Path) -> Argv:
    assert main(["mini", str(place / "tree"), *SIZES, "jobs=2"]) == 0
    settings = {"dataset": {"name": "rocog_v2"}, "root": str(place / "tree"), "out": str(out)}
    return _command("prepare", place, settings)


def randomize(place: Path, out: Path) -> Argv:
    source = write_source(place / "source")
    settings = {"input": str(source), "out": str(out), "copies": 2, "jobs": 1}
    return _command("randomize", place, settings)


def camera(place: Path, out: Path) -> Argv:
    settings = {
        "input": str(write_source(place / "source")),
        "target": str(write_target(place / "target")),
        "out": str(out),
        "jobs": 1,
    }
    return _command("camera", place, settings)


def translate(place: Path, out: Path) -> Argv:
    models, source = write_models(place / "models"), write_source(place / "source")
    return _command("translate", place, settings(models, source, out))


def personalize(place: Path, out: Path) -> Argv:
    base, target = write_tiny(place / "base", size=SIZE), write_target(place / "target")
    short = {**DREAMBOOTH, "steps": 6}
    often = {"save_every": 2, "sample_every": 3}
    return _command("personalize", place, content(base, target, out, short, **often))


def train(place: Path, out: Path) -> Argv:
    data = write_clips(place / "data")
    more = {"save_every": 1, "mixup": 0.4, "ema": 0.9, "watch": {"test": str(data / "target.csv")}}
    train = [str(data / "train.csv")]
    train_config(data, place / "config", train=train, batch_size=4, **more)
    return ["train", str(place / "config.yaml"), f"run={out}"]


def adapt(place: Path, out: Path) -> Argv:
    data = write_clips(place / "data")
    more = {
        "train": [str(data / "train.csv")],
        "target": str(data / "target.csv"),
        "method": method("dann"),
        "batch_size": 6,
        "target_batch_size": 5,
        "save_every": 1,
        "model": BICONVLSTM,
    }
    train_config(data, place / "config", **more)
    return ["adapt", str(place / "config.yaml"), f"run={out}"]


def whole_job(place: Path, out: Path) -> Argv:
    """`vidda run`: MiniRoCoG, prepared, one training, its evaluation and the report."""
    settings = job(out, arms={"source only": {"data": ["source"], "augment": False}})
    return _command("run", place, settings)


JOBS: dict[str, Callable[[Path, Path], Argv]] = {
    function.__name__: function
    for function in (mini, prepare, randomize, camera, translate, personalize, train, adapt)
}


def _command(name: str, place: Path, settings: dict[str, Any]) -> Argv:
    (place / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return [name, str(place / "config.yaml")]
