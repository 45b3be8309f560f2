"""Jobs on datasets that are not RoCoG-v2: their own tasks, and targets without labels."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import moving
from tests.experiment.jobs import TRAIN, job, loaded
from tests.trees import touch
from vidda.data.manifest import load_manifest
from vidda.data.prepare import PrepareConfig
from vidda.data.survey import survey
from vidda.errors import ViddaError
from vidda.experiment.data_summary import read_parts
from vidda.experiment.experiment_plan import ExperimentPlan, make_plan
from vidda.experiment.gpu_hours import estimate_gpu_hours
from vidda.experiment.job import run
from vidda.recognize.train_config import TrainConfig
from vidda.video import write

UCF = [f"v_{name}_g{group:02d}_c01" for group in (1, 2, 3, 4) for name in ("Climb", "Fencing")]
HMDB = [f"Film{n}_{name}_f_cm_np1_ba_med_0" for n in range(4) for name in ("climb", "fencing")]
ADAPT = {"steps": 2, "change": {"method": {"name": "dan"}}}


def ucf_hmdb(root: Path) -> dict[str, Any]:
    """TA3N's lists at their smallest, without the videos; the keys that prepare them."""
    (root / "lists").mkdir(parents=True)
    for name, videos in {"ucf101": UCF, "hmdb51": HMDB}.items():
        for split, members in {"train": videos[:6], "val": videos[6:]}.items():
            lines = [f"{name}/{one} 12 {int('encing' in one)}\n" for one in members]
            file = root / "lists" / f"list_{name}_{split}_hmdb_ucf-feature.txt"
            file.write_text("".join(lines))
    (root / "lists" / "classes.txt").write_text("0 climb\n1 fencing\n")
    return {
        "root": str(root),
        "dataset": {"name": "ucf_hmdb", "lists": "lists", "classes": "lists/classes.txt"},
    }


def plain(root: Path, splits: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    """A list of four clips for each part, without the videos; the keys that prepare them.

    splits: domain of each part. labels: of its clips, "" for none.
    """
    root.mkdir(parents=True, exist_ok=True)
    for split in splits:
        lines = [f"{split}/{n}.mp4 {labels[split] and n % 2}".rstrip() for n in range(4)]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    parts = [{"split": s, "path": f"{s}.txt", "domain": domain} for s, domain in splits.items()]
    return {"root": str(root), "dataset": {"name": "lists", "task": "sim2real", "parts": parts}}


def unlabeled(root: Path) -> dict[str, Any]:
    """A labeled source, and a target without labels."""
    return plain(root, {"train": "synthetic", "target": "real"}, {"train": "yes", "target": ""})


def videos(root: Path, prepare: dict[str, Any]) -> None:
    """Make every video that the lists of a dataset name."""
    known = survey(PrepareConfig(out=root / "nowhere", **prepare), complete=True)
    assert known.listing
    for number, path in enumerate(known.listing.clips):
        frames = moving(12, 40, 48, seed=number)
        write(root / path, (frames // (1 + number % 2)).astype(np.uint8), 12)


def planned(tmp_path: Path, prepare: dict[str, Any], **more: Any) -> ExperimentPlan:
    content = job(tmp_path / "out", mini=None, prepare=prepare, **{"tasks": [], **more})
    return make_plan(loaded(content))


def trainings(plan: ExperimentPlan) -> dict[str, TrainConfig]:
    return {
        stage.out.name: stage.config
        for stage in plan.stages
        if isinstance(stage.config, TrainConfig)
    }


def test_ucf_hmdb_has_its_own_tasks_and_all_settings(tmp_path: Path) -> None:
    prepare = ucf_hmdb(tmp_path / "data")
    touch(tmp_path / "data", [f"{name}.avi" for name in (*UCF, *HMDB)])
    variants = {"masks": {"name": "randomized"}}
    arms = {
        "source only": {"data": ["source"]},
        "masks": {"data": ["masks"]},
        "target only": {"data": ["target"]},
    }
    plan = planned(tmp_path, prepare, variants=variants, arms=arms)
    assert plan.tasks == ("ucf2hmdb", "hmdb2ucf")
    splits = tmp_path / "out" / "prepared" / "splits"
    found = {name: (one.train, one.val) for name, one in trainings(plan).items()}
    lists = {
        "ucf_train": "ucf2hmdb/source_only",
        "hmdb_train_tsonly": "ucf2hmdb/target_only",
        "hmdb_train": "hmdb2ucf/source_only",
        "ucf_train_tsonly": "hmdb2ucf/target_only",
    }
    assert found == {
        f"{name}-augmented-0": ((splits / place / "train.csv",), splits / place / "val.csv")
        for name, place in lists.items()
    }
    assert plan.left_out == (
        "masks in ucf2hmdb: its source clips are not synthetic",
        "masks in hmdb2ucf: its source clips are not synthetic",
        "arm 'masks': nothing to train it on",
    )


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("ucf2hmbd", "tasks: ucf_hmdb has no task 'ucf2hmbd' (did you mean ucf2hmdb?)"),
        ("gs2gr", "tasks: ucf_hmdb has no task 'gs2gr'; it has ucf2hmdb, hmdb2ucf"),
    ],
)
def test_a_task_that_the_dataset_does_not_have_is_refused(
    tmp_path: Path, task: str, told: str
) -> None:
    prepare = ucf_hmdb(tmp_path / "data")
    touch(tmp_path / "data", [f"{name}.avi" for name in (*UCF, *HMDB)])
    with pytest.raises(ViddaError) as raised:
        planned(tmp_path, prepare, tasks=[task])
    assert str(raised.value).startswith(told)


def test_labeled_targets_of_plain_lists_have_a_target_only_training(tmp_path: Path) -> None:
    splits = {"train": "synthetic", "target": "real", "test": "real"}
    prepare = plain(tmp_path / "data", splits, dict.fromkeys(splits, "yes"))
    touch(tmp_path / "data", [f"{split}/{n}.mp4" for split in splits for n in range(4)])
    plan = planned(tmp_path, prepare)
    assert plan.tasks == ("sim2real",) and plan.left_out == ()
    place = tmp_path / "out" / "prepared" / "splits" / "sim2real" / "target_only"
    assert trainings(plan)["target_train-augmented-0"].val == place / "val.csv"

    prepare = plain(tmp_path / "data", splits, {**dict.fromkeys(splits, "yes"), "target": ""})
    reason = "target_train: not all clips of the target list have labels"
    assert planned(tmp_path, prepare).left_out == (
        f"sim2real/target_only: {reason}",
        "arm 'target only': nothing to train it on",
    )


def test_a_source_that_is_not_said_to_be_synthetic_has_no_variants(tmp_path: Path) -> None:
    splits = {"train": "real", "target": "real", "test": "real"}
    prepare = plain(tmp_path / "data", splits, dict.fromkeys(splits, "yes"))
    touch(tmp_path / "data", [f"{split}/{n}.mp4" for split in splits for n in range(4)])
    variants = {"masks": {"name": "randomized"}}
    arms = {"masks": {"data": ["masks"]}, "source only": {"data": ["source"]}}
    plan = planned(tmp_path, prepare, variants=variants, arms=arms)
    assert plan.left_out[0] == "masks in sim2real: its source clips are not synthetic"


def test_a_target_without_labels_has_no_test_and_nothing_watches_it(tmp_path: Path) -> None:
    prepare = unlabeled(tmp_path / "data")
    touch(tmp_path / "data", [f"{part}/{n}.mp4" for part in ("train", "target") for n in range(4)])
    plan = planned(tmp_path, prepare, watch=True)
    assert {stage.command for stage in plan.stages} == {"prepare", "train", "evaluate", "report"}
    assert [one.watch for one in trainings(plan).values()] == [{}]
    assert plan.arms == ("source only",)
    prepared = tmp_path / "out" / "prepared"
    parts = read_parts(plan.known, prepared, plan.tasks)
    lines, _ = estimate_gpu_hours(plan.stages, parts, prepared, 1e-6)
    (tested,) = (line for line in lines if line.startswith("evaluate"))
    assert float(tested.split(" = ")[1].split()[0]) > 0, "its target clips are predicted"


@pytest.mark.deep
def test_a_whole_job_on_ucf_hmdb(tmp_path: Path) -> None:
    prepare = ucf_hmdb(tmp_path / "data")
    for number, name in enumerate((*UCF, *HMDB)):
        frames = moving(12, 40, 48, seed=number) // (1 + number % 2)
        write(tmp_path / "data" / f"{name}.mp4", frames.astype(np.uint8), 12)
    content = job(tmp_path / "out", mini=None, prepare=prepare, tasks=["ucf2hmdb"])
    content["recognizers"] = {"tiny": {"steps": 2, "change": {**TRAIN, "batch_size": 2}}}
    content["arms"] = {
        "source only": {"data": ["source"], "augment": False},
        "adapted": {"data": ["source"], "augment": False, "adapt": ADAPT},
        "target only": {"data": ["target"], "augment": False},
    }
    assert run(loaded(content), dry_run=False, resume=False) == 0
    table = json.loads((tmp_path / "out" / "evaluated" / "tiny" / "transfer.json").read_text())
    found = {(cell["row"], cell["task"]): cell["clips"] for cell in table["cells"]}
    assert found == {(arm, "ucf2hmdb"): 2 for arm in content["arms"]}
    assert (tmp_path / "out" / "report" / "tiny" / "index.html").is_file()


@pytest.mark.deep
def test_a_whole_job_on_a_target_without_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = unlabeled(tmp_path / "data")
    videos(tmp_path / "data", prepare)
    content = job(tmp_path / "out", mini=None, prepare=prepare, tasks=[])
    content["recognizers"] = {"tiny": {"steps": 2, "change": {**TRAIN, "batch_size": 2}}}
    content["arms"]["adapted"] = {"data": ["source"], "augment": False, "adapt": ADAPT}
    assert run(loaded(content), dry_run=False, resume=False) == 0
    out = tmp_path / "out" / "evaluated" / "tiny"
    table = json.loads((out / "transfer.json").read_text())
    assert table["cells"] == []
    assert [(one["row"], one["clips"]) for one in table["label_free"]] == [
        ("source only", 4),
        ("adapted", 4),
    ]
    assert {"class correlation", "entropy"} <= table["label_free"][0]["scores"].keys()
    with (out / "predictions" / "adapted" / "sim2real_0.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    target = tmp_path / "out" / "prepared" / "splits" / "sim2real" / "adapted" / "target.csv"
    assert [row["clip"] for row in rows] == [clip.id for clip in load_manifest(target).clips]
    assert all(float(row["probability"]) >= 0.5 for row in rows)
    printed = capsys.readouterr().out
    assert "Label-free scores on sim2real, 4 target clips without labels" in printed
    assert "left out: sim2real/target_only" in printed
    assert (tmp_path / "out" / "report" / "tiny" / "index.html").is_file()
