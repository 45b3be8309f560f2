"""Recognizers of single frames: trained on videos, tested on photographs as clips of one frame."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tiny import BICONVLSTM, train_config
from vidda import video
from vidda.cli import main
from vidda.data.saved_predictions import load_predictions

CLASSES = ("land", "take_off")
ONE_FRAME = {"name": "uniform", "frames": 1}


def make_data(root: Path) -> Path:
    """Four videos of each class, in two scenes, and two photographs of each class and person."""
    rng = np.random.default_rng(0)
    videos, photos = ["path,class,scene"], ["path,class,subject"]
    for label, name in enumerate(CLASSES):
        for number in range(4):
            frames = rng.integers(0, 80, (5, 32, 32, 3)).astype(np.uint8)
            frames[..., label] += 150
            video.write(root / f"figures/{name}/{number}.mp4", frames, 8)
            videos.append(f"figures/{name}/{number}.mp4,{name},S{number % 2}")
        for number, subject in enumerate("AABB"):
            picture = rng.integers(0, 80, (40, 40, 3)).astype(np.uint8)
            picture[..., label] += 150
            file = root / f"photographs/{name}/{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
            photos.append(f"photographs/{name}/{number}.jpg,{name},{subject}")
    for side, lines in (("figures", videos), ("photographs", photos)):
        (root / f"{side}.csv").write_text("\n".join(lines) + "\n")
    sides = "dataset={name: pair, source: {path: figures.csv}, target: {path: photographs.csv}}"
    tests = "dataset.test_subjects={syn2b: [B]}"
    assert main(["prepare", f"root={root}", f"out={root / 'out'}", sides, tests]) == 0
    return root / "out/splits/syn2b/source_only"


@pytest.mark.parametrize(
    "model",
    [{**BICONVLSTM, "input": "frames"}, {"name": "timm", "arch": "mobilenetv3_small_050"}],
    ids=["biconvlstm", "timm"],
)
def test_videos_train_and_photographs_test(tmp_path: Path, model: dict[str, Any]) -> None:
    splits, run = make_data(tmp_path / "data"), tmp_path / "run"
    test = {**ONE_FRAME, "jitter": False}
    file = train_config(
        splits, run, model=model, sampling=ONE_FRAME, test_sampling=test, epochs=1,
        watch={"photographs": str(splits / "test.csv")},
    )  # fmt: skip
    assert main(["train", str(file)]) == 0
    manifest = [f"model={run}", f"manifest={splits / 'test.csv'}", f"out={tmp_path / 'evaluated'}"]
    assert main(["evaluate", *manifest]) == 0
    saved = load_predictions(tmp_path / "evaluated/predictions.npz")
    assert len(saved.predictions.ids) == 4 and np.isfinite(saved.predictions.logits).all()
    assert set(saved.columns["subject"]) == {"B"}
