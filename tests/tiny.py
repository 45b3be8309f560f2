"""A MiniRoCoG of a few tiny clips, prepared, and configs small enough to train on it in seconds."""

import json
from pathlib import Path
from typing import Any

from vidda.cli import main

SIZES = ["size=32", "frames=8", "syn_train=4", "syn_val=2", "real_train=3", "real_test=3"]


def prepared(folder: Path) -> Path:
    """Render and prepare it; the folder that holds `splits`."""
    assert main(["mini", str(folder / "mini"), *SIZES, "jobs=2"]) == 0
    out = folder / "prepared"
    config = folder / "prepare.yaml"
    config.write_text("dataset: {name: rocog_v2}\n")
    assert main(["prepare", str(config), f"root={folder / 'mini'}", f"out={out}"]) == 0
    return out


BICONVLSTM = {
    "name": "biconvlstm",
    "trunk": {"name": "small", "widths": [8, 16]},
    "hidden": 8,
    "head": {"name": "flat", "grid": 4, "hidden": []},
}
VIDEOMAE = {
    "name": "videomae",
    "frames": 8,
    "size": 32,
    "start": {
        "name": "scratch",
        "patch": 8,
        "tubelet": 2,
        "width": 32,
        "layers": 2,
        "heads": 2,
        "mlp": 64,
    },
}
# The model's keys, and that nothing of the frames is set, in place of those of `train_config`.
POSE: dict[str, Any] = {
    "model": {"name": "pose", "width": 16},
    "transform": {"crop": {"name": "random_resized_crop"}},
    "mixup": 0.0,
}


def train_config(splits: Path, run: Path, **changes: Any) -> Path:
    """A config file for `vidda train` on the synthetic ground clips. splits: of one experiment."""
    content: dict[str, Any] = {
        "run": str(run),
        "train": [str(splits / "train.csv")],
        "val": str(splits / "val.csv"),
        "model": BICONVLSTM,
        "sampling": {"name": "uniform", "frames": 8},
        "test_sampling": {"name": "uniform", "frames": 8, "jitter": False},
        "transform": {"size": 32, "crop": {"name": "random_resized_crop"}},
        "epochs": 2,
        "batch_size": 4,
        "workers": 0,
        "device": "cpu",
        "log_every": 1,
        **changes,
    }
    file = run.with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))  # JSON is YAML
    return file
