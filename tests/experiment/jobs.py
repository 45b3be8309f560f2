"""Tiny jobs of `vidda run`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import BICONVLSTM
from tests.trees import SYN_A, rocog_tree
from vidda import config as configs
from vidda.experiment.experiment_config import ExperimentConfig
from vidda.sidecar import default_sidecar

MINI = {"size": 32, "frames": 4, "syn_train": 2, "syn_val": 1, "real_train": 3, "real_test": 1,
        "jobs": 2}  # fmt: skip
TRAIN = {
    "model": BICONVLSTM,
    "sampling": {"name": "uniform", "frames": 4},
    "test_sampling": {"name": "uniform", "frames": 4, "jitter": False},
    "transform": {"size": 32, "crop": {"name": "random_resized_crop"}},
    "batch_size": 4,
    "workers": 0,
    "device": "cpu",
}
TRANSLATE = {
    "size": 32,
    "control.pose.name": "sidecar",
    "prompt.template": "a person",
    "backbone.sampling": {"steps": 2, "guidance": 3.0, "scheduler": {"name": "ddim"}},
    "backbone.sampling.noise.name": "independent",
    "device": "cpu",
}
DECODER = {
    "method": {"name": "vae_decoder", "steps": 2, "batch_size": 2, "lr": 1e-4},
    "frames": {"count": 4, "held_out": 1, "resolution": 32},
    "device": "cpu",
}


def job(out: Path, **more: Any) -> dict[str, Any]:
    """Source only and target only on a MiniRoCoG of a few clips."""
    return {
        "out": str(out),
        "mini": MINI,
        "prepare": {"dataset.name": "rocog_v2"},
        "tasks": ["gs2gr"],
        "recognizers": {"tiny": {"steps": 8, "change": dict(TRAIN)}},
        "augmentation": {"color_jitter": {}},
        "arms": {
            "source only": {"data": ["source"], "augment": False},
            "target only": {"data": ["target"]},
        },
        "evaluate": {"device": "cpu", "workers": 0},
        **more,
    }


def with_variants(out: Path, **more: Any) -> dict[str, Any]:
    """The same with everything that can be made of the source."""
    return job(
        out,
        personalize={"decoder": {"change": DECODER}},
        variants={
            "masks": {"name": "randomized", "change": {"jobs": 1}},
            "ours": {
                "name": "translated",
                "personalized": ["decoder"],
                "camera": True,
                "change": TRANSLATE,
            },
        },
        arms={
            "source only": {"data": ["source"], "augment": False},
            "masks": {"data": ["masks"]},
            "source + ours": {"data": ["source", "ours"], "weights": [1, 1]},
            "target only": {"data": ["target"]},
        },
        **more,
    )


def of_tree(folder: Path, **more: Any) -> dict[str, Any]:
    """A job on RoCoG-v2's tree of files that hold no video, of which one clip alone has a mask."""
    tree = rocog_tree(folder / "tree")
    (tree / "annotations" / "README.md").write_text("")
    write_mask(tree, f"syn/ground/Advance/{SYN_A}")
    content = job(
        folder / "out",
        mini=None,
        prepare={"root": str(tree), "dataset.name": "rocog_v2"},
        variants={"masks": {"name": "randomized"}},
        arms={"masks": {"data": ["masks"]}},
    )
    return content | more


def write_mask(tree: Path, clip: str) -> None:
    """A sidecar that holds a mask and nothing else."""
    file = tree / default_sidecar(clip)
    file.parent.mkdir(parents=True)
    np.savez(file, mask=np.zeros((1, 2, 2), np.uint8))


def loaded(content: dict[str, Any]) -> ExperimentConfig:
    return ExperimentConfig.model_validate_json(json.dumps(content), strict=True)


def write(content: dict[str, Any], file: Path) -> Path:
    """As a file for the command line; JSON is YAML."""
    file.write_text(json.dumps(content))
    configs.load(ExperimentConfig, file)
    return file
