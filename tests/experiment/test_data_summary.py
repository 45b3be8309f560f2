"""A dry run tells the clips of each part, the disk space, and weights that are not there."""

from pathlib import Path

import numpy as np
import pytest

from tests.clips import moving
from tests.experiment.jobs import TRAIN, TRANSLATE, job, loaded, of_tree
from vidda import video
from vidda.experiment.data_summary import describe_parts, missing_weights, read_parts
from vidda.experiment.disk_space import BYTES_PER_WEIGHT, CHECKPOINTS, describe_disk
from vidda.experiment.experiment_plan import ExperimentPlan, make_plan
from vidda.recognize.train_config import TrainConfig
from vidda.translate.workload import BYTES_PER_CLIP, BYTES_PER_PIXEL

PREPARE = {
    "root": "data",
    "dataset": {"name": "pair", "source": {"path": "a"}, "target": {"path": "b"}},
}


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two domains of two classes with five clips each, 6 frames of 40 x 64 pixels."""
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        for name in ("jump", "run"):
            for number in range(5):
                file = tmp_path / "data" / folder / name / f"{number}.mp4"
                file.parent.mkdir(parents=True, exist_ok=True)
                video.write(file, moving(6, 40, 64, number), 12)
    return tmp_path


def planned(weights: Path | None, **more: object) -> ExperimentPlan:
    content = job(Path("out"), mini=None, prepare=PREPARE, tasks=[])
    return make_plan(loaded({**content, "weights": weights and str(weights), **more}))


def test_the_clips_of_each_part_are_told_before_and_after_preparing(clips: Path) -> None:
    plan = planned(None)
    parts = read_parts(plan.known, plan.prepare.out, plan.tasks)
    lines = describe_parts(parts)
    assert lines[0] == "2 classes: jump, run"
    assert lines[1] == "clips of source2target/source_only: train 8, val 2, test 4"
    assert lines[2] == "clips of source2target/adapted: train 8, val 2, test 4, target 6"
    from vidda.data.prepare import run

    run(plan.prepare, dry_run=False, resume=False)
    again = planned(None)
    assert again.known.listing is None
    assert describe_parts(read_parts(again.known, again.prepare.out, again.tasks)) == lines
    assert describe_parts(read_parts(again.known, again.prepare.out, ["other"])) == [
        "clips: not known until the data are there"
    ]


def test_disk_space_is_counted_from_clips_and_models(clips: Path, weights: Path) -> None:
    change = {key: value for key, value in TRANSLATE.items() if "pose" not in key}
    change |= {"size": 40, "limit": 3, "crf": 18, "frames": {"name": "even", "count": 4}}
    change["backbone.weights.controlnets"] = []
    plan = planned(
        weights,
        variants={
            "ours": {"name": "translated", "change": change},
            "shaken": {"name": "camera_matched", "of": "ours", "change": {"copies": 2}},
        },
        arms={"ours": {"data": ["source", "shaken"]}},
        recognizers={"tiny": {"steps": 4, "change": {**TRAIN, "cache": "cache"}}},
    )
    parts = read_parts(plan.known, plan.prepare.out, plan.tasks)
    lines = describe_disk(plan.stages, plan.prepare.out, parts, Path("out"))
    pixels = 3 * 4 * 40 * 64
    made = round(3 * pixels * BYTES_PER_PIXEL + 3 * BYTES_PER_CLIP)
    (config,) = (one.config for one in plan.stages if isinstance(one.config, TrainConfig))
    model = sum(weight.numel() for weight in config.model.build(2).parameters())
    checkpoints = CHECKPOINTS * BYTES_PER_WEIGHT * model
    mib = {name: max(1, round(n / 2**20)) for name, n in (("a", made), ("b", checkpoints))}
    total = max(1, round((made + checkpoints) / 2**20))
    assert lines[0].startswith(
        f"disk: about {total} MiB in out (clips {mib['a']} MiB, checkpoints {mib['b']} MiB), "
    )
    assert lines[1].startswith("disk: about 1 MiB in cache (decoded frames 1 MiB), ")


def test_space_of_clips_that_cannot_be_opened_is_not_known(tmp_path: Path) -> None:
    plan = make_plan(loaded(of_tree(tmp_path)))
    parts = read_parts(plan.known, plan.prepare.out, plan.tasks)
    assert describe_disk(plan.stages, plan.prepare.out, parts, tmp_path) == [
        "disk: not known until the clips are there"
    ]


def test_weights_that_are_not_there_are_named_once(clips: Path, weights: Path) -> None:
    change = {**TRANSLATE, "control.pose": {"name": "onnx", "model": "pose.onnx"}}
    del change["control.pose.name"]
    start = {"name": "hub", "repo": "nobody/nothing", "download": True}
    train = {**TRAIN, "model": {"name": "videomae", "start": start}, "transform.size": 224}
    plan = planned(
        weights,
        variants={"ours": {"name": "translated", "change": change}},
        arms={"plain": {"data": ["source"]}, "ours": {"data": ["source", "ours"]}},
        recognizers={"big": {"steps": 4, "change": train}},
    )
    assert missing_weights(plan.stages, Path("out")) == [
        "missing: pose.onnx, for translate: ours, source2target",
        "missing: nobody/nothing of the hub, which is downloaded if its key download is true, for"
        " train: plain, source2target, seed 0",
    ]
    (clips / "pose.onnx").write_bytes(np.zeros(1).tobytes())
    assert len(missing_weights(plan.stages, Path("out"))) == 1
