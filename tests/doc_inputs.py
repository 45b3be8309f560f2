"""The files that a page's commands and blocks find: made ones, under the names that pages use."""

import os
import shutil
from pathlib import Path

import numpy as np

from tests.control.test_onnx_estimator import write_dot_finder
from tests.tiny import train_config
from tests.tiny_diffusion import write_controlnet, write_tiny
from vidda import video
from vidda.cli import main

ROOT = Path(__file__).parents[1]
# More clips than a batch has, and without the real domain's motion blur: quick to render.
SIZES = ["size=32", "frames=16", "syn_train=3", "syn_val=1", "real_train=4", "real_test=2"]
PREPARED = ("data/mini_prepared", "data/prepared", "data/rocog_v2")
"""The folders of prepared datasets in the configs."""
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CONTROLNETS = ("lllyasviel/control_v11p_sd15_canny", "lllyasviel/control_v11p_sd15_openpose")


def make_inputs(folder: Path) -> Path:
    """Fill a folder with these; gives it.

    clip.mp4, VIDEO: a video. videos, VIDEOS: folders of two. DIR: a small MiniRoCoG, in RoCoG-v2's
    layout. REPOSITORY: RoCoG-v2's lists alone. OUT, data/mini_prepared and others: what vidda
    prepare made of it. RUN: a recognizer trained on it. hub: a cache of the Hugging Face hub with
    tiny models. weights: a pose estimator. configs, tools: ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("configs", "tools"):
        (folder / name).symlink_to(ROOT / name)
    _dataset(folder)
    _videos(folder)
    _models(folder)
    file = train_config(folder / "OUT/splits/gs2gr/source_only", folder / "RUN", epochs=1)
    assert main(["train", str(file)]) == 0
    file.unlink()
    return folder


def _dataset(folder: Path) -> None:
    tree = folder / "DIR"
    assert main(["mini", str(tree), *SIZES, "real_factors=[]"]) == 0
    for view in ("ground", "air"):  # it has the clips of too few subjects for a validation list
        lists = tree / "annotations"
        train = lists / f"real_{view}_train_tsonly.txt"
        lines = train.read_text().splitlines()
        for name, part in (
            ("train", [one for n, one in enumerate(lines) if n % 4]),
            ("val", lines[::4]),
        ):
            (lists / f"real_{view}_{name}_tsonly.txt").write_text("\n".join(part) + "\n")
    shutil.copytree(tree / "annotations", folder / "REPOSITORY/annotations")
    (folder / "data").mkdir()
    for name in ("OUT", *PREPARED):
        config = "configs/prepare/rocog_v2.yaml"
        assert main(["prepare", str(ROOT / config), f"root={tree}", f"out={folder / name}"]) == 0


def _videos(folder: Path) -> None:
    """Two of the dataset's clips at 64x64."""
    found = sorted((folder / "DIR/real/ground").rglob("*.mp4"))[:2]
    for number, path in enumerate(found):
        frames = np.repeat(np.repeat(video.read(path), 2, axis=1), 2, axis=2).repeat(2, axis=0)
        for name in ("videos", "VIDEOS"):
            video.write(folder / name / f"{number}.mp4", frames, 8)
    for name in ("clip.mp4", "VIDEO.mp4"):
        shutil.copy(folder / "videos/0.mp4", folder / name)


def _models(folder: Path) -> None:
    base = write_tiny(_cached(folder, STABLE_DIFFUSION))
    for seed, name in enumerate(CONTROLNETS, start=1):
        write_controlnet(_cached(folder, name), base, seed)
    (folder / "weights").mkdir()
    write_dot_finder(folder / "weights/rtmpose-m.onnx")


def _cached(folder: Path, repository: str) -> Path:
    """The folder of a repository's one version in the hub's cache."""
    place = folder / "hub" / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text("abc")
    (place / "snapshots/abc").mkdir(parents=True)
    return place / "snapshots/abc"


def environment(folder: Path) -> dict[str, str]:
    """Variables for a process that works in the folder: our modules, the made hub, no network."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    own = {"PYTHONPATH": path, "HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    own |= {
        "TORCH_HOME": str(folder / "torch"),
        "https_proxy": "http://127.0.0.1:9",
    }  # nobody there
    return os.environ | own | {"OMP_NUM_THREADS": "1"}
