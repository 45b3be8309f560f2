"""Training: it learns, resumes exactly, never sees target labels, and says what is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import POSE, VIDEOMAE, prepared, train_config
from vidda.cli import main
from vidda.data import load_manifest
from vidda.data.saved_predictions import load_predictions
from vidda.device import choose_precision
from vidda.files import inside
from vidda.recognize.clip_order import epoch_order
from vidda.recognize.saved_recognizer import load_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def splits(data: Path) -> Path:
    return data / "splits" / "gs2gr" / "source_only"


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / name / "model.safetensors")


def assert_same_run(first: Path, second: Path) -> None:
    """Bit for bit the same weights, metrics, selection and predictions."""
    for name in ("last", "best"):
        one, other = weights(first, name), weights(second, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    for name in ("metrics.jsonl", "selection.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    files = sorted(p.relative_to(first) for p in (first / "predictions").rglob("*.npz"))
    assert files == sorted(p.relative_to(second) for p in (second / "predictions").rglob("*.npz"))
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)


def test_it_learns_and_leaves_a_usable_model(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    watch = {"test": str(splits / "test.csv")}
    file = str(train_config(splits, run, epochs=12, watch=watch))
    assert main(["train", file]) == 0
    lines = metrics(run)
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert len(losses) == 12 * 7
    assert np.mean(losses[-7:]) < 0.9 * np.mean(losses[:7])
    model, card = load_model(run)
    assert card.classes[3] == "MoveForward" and model.classes == 7
    selection = json.loads((run / "selection.json").read_text())
    assert selection["last"] == 11 and len(selection["scores"]) == 12
    assert selection["scores"][selection["selected"]] == max(selection["scores"])
    val = load_predictions(run / "predictions" / "val.npz").predictions
    assert val.labels is not None
    accuracy = (val.logits.argmax(1) == val.labels).mean()
    assert round(float(accuracy), 3) == round(max(selection["scores"]), 3)
    watched = sorted((run / "predictions" / "test").iterdir())
    assert [file.name for file in watched] == [f"epoch_{n:03d}.npz" for n in range(12)]
    assert load_predictions(watched[0]).predictions.labels is None
    labels = {clip.id: clip.label for clip in load_manifest(splits / "test.csv").clips}
    chosen = load_predictions(watched[selection["selected"]]).predictions
    right = [
        row.argmax() == labels[one] for one, row in zip(chosen.ids, chosen.logits, strict=True)
    ]
    said = f"watched test: {np.mean(right):.1%} of {len(right)} clips at epoch "
    end = capsys.readouterr().out.splitlines()[-1]
    assert end.startswith(f"{said}{selection['selected']} (selected"), "the last line"
    assert end.endswith(("at epoch 11 (last)", "at epoch 11 (selected and last)"))
    assert main(["train", file, "--resume"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == end, "of a finished run too"


def test_without_choice_the_model_is_that_of_the_last_epoch(splits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # A rate that undoes what was learned: the last epoch is not the best one.
    harm = {"epochs": 3, "optimizer": {"name": "adamw", "lr": 1.0}, "select": "last"}
    file = str(train_config(splits, run, **harm))
    assert main(["train", file]) == 0
    # As if it had been killed after the last checkpoint was saved, before the one before it went.
    checkpoints = run / "checkpoints"
    shutil.copytree(checkpoints / "last", checkpoints / "000001")
    (run / "DONE").unlink()
    assert main(["train", file, "--resume"]) == 0
    names = {path.name for path in checkpoints.iterdir()}
    assert names == {"best", "last", (checkpoints / "last").readlink().name}
    selection = json.loads((run / "selection.json").read_text())
    assert (selection["selected"], selection["last"], selection["select"]) == (2, 2, "last")
    assert (run / "checkpoints" / "best").resolve() == (run / "checkpoints" / "last").resolve()
    with (
        np.load(run / "predictions" / "val.npz") as kept,
        np.load(run / "predictions" / "val" / "epoch_002.npz") as last,
    ):
        assert (kept["logits"] == last["logits"]).all()


def test_patience_needs_a_choice(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = train_config(splits, tmp_path / "run", patience=3, select="last")
    assert main(["train", str(file)]) == 2
    assert "patience: with select=last no epoch is the best one" in capsys.readouterr().err


@pytest.fixture(scope="module")
def damaged(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same splits, with every third training clip unreadable."""
    copy = shutil.copytree(data.parent, tmp_path_factory.mktemp("damaged") / "all")
    folder = copy / data.name / "splits" / "gs2gr" / "source_only"
    manifest = load_manifest(folder / "train.csv")
    for clip in manifest.clips[::3]:
        inside(manifest.root, clip.path).write_bytes(b"")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "extra"),
    [
        ("splits", {}),
        ("splits", {"ema": 0.9, "save_every": 3, "patience": 5}),
        ("damaged", {"batch_size": 1, "on_error": "skip", "save_every": 1, "epochs": 2}),
        ("splits", {**POSE, "save_every": 3, "epochs": 20}),
    ],
    ids=["plain", "averaged", "unreadable", "poses"],
)
def test_killed_at_a_random_step_and_resumed_is_as_if_never_killed(
    request: pytest.FixtureRequest, tmp_path: Path, place: str, extra: dict[str, Any]
) -> None:
    splits: Path = request.getfixturevalue(place)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = {"epochs": 8, "mixup": 0.4, **extra}
    assert main(["train", str(train_config(splits, whole, **options))]) == 0
    file = str(train_config(splits, killed, **options))
    command = [sys.executable, "-m", "vidda.cli", "train", file]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stop_after = int(np.random.default_rng().integers(4, 20))
    log = killed / "metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < stop_after:
        assert job.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not (killed / "DONE").exists()
    assert main(["train", file]) == 2
    assert main(["train", file, "--resume"]) == 0
    assert_same_run(whole, killed)


def test_workers_and_cache_change_nothing(splits: Path, tmp_path: Path) -> None:
    alone, helped = tmp_path / "alone", tmp_path / "helped"
    assert main(["train", str(train_config(splits, alone))]) == 0
    cached = {"workers": 2, "cache": str(tmp_path / "cache")}
    assert main(["train", str(train_config(splits, helped, **cached))]) == 0
    assert_same_run(alone, helped)


def test_target_labels_change_nothing(data: Path, tmp_path: Path) -> None:
    """With the labels of the watched target clips shuffled, weights and selection are the same."""
    splits = data / "splits" / "gs2gr" / "source_only"
    lines = (splits / "test.csv").read_text().splitlines()
    label, name = (lines[0].split(",").index(column) for column in ("label", "class"))
    rows = [line.split(",") for line in lines[1:]]
    moved = [
        [*row[:label], other[label], other[name], *row[name + 1 :]]
        for row, other in zip(rows, [*rows[5:], *rows[:5]], strict=True)
    ]
    assert name == label + 1 and moved != rows
    shuffled = splits / "shuffled.csv"
    shuffled.write_text("\n".join([lines[0], *map(",".join, moved)]) + "\n")
    for run, test in (("true", "test.csv"), ("shuffled", "shuffled.csv")):
        watch = {"test": str(splits / test)}
        assert main(["train", str(train_config(splits, tmp_path / run, watch=watch))]) == 0
    assert_same_run(tmp_path / "true", tmp_path / "shuffled")


def test_parts_of_a_batch_add_up_to_the_batch(splits: Path, tmp_path: Path) -> None:
    runs = []
    for parts in (1, 4):
        run = tmp_path / str(parts)
        model = {**VIDEOMAE, "drop_path": 0.0}
        config = train_config(splits, run, model=model, accumulate=parts, epochs=1)
        assert main(["train", str(config)]) == 0
        runs.append([line["train/loss"] for line in metrics(run) if "train/loss" in line])
    np.testing.assert_allclose(runs[0], runs[1], rtol=2e-4)


@pytest.mark.slow
def test_two_processes_follow_the_same_curve_as_one(splits: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    changes = {
        "model": {**VIDEOMAE, "drop_path": 0.0},
        "watch": {"test": str(splits / "test.csv")},
    }
    assert main(["train", str(train_config(splits, one, **changes))]) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", "-m", "vidda.cli", "train"]
    command += [str(train_config(splits, two, **changes))]
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = metrics(one), metrics(two)
    assert [line["step"] for line in first] == [line["step"] for line in second]
    for mine, theirs in zip(first, second, strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            assert mine[key] == pytest.approx(theirs[key], rel=1e-3, abs=1e-5), key
    for file in ("val/epoch_001.npz", "test/epoch_001.npz"):
        single, double = (load_predictions(r / "predictions" / file) for r in (one, two))
        assert single.predictions.ids == double.predictions.ids
        np.testing.assert_allclose(single.predictions.logits, double.predictions.logits, atol=2e-3)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    wild = {"optimizer": {"name": "sgd", "lr": 1e36}, "save_every": 1, "clip_grad": None}
    assert main(["train", str(train_config(splits, run, epochs=9, **wild))]) == 2
    message = capsys.readouterr().err
    assert "at step" in message and "syn/ground/" in message and "lower optimizer.lr" in message
    assert (run / "checkpoints" / "last" / "model.safetensors").exists()
    assert not (run / "DONE").exists()


def test_frozen_weights_stay_and_the_rest_moves(splits: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    assert main(["train", str(train_config(splits, before, epochs=1, freeze=["trunk.*"]))]) == 0
    assert main(["train", str(train_config(splits, after, epochs=2, freeze=["trunk.*"]))]) == 0
    one, two = weights(before), weights(after)
    learned = {k for k in one if one[k].is_floating_point() and "running" not in k}
    assert {k for k in learned if torch.equal(one[k], two[k])} == {
        k for k in learned if k.startswith("trunk.")
    }


def test_every_mistake_is_reported_before_training(
    data: Path, splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = splits / "empty.csv"
    empty.write_text((splits / "train.csv").read_text().splitlines()[0] + "\n")
    unlabeled = data / "splits" / "gs2gr" / "adapted" / "target.csv"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"batch_size": 1000}, "batch_size: 1000 is more than the 28 training clips"),
        ({"batch_size": 6, "accumulate": 4}, "batch_size: 6 is not a multiple of 4"),
        ({"precision": "fp16"}, "fp16 needs a CUDA device"),
        ({"val": str(empty)}, "no clips"),
        ({"train": [str(unlabeled)]}, "have no label"),
        ({"sampling": {"name": "views", "frames": 8}}, "several views of a clip are for testing"),
        ({"weights": [1.0, 2.0]}, "weights: 2 for 1 manifests"),
        ({"freeze": ["nothing.*"]}, "nothing.* matches no parameter"),
        ({"transform": {"size": 8}}, "at least"),
        ({"val": str(tmp_path / "no.csv")}, "no.csv"),
    ]
    for number, (changes, text) in enumerate(cases):
        run = tmp_path / f"bad{number}"
        assert main(["train", str(train_config(splits, run, **changes))]) == 2, changes
        assert text in capsys.readouterr().err
        assert not run.exists()


def test_precision_auto_is_what_this_device_computes_in(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = choose_precision("auto", torch.device("cpu"))
    auto, named = tmp_path / "auto", tmp_path / "named"
    assert main(["train", str(train_config(splits, auto, epochs=1, precision="auto"))]) == 0
    assert f"on cpu in {wanted}" in capsys.readouterr().out
    assert main(["train", str(train_config(splits, named, epochs=1, precision=wanted))]) == 0
    one, two = weights(auto), weights(named)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_dry_run_writes_nothing(splits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", str(train_config(splits, run)), "--dry-run"]) == 0
    assert not run.exists()


def test_pretraining_is_the_start_of_training(splits: Path, tmp_path: Path) -> None:
    pre = tmp_path / "pre"
    sizes = {"frames": 8, "size": 32, "start": VIDEOMAE["start"], "mask_ratio": 0.5}
    decoder = {"width": 16, "layers": 1, "heads": 2, "mlp": 32}
    file = train_config(splits, pre, model={**sizes, "decoder": decoder})
    content = json.loads(file.read_text())
    target = splits.parent / "adapted" / "target.csv"
    content["train"].append(str(target))
    del content["val"], content["test_sampling"]
    file.write_text(json.dumps(content))
    assert main(["pretrain", str(file)]) == 0
    losses = [line["train/loss"] for line in metrics(pre) if "train/loss" in line]
    assert len(losses) == 2 * ((28 + 21) // 4) and np.isfinite(losses).all()
    start = {"name": "folder", "path": str(pre / "videomae")}
    run = tmp_path / "run"
    model = {"name": "videomae", "frames": 8, "size": 32, "start": start}
    assert main(["train", str(train_config(splits, run, model=model, layer_decay=0.7))]) == 0
    # The checkpoint stands for itself: what it started from may go.
    (pre / "videomae").rename(tmp_path / "gone")
    model_again, _ = load_model(run)
    assert model_again.classes == 7


def test_the_order_of_an_epoch() -> None:
    labels = [np.array([0] * 8 + [1] * 2), np.array([0, 1, 1, 1])]
    plain = epoch_order(labels, None, balanced=False, seed=0, epoch=0)
    assert sorted(plain) == list(range(14))
    assert (plain != epoch_order(labels, None, balanced=False, seed=0, epoch=1)).any()
    assert (plain != epoch_order(labels, None, balanced=False, seed=1, epoch=0)).any()
    weighted = epoch_order(labels, [1.0, 1.0], balanced=False, seed=0, epoch=0)
    assert (weighted < 10).sum() == 7 and (weighted >= 10).sum() == 7
    counts = np.bincount(weighted, minlength=14)
    assert counts[:10].max() == 1 and set(counts[10:]) == {1, 2}
    even = epoch_order(labels, None, balanced=True, seed=0, epoch=0)
    drawn = np.concatenate(labels)[even[even < 10]]
    assert np.bincount(drawn).tolist() == [5, 5]


@pytest.mark.parametrize("name", ["val", "train", "val.npz"])
def test_watched_clips_do_not_take_the_names_of_the_runs_own(
    splits: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = train_config(splits, tmp_path / "run", watch={name: str(splits / "test.csv")})
    assert main(["train", str(file)]) == 2
    assert f"watch.{name}: this name is used by the run itself" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
