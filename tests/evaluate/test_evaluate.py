"""`vidda evaluate`: its five jobs on a tiny model, and what it refuses before it starts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from trained import (
    CLASSES,
    checkpoint,
    labeled,
    prepared,
    random_logits,
    saved_manifest,
)

from vidda.cli import main
from vidda.data import save_manifest
from vidda.data.dataset import ClipDataset
from vidda.data.frame_sampling import CenterSampling, ViewsSampling
from vidda.data.saved_predictions import load_predictions, save_predictions
from vidda.data.transforms import ThreeCrops
from vidda.evaluate.epochs import read_epochs
from vidda.evaluate.job import default_out
from vidda.evaluate.labeled_predictions import columns_of
from vidda.evaluate.summary import Intervals, summarize
from vidda.evaluate.transfer import transfer_cells
from vidda.evaluate.transfer_tables import legend
from vidda.recognize.saved_recognizer import WEIGHTS, load_model
from vidda.types import Manifest, Predictions

TASKS = ("gs2gr", "as2ar", "gr2ar", "gs2ar")
QUICK = ("workers=0", "device=cpu")


def errors(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """What a command refuses, line by line."""
    assert main(["evaluate", *map(str, arguments)]) == 2
    lines = capsys.readouterr().err.splitlines()
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


def predictions_of(path: Path, manifest: Manifest, seed: int, labels: bool = True) -> Path:
    """Predictions that are right for about every second clip."""
    truth = np.array([clip.label for clip in manifest.clips])
    logits = random_logits(len(truth), 3, seed)
    logits[np.arange(len(truth)), truth] += 1.5
    ids = tuple(clip.id for clip in manifest.clips)
    found = Predictions(ids, logits, truth if labels else None)
    save_predictions(path, found, CLASSES, columns_of(manifest) if labels else None)
    return path


def test_a_model_is_measured_and_can_be_measured_again_from_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, manifest = saved_manifest(tmp_path, 7)
    run, out = checkpoint(tmp_path / "run"), tmp_path / "out"
    arguments = [f"model={run}", f"manifest={file}", f"out={out}", *QUICK]
    assert main(["evaluate", *arguments, "--dry-run"]) == 0
    assert not out.exists()
    assert main(["evaluate", *arguments]) == 0
    capsys.readouterr()

    model, card = load_model(run)
    items = ClipDataset(manifest, card.sampling, card.transform)
    with torch.inference_mode():
        wanted = torch.cat([model(items[n].video[None]).logits for n in range(7)]).numpy()
    found = load_predictions(out / "predictions.npz")
    assert found.predictions.logits == pytest.approx(wanted, abs=1e-5)
    metrics = json.loads((out / "metrics.json").read_text())
    truth = np.array([clip.label for clip in manifest.clips])
    assert metrics["accuracy"] == (wanted.argmax(1) == truth).mean()
    assert len(set(wanted.argmax(1))) > 1, "a model that always says the same tests nothing"

    again = tmp_path / "again"
    for more in ((), (f"manifest={file}",)):
        assert main(["evaluate", f"predictions={out / 'predictions.npz'}", *more]) == 0
        assert f"accuracy {metrics['accuracy']:.1%} of 7 clips" in capsys.readouterr().out
    assert main(["evaluate", f"predictions={out / 'predictions.npz'}", f"out={again}"]) == 0
    assert json.loads((again / "metrics.json").read_text()) == metrics

    before = (out / "predictions.npz").stat().st_mtime_ns
    assert main(["evaluate", *arguments, "--resume"]) == 0
    assert (out / "predictions.npz").stat().st_mtime_ns == before
    assert "finished run" in errors(capsys, *arguments)[0]


def test_a_models_test_needs_no_folder_to_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = labeled(tmp_path / "videos", 3)
    data, run = prepared(tmp_path / "data", manifest, ("gs2gr",)), checkpoint(tmp_path / "run")
    (file,) = sorted((data / "splits").glob("gs2gr/*/test.csv"))
    place = run / "evaluations" / f"gs2gr_{file.parent.name}_test"
    arguments = ["evaluate", f"model={run}", f"manifest={file}", *QUICK]
    assert main([*arguments, "--dry-run"]) == 0
    assert str(place) in capsys.readouterr().out and not place.exists()
    assert main(arguments) == 0
    assert f"written: {place / 'predictions.npz'}" in capsys.readouterr().out
    assert json.loads((place / "metrics.json").read_text())["clips"] == 3
    assert "finished run" in errors(capsys, *arguments[1:])[0]
    assert main([*arguments, "--resume"]) == 0
    best = run / "checkpoints" / "best"
    assert default_out(best, file) == place.with_name(f"{place.name}_best")
    assert default_out(run, tmp_path / "data x" / "clips.csv").name == "data_x_clips"


def test_views_are_averaged_as_probabilities(tmp_path: Path) -> None:
    file, manifest = saved_manifest(tmp_path, 2)
    run = checkpoint(tmp_path / "run", sampling=CenterSampling(frames=4, stride=1))
    shown = ["clips=3", "crops=3", "stride=2", "batch_size=1"]
    out = tmp_path / "out"
    arguments = [f"model={run}", f"manifest={file}", f"out={out}", *shown, *QUICK]
    assert main(["evaluate", *arguments]) == 0
    model, card = load_model(run)
    sampling = ViewsSampling(frames=4, stride=2, clips=3)
    transform = card.transform.model_copy(update={"crop": ThreeCrops()})
    items = ClipDataset(manifest, sampling, transform)
    with torch.inference_mode():
        views = model(items[1].video).logits
    assert views.shape == (9, 3) and views.std(0).max() > 1e-3
    wanted = views.softmax(1).mean(0)
    found = torch.from_numpy(load_predictions(out / "predictions.npz").predictions.logits[1])
    assert torch.allclose(found.softmax(0), wanted, atol=1e-5)


def test_strata_tell_views_altitudes_subjects_and_classes_apart(tmp_path: Path) -> None:
    manifest = labeled(tmp_path, 12)
    saved = load_predictions(predictions_of(tmp_path / "p.npz", manifest, 3))
    summary = summarize(saved, Intervals())
    assert saved.predictions.labels is not None
    hits = saved.predictions.logits.argmax(1) == saved.predictions.labels
    by_name = {(s.column, s.value): (s.clips, s.accuracy) for s in summary.strata}
    at_30 = np.array([clip.altitude_m == 30 for clip in manifest.clips])
    assert by_name["altitude_m", "30"] == (3, hits[at_30].mean())
    assert by_name["altitude_m", "15"] == (9, hits[~at_30].mean())
    assert [value for column, value in by_name if column == "altitude_m"] == ["15", "30"]
    assert by_name["view", "air"] == (12, summary.accuracy)
    halt = np.array([clip.label == 1 for clip in manifest.clips])
    assert by_name["class", "Halt"] == (4, hits[halt].mean())
    assert {v for c, v in by_name if c == "subject"} == {"S0", "S1", "S2"}
    assert summary.subjects == 3
    assert np.array(summary.confusion).trace() == hits.sum()


def test_clips_without_subjects_are_no_subjects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = labeled(tmp_path, 12)
    for known in (0, 6, 12):
        clips = [
            replace(clip, subject=clip.subject if number < known else None)
            for number, clip in enumerate(manifest.clips)
        ]
        place = tmp_path / f"{known}.npz"
        predictions_of(place, replace(manifest, clips=tuple(clips)), 3)
        saved = load_predictions(place)
        summary = summarize(saved, Intervals())
        (cell, *_) = transfer_cells("a row", "gs2gr", [saved], Intervals())
        subjects = 3 if known else 0
        assert (summary.subjects, summary.without_subject) == (subjects, 12 - known)
        assert (cell.subjects, cell.without_subject) == (subjects, 12 - known)
        # The interval of the table is that of the single test, and never shorter than Wilson's.
        assert cell.bootstrap == summary.bootstrap and summary.bootstrap is not None
        assert summary.bootstrap.low <= summary.wilson.low
        assert summary.bootstrap.high >= summary.wilson.high
        assert main(["evaluate", f"predictions={place}"]) == 0
        shown = capsys.readouterr().out
        resampled = {
            0: "clips of unknown subjects",
            6: "3 subjects and 6 clips of unknown ones",
            12: "3 subjects",
        }
        assert f"] bootstrap over {resampled[known]}" in " ".join(shown.split())
        text = "\n".join(legend([cell], [], 0.95))
        sizes = {0: "12 (unknown)", 6: "12 (3 and 6 clips of unknown subjects)", 12: "12 (3)"}
        assert f"all {sizes[known]}" in text
        assert ("Clips of unknown subjects are taken for independent." in text) == (known < 12)


def test_two_models_are_compared_clip_by_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, manifest = saved_manifest(tmp_path, 12)
    truth = np.array([clip.label for clip in manifest.clips])
    ids = tuple(clip.id for clip in manifest.clips)
    right = np.eye(3, dtype=np.float32)[truth]
    wrong = np.eye(3, dtype=np.float32)[(truth + 1) % 3]
    worse = np.where(np.arange(12)[:, None] < 7, wrong, right)  # right for 5
    better = np.where(np.arange(12)[:, None] == 9, wrong, right)  # right for 11
    for name, logits in (("a", worse), ("b", better)):
        save_predictions(tmp_path / f"{name}.npz", Predictions(ids, logits), CLASSES)
    both = f"compare=[{tmp_path / 'a.npz'},{tmp_path / 'b.npz'}]"
    assert errors(capsys, both)[0].endswith("holds no labels; give the manifest too: manifest=FILE")
    assert main(["evaluate", both, f"manifest={file}", f"out={tmp_path / 'out'}"]) == 0
    shown = capsys.readouterr().out
    # 7 only the second, 1 only the first: Fagerland's example.
    assert (
        "1 by the first, 7 by the second" in shown and "p = 0.0391 (mid-p), 0.0703 (exact)" in shown
    )
    assert "second minus first: +50.0 points" in shown
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["accuracies"] == pytest.approx([5 / 12, 11 / 12])
    assert content["difference"]["low"] < 0.5 < content["difference"]["high"]


def watched_run(run: Path, manifest: Manifest, selected: int, epochs: int = 3) -> Path:
    """What vidda train leaves of a run that watched these clips, without its labels."""
    for epoch in range(epochs):
        for name, clips in (
            ("air", manifest),
            ("other", replace(manifest, clips=manifest.clips[1:])),
        ):
            place = run / "predictions" / name / f"epoch_{epoch:03d}.npz"
            predictions_of(place, clips, seed=10 * selected + epoch, labels=False)
    content = {"selected": selected, "last": epochs - 1, "val": [0.5] * epochs}
    (run / "selection.json").write_text(json.dumps(content))
    return run


def test_selected_last_and_oracle_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, manifest = saved_manifest(tmp_path, 12)
    run = watched_run(tmp_path / "run", manifest, selected=0)
    found = read_epochs(run, manifest, "m")
    truth = np.array([clip.label for clip in manifest.clips])
    files = [run / "predictions" / "air" / f"epoch_00{epoch}.npz" for epoch in range(3)]
    wanted = [(load_predictions(f).predictions.logits.argmax(1) == truth).mean() for f in files]
    assert found.accuracies == pytest.approx(wanted) and len(set(wanted)) > 1
    assert (found.selected, found.last) == (0, 2)
    assert found.accuracies[found.oracle] == max(wanted)
    assert main(["evaluate", f"epochs={run}", f"manifest={file}"]) == 0
    shown = capsys.readouterr().out
    assert "no result" in shown and "best on the source's validation clips" in shown
    unseen = replace(manifest, clips=manifest.clips[2:])
    save_manifest(unseen, tmp_path / "unseen.csv")
    assert (
        "after each epoch" in errors(capsys, f"epochs={run}", f"manifest={tmp_path}/unseen.csv")[0]
    )
    files[1].unlink()
    assert "no such file" in errors(capsys, f"epochs={run}", f"manifest={file}")[0]
    (run / "selection.json").unlink()
    assert "give a finished run" in errors(capsys, f"epochs={run}", f"manifest={file}")[0]


def transfer_config(tmp_path: Path, manifest: Manifest) -> Path:
    data = prepared(tmp_path / "data", manifest, TASKS)
    for seed in range(2):
        watched_run(checkpoint(tmp_path / f"syn_{seed}", seed), manifest, selected=seed)
    checkpoint(tmp_path / "real", 5)
    syn = f"[{tmp_path}/syn_0, {tmp_path}/syn_1]"
    file = tmp_path / "transfer.yaml"
    file.write_text(
        f"""
out: {tmp_path}/out
workers: 0
device: cpu
transfer:
  data: {data}
  rows:
    - {{name: source only, runs: {{gs2gr: {syn}, gs2ar: {syn}}}}}
    - {{name: target only, runs: {{as2ar: [{tmp_path}/real], gs2ar: [{tmp_path}/real]}}}}
"""
    )
    return file


def test_the_transfer_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = labeled(tmp_path / "videos", 8)
    file, out = transfer_config(tmp_path, manifest), tmp_path / "out"
    assert main(["evaluate", str(file), "--dry-run"]) == 0
    assert "6 tests" in capsys.readouterr().out and not out.exists()
    assert main(["evaluate", str(file)]) == 0
    progress = capsys.readouterr().err
    assert progress.count("8/8 clips") == 3, "a run on the same clips is run once"
    content = json.loads((out / "transfer.json").read_text())
    places = {(c["row"], c["task"], c["part"]): c for c in content["cells"]}
    assert len(places) == 4 * 3
    cell = places["source only", "gs2gr", "all"]
    truth = np.array([clip.label for clip in manifest.clips])
    files = [out / "predictions" / "source only" / f"gs2gr_{seed}.npz" for seed in range(2)]
    hits = [load_predictions(f).predictions.logits.argmax(1) == truth for f in files]
    assert cell["runs"] == [h.mean() for h in hits]
    assert cell["mean"] == pytest.approx(np.mean(hits))
    assert cell["deviation"] == pytest.approx(np.std([h.mean() for h in hits], ddof=1))
    assert (cell["clips"], cell["subjects"]) == (8, 3)
    assert cell["bootstrap"]["low"] <= cell["mean"] <= cell["bootstrap"]["high"]
    at_30 = places["target only", "gs2ar", "30 m"]
    assert (at_30["clips"], at_30["subjects"], at_30["deviation"]) == (2, 1, None)
    assert at_30["bootstrap"] is None
    (three, other) = content["epochs"]
    assert (three["row"], three["task"], other["task"]) == ("source only", "gs2gr", "gs2ar")
    found = [read_epochs(tmp_path / f"syn_{seed}", manifest, "m") for seed in range(2)]
    assert three["oracle"] == pytest.approx(np.mean([max(f.accuracies) for f in found]))
    assert three["selected"] == pytest.approx(
        np.mean([f.accuracies[seed] for seed, f in enumerate(found)])
    )
    text = (out / "transfer.md").read_text()
    assert "| trained on | gs2gr | as2ar | gr2ar | gs2ar |" in text
    assert "| target only | - | " in text and "]w |" in text and "is no result" in text
    assert len((out / "transfer.csv").read_text().splitlines()) == 1 + 4 * 3


def test_a_transfer_table_goes_on_from_the_predictions_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = transfer_config(tmp_path, labeled(tmp_path / "videos", 4))
    assert main(["evaluate", str(file)]) == 0
    out = tmp_path / "out"
    before = {p.name: p.read_bytes() for p in out.glob("transfer.*")}
    for name in ("DONE", "transfer.md", "predictions/target only/as2ar_0.npz"):
        (out / name).unlink()
    capsys.readouterr()
    assert main(["evaluate", str(file), "--resume"]) == 0
    assert capsys.readouterr().err.count("clips in") == 1
    assert {p.name: p.read_bytes() for p in out.glob("transfer.*")} == before
    (out / "DONE").unlink()
    checkpoint(tmp_path / "other", 9)
    weights = "checkpoints/best/model.safetensors"
    (tmp_path / "other" / weights).replace(tmp_path / "real" / weights)
    assert "weights of" in errors(capsys, file, "--resume")[0]


def test_every_mistake_of_a_transfer_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = labeled(tmp_path / "videos", 3)
    file = transfer_config(tmp_path, manifest)
    text = file.read_text()
    file.write_text(text.replace("{as2ar: [", f"{{gr2ar: [{tmp_path}/none], gs2gr: ["))
    checkpoint(tmp_path / "four", classes=(*CLASSES, "Wave"))
    (tmp_path / "real").rename(tmp_path / "was")
    (tmp_path / "four").rename(tmp_path / "real")
    first, second, third = errors(capsys, file)
    for line in (first, third):
        assert "3 classes" in line and "real knows 4 (Advance, Halt, Rally, Wave)" in line
    assert "none: no trained recognizer" in second
    file.write_text(text.replace("target only", "source only").replace("as2ar", "as2gr"))
    twice, strange = errors(capsys, file)
    assert "'source only' is duplicated" in twice and "'as2gr' is not one of the tasks" in strange
    file.write_text(text.replace("  rows:", "  tasks: [gs2gr, gs2ar, as2ar, xx2yy]\n  rows:"))
    assert "no splits/xx2yy/*/test.csv" in errors(capsys, file)[0]
    assert not (tmp_path / "out").exists()


def test_which_job_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give one of model, predictions" in errors(capsys)[0]
    assert "given: model and predictions" in errors(capsys, "model=a", "predictions=b")[0]
    assert "model needs manifest too" in errors(capsys, "model=a")[0]
    assert "precision without effect" in errors(capsys, "predictions=a", "precision=bf16")[0]


def test_what_a_model_cannot_be_tested_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, manifest = saved_manifest(tmp_path / "data", 3)
    run, out = checkpoint(tmp_path / "run"), tmp_path / "out"

    def error_of(*changed: str) -> str:
        arguments = [f"model={run}", f"manifest={file}", f"out={out}", *QUICK, *changed]
        (line,) = errors(capsys, *arguments)
        assert not out.exists()
        return line

    four = checkpoint(tmp_path / "four", classes=(*CLASSES, "Wave"))
    assert "3 classes, " in error_of(f"model={four}") and "knows 4" in error_of(f"model={four}")
    wave = tmp_path / "wave" / "m.csv"
    save_manifest(replace(manifest, classes=("Advance", "Wave", "Rally")), wave)
    assert "class 'Wave' is unknown to" in error_of(f"manifest={wave}")
    empty = tmp_path / "data" / "empty.csv"
    save_manifest(replace(manifest, clips=()), empty)
    assert error_of(f"manifest={empty}").endswith("no clips in it; give a manifest with clips")
    hidden = tmp_path / "data" / "hidden.csv"
    save_manifest(manifest.unlabeled(), hidden)
    assert "3 of 3 clips have no label" in error_of(f"manifest={hidden}")
    (tmp_path / "nothing").mkdir()
    assert "no trained recognizer" in error_of(f"model={tmp_path / 'nothing'}")
    assert "stride=FRAMES" in error_of("clips=3")
    assert "not on this machine" in error_of("device=cuda:77")
    assert "'flying' is not on this machine" in error_of("device=flying")


def break_weights(run: Path, value: float) -> None:
    """Put a value that is no number into one tensor of a checkpoint."""
    file = run / "checkpoints" / "best" / WEIGHTS
    state = load_file(file)
    state["classifier.bias"][1] = value
    save_file(state, file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    file, _ = saved_manifest(tmp_path, 2)
    run, out = checkpoint(tmp_path / "run"), tmp_path / "out"
    break_weights(run, value)
    for command in (
        ["predict", str(run), str(file), f"out={out}"],
        ["evaluate", f"model={run}", f"manifest={file}", f"out={out}"],
        ["export", str(run), "onnx", f"out={out}.onnx"],
    ):
        more = QUICK if command[0] != "export" else ()
        assert main([*command, *more]) == 2
        printed = capsys.readouterr()
        assert "nan%" not in printed.out
        (line,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert "tensors hold nan or inf (first classifier.bias)" in line
        assert "use another checkpoint" in line


def test_logits_that_are_no_numbers_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, _ = saved_manifest(tmp_path, 2)
    run, out = checkpoint(tmp_path / "run"), tmp_path / "out"
    # Every weight is finite, but not what they make together of some feature.
    place = run / "checkpoints" / "best" / WEIGHTS
    state = load_file(place)
    state["classifier.weight"][:] = torch.tensor([[3e38], [-3e38], [0.0]])
    state["classifier.bias"].fill_(3.3e38)
    save_file(state, place)
    lines = errors(capsys, f"model={run}", f"manifest={file}", f"out={out}", *QUICK)
    assert f"{run}: its predictions for 2 of 2 clips are nan or inf, first for" in lines[0]
    assert not (out / "predictions.npz").exists()
    for more in ((), ("window=0.5",)):
        assert main(["predict", str(run), str(file), *more, *QUICK]) == 2
        shown = capsys.readouterr()
        assert "are nan or inf" in shown.err and "nan%" not in shown.out


def test_a_clip_that_cannot_be_read_stops_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, _ = saved_manifest(tmp_path, 3)
    (tmp_path / "videos" / "1.mp4").write_bytes(b"")
    run, out = checkpoint(tmp_path / "run"), tmp_path / "out"
    lines = errors(capsys, f"model={run}", f"manifest={file}", f"out={out}", *QUICK)
    assert any("1.mp4: the file is empty" in line for line in lines)
    assert not (out / "predictions.npz").exists()
