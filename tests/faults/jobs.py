"""Small jobs of every command that can be resumed: `vidda COMMAND CONFIG`, and their input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.adapt.tiny_adapt import method, write_clips
from tests.experiment.jobs import job
from tests.gap.gap_clips import write_set
from tests.tiny import BICONVLSTM, SIZES, train_config
from tests.tiny_diffusion import write_tiny
from tests.translate.personalizing import DREAMBOOTH
from tests.translate.target_clips import SIZE, content, write_target
from tests.translate.translations import settings, write_models, write_source
from vidda.cli import main

Argv = list[str]


def mini(folder: Path, out: Path) -> Argv:
    return ["mini", str(out), "size=32", "frames=3", "syn_train=1", "syn_val=1", "real_train=1",
            "real_test=1", "jobs=1"]  # fmt: skip


def prepare(folder: Path, out: Path) -> Argv:
    assert main(["mini", str(folder / "tree"), *SIZES, "jobs=2"]) == 0
    settings = {"dataset": {"name": "rocog_v2"}, "root": str(folder / "tree"), "out": str(out)}
    return _command("prepare", folder, settings)


def randomize(folder: Path, out: Path) -> Argv:
    source = write_source(folder / "source")
    settings = {"input": str(source), "out": str(out), "copies": 2, "jobs": 1}
    return _command("randomize", folder, settings)


def crop(folder: Path, out: Path) -> Argv:
    source = write_source(folder / "source")
    return _command("crop", folder, {"input": str(source), "out": str(out), "jobs": 1})


def gap(folder: Path, out: Path) -> Argv:
    settings = _two_sets(folder, "source") | {"out": str(out), "permutations": 9, "bootstrap": 3}
    return _command("gap", folder, settings | {"attributes": {"pairs": 1, "size": 40}, "shown": 1})


def filter(folder: Path, out: Path) -> Argv:
    return _command("filter", folder, _two_sets(folder, "input") | {"out": str(out)})


def select(folder: Path, out: Path) -> Argv:
    return _command("select", folder, _two_sets(folder, "input") | {"out": str(out), "n": 5})


def _two_sets(folder: Path, source: str) -> dict[str, Any]:
    return {
        source: str(write_set(folder / "source", 12, person=False)),
        "target": str(write_set(folder / "target", 12, person=False)),
        "jobs": 1,
    }


def camera(folder: Path, out: Path) -> Argv:
    settings = {
        "input": str(write_source(folder / "source")),
        "target": str(write_target(folder / "target")),
        "out": str(out),
        "jobs": 1,
    }
    return _command("camera", folder, settings)


def translate(folder: Path, out: Path) -> Argv:
    models, source = write_models(folder / "models"), write_source(folder / "source")
    return _command("translate", folder, settings(models, source, out))


def personalize(folder: Path, out: Path) -> Argv:
    base, target = write_tiny(folder / "base", size=SIZE), write_target(folder / "target")
    short = {**DREAMBOOTH, "steps": 6}
    often = {"save_every": 2, "sample_every": 3}
    return _command("personalize", folder, content(base, target, out, short, **often))


def train(folder: Path, out: Path) -> Argv:
    data = write_clips(folder / "data")
    more = {"save_every": 1, "mixup": 0.4, "ema": 0.9, "watch": {"test": str(data / "target.csv")}}
    train = [str(data / "train.csv")]
    train_config(data, folder / "config", train=train, batch_size=4, **more)
    return ["train", str(folder / "config.yaml"), f"run={out}"]


def adapt(folder: Path, out: Path) -> Argv:
    data = write_clips(folder / "data")
    more = {
        "train": [str(data / "train.csv")],
        "target": str(data / "target.csv"),
        "method": method("dann"),
        "batch_size": 6,
        "target_batch_size": 5,
        "save_every": 1,
        "model": BICONVLSTM,
    }
    train_config(data, folder / "config", **more)
    return ["adapt", str(folder / "config.yaml"), f"run={out}"]


def whole_job(folder: Path, out: Path) -> Argv:
    """`vidda run`: MiniRoCoG, prepared, one training, its evaluation and the report."""
    settings = job(out, arms={"source only": {"data": ["source"], "augment": False}})
    return _command("run", folder, settings)


JOBS: dict[str, Callable[[Path, Path], Argv]] = {
    function.__name__: function
    for function in (
        *(mini, prepare, randomize, crop, camera, gap, filter, select),
        *(translate, personalize, train, adapt),
    )
}


def _command(name: str, folder: Path, settings: dict[str, Any]) -> Argv:
    (folder / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return [name, str(folder / "config.yaml")]
