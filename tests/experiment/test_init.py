"""`vidda init`: a job of one's own clips, for each layout that it knows; nothing is copied."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.trees import rocog_tree, touch
from vidda.cli import main
from vidda.config import load
from vidda.data.manifest import save_manifest
from vidda.data.pair import DomainPair
from vidda.experiment.config_checks import check_configs
from vidda.experiment.experiment_config import ExperimentConfig
from vidda.experiment.experiment_plan import ExperimentPlan, make_plan
from vidda.recognize.train_config import TrainConfig
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord, Manifest

ROOT = Path(__file__).parents[2]
CLASSES = ("jump", "run", "walk")


def class_folders(folder: str, count: int = 6, classes: Sequence[str] = CLASSES) -> None:
    """Files of one byte, since `vidda init` decodes nothing."""
    touch(Path(folder), [f"{name}/{n}.mp4" for name in classes for n in range(count)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["init", "job", *words]) == 0
    return capsys.readouterr().out.splitlines()


def planned(file: str = "job/run.yaml") -> tuple[ExperimentConfig, ExperimentPlan]:
    config = load(ExperimentConfig, Path(file))
    return config, make_plan(config)


def pair(plan: ExperimentPlan) -> DomainPair:
    assert isinstance(plan.prepare.dataset, DomainPair)
    return plan.prepare.dataset


def test_class_folders_become_a_job_that_can_be_planned(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders("rendered")
    class_folders("filmed", 8)
    before = sorted(here.rglob("*"))
    lines = init(capsys, "source=rendered", "target=filmed", "device=cpu")
    assert lines[:2] == [
        "source: rendered: a folder of videos for each class; 18 clips of 3 classes: jump (6),"
        " run (6), walk (6)",
        "target: filmed: a folder of videos for each class; 24 clips of 3 classes: jump (8),"
        " run (8), walk (8)",
    ]
    assert any(line.startswith("note: target: split by clip, as no column") for line in lines)
    assert lines[-3:] == [
        "wrote job/run.yaml, for CPUs; next:",
        "  vidda run job/run.yaml --dry-run",
        "  vidda run job/run.yaml",
    ]
    assert set(here.rglob("*")) - set(before) == {here / "job", here / "job" / "run.yaml"}
    config, plan = planned()
    assert (config.out, plan.prepare.root, plan.tasks) == (
        Path("job/results"), Path(), ("source2target",),
    )  # fmt: skip
    assert pair(plan).classes == "error" and pair(plan).target.labeled
    commands = [stage.command for stage in plan.stages]
    assert {*commands} == {"prepare", "translate", "train", "adapt", "evaluate", "report"}
    assert commands.count("train") == 4
    assert [line.partition(":")[0] for line in plan.left_out] == ["randomized", "arm 'randomized'"]
    (batches,) = {s.config.batch_size for s in plan.stages if isinstance(s.config, TrainConfig)}
    assert batches == 8  # 15 clips of the source are trained on
    check_configs(plan.stages)


def test_a_target_without_labels_has_no_arm_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class_folders("rendered")
    touch(Path("filmed"), [f"{n}.mp4" for n in range(9)] + ["notes.txt"])
    lines = init(capsys, "source=rendered", "target=filmed", "device=cpu")
    assert lines[1] == "target: filmed: one folder of videos; 9 clips without labels"
    assert any("target: 9 clips without labels, so there is no test" in line for line in lines)
    assert any("1 files that are no video or image" in line for line in lines), lines
    config, plan = planned()
    assert "target only" not in config.arms and not pair(plan).target.labeled
    assert {*plan.known.experiments} == {"source2target/source_only", "source2target/adapted"}


def test_a_target_of_folders_of_frames_needs_no_classes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class_folders("rendered")
    touch(Path("filmed"), [f"take{n}/{t}.jpg" for n in range(5) for t in range(3)])
    lines = init(capsys, "source=rendered", "target=filmed", "device=cpu")
    assert lines[1] == "target: filmed: one folder of folders of frames; 5 clips without labels"
    assert len(planned()[1].known.listing.lists["target"]) == 5


def test_folders_that_are_no_classes_of_the_source_are_no_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class_folders("rendered")
    class_folders("filmed", classes=("monday", "tuesday"))
    lines = init(capsys, "source=rendered", "target=filmed", "device=cpu")
    assert (
        "note: target: taken without labels: its classes (monday, tuesday) are not the source's; if"
        " they should be, give them the same names" in lines
    )
    assert not pair(planned()[1]).target.labeled


def test_classes_of_one_domain_are_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    class_folders("rendered", classes=(*CLASSES, "swim"))
    class_folders("filmed", classes=(*CLASSES, "fall"))
    lines = init(capsys, "source=rendered", "target=filmed", "device=cpu")
    text = "\n".join(lines)
    assert "only in the source: 'swim' (6 clips)" in text
    assert "only in the target: 'fall' (6 clips)" in text
    plan = planned()[1]
    assert pair(plan).classes == "intersection"
    assert plan.known.listing is not None and plan.known.listing.classes == CLASSES


def test_lists_manifests_and_frames_are_known(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders("clips/rendered")
    clips = tuple(
        ClipRecord(f"{name}/{n}", f"{name}/{n}.mp4", label, "synthetic", "air", f"S{n}")
        for label, name in enumerate(CLASSES)
        for n in range(6)
    )
    save_manifest(Manifest(here / "clips/rendered", CLASSES, clips), Path("lists/manifest.csv"))
    for clip in clips:
        file = here / "clips/rendered/sidecar" / f"{clip.id}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, mask=np.zeros((1, 2, 2)))
    frames = [f"{name}/{n}/{t}.jpg" for name in CLASSES for n in range(6) for t in range(3)]
    touch(Path("frames"), frames)
    lines = init(capsys, "source=lists", "target=frames", "device=cpu")
    assert lines[0].startswith("source: lists: a manifest of vidda; 18 clips of 3 classes")
    assert lines[0].endswith("; columns: subject")
    assert lines[1].startswith("target: frames: a folder of folders of frames for each class; 18")
    assert any("source: split by subject" in line for line in lines)
    plan = planned()[1]
    assert plan.prepare.root == Path() and plan.left_out == ()
    assert "randomize" in [stage.command for stage in plan.stages]


def test_text_lists_and_csv_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    class_folders("a b/rendered")
    class_folders("a b/filmed")
    paths = [f"{name}/{n}.mp4" for name in CLASSES for n in range(6)]
    labeled = [(path, CLASSES.index(path.partition("/")[0])) for path in paths]
    Path("a b/source.txt").write_text("".join(f"rendered/{p} {n}\n" for p, n in labeled))
    rows = "".join(f"filmed/{p},{CLASSES[n]},{p[-5]}\n" for p, n in labeled)
    Path("a b/target.csv").write_text(f"path,class,scene\n{rows}")
    lines = init(capsys, "source=a b/source.txt", "target=a b/target.csv", "device=cpu")
    assert lines[0].startswith("source: a b/source.txt: a list of paths and labels; 18 clips")
    assert lines[1].startswith("target: a b/target.csv: a CSV list; 18 clips of 3 classes")
    assert lines[1].endswith("; columns: scene")
    assert any("target: split by scene" in line for line in lines)
    assert planned()[1].prepare.root == Path("a b")


def test_folders_elsewhere_are_named_from_the_current_one(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders("rendered")
    class_folders("below/filmed")
    monkeypatch.chdir(here / "below")
    init(capsys, "source=../rendered", "target=filmed", "device=cpu")
    plan = planned()[1]
    assert plan.prepare.root == here
    assert (pair(plan).source.path, pair(plan).target.path) == (
        Path("rendered"), Path("below/filmed"),
    )  # fmt: skip


def test_a_tree_of_rocog_is_enough_alone(capsys: pytest.CaptureFixture[str]) -> None:
    rocog_tree(Path("tree"))
    lines = init(capsys, "source=tree", "device=cpu")
    assert lines[0].startswith("source: tree: a tree of RoCoG-v2; 3 classes")
    config, plan = planned()
    assert plan.prepare.dataset.name == "rocog_v2" and config.tasks == ("gs2gr",)


def test_a_job_that_is_there_is_never_changed(capsys: pytest.CaptureFixture[str]) -> None:
    class_folders("rendered")
    class_folders("filmed")
    assert main(["init", "job", "source=rendered", "target=filmed", "--dry-run"]) == 0
    assert not Path("job").exists()
    Path("job").mkdir()
    Path("job/run.yaml").write_text("mine")
    capsys.readouterr()
    for flags in ([], ["--resume"], ["--dry-run"]):
        assert main(["init", "job", "source=rendered", "target=filmed", *flags]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: job/run.yaml: is there already; edit it, delete it, or")
    assert Path("job/run.yaml").read_text() == "mine"


def test_mistakes_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    class_folders("rendered")
    for words, expected in [
        (["source=sauce", "target=targe"], ["source: sauce is not there", "target: targe is not"]),
        (["source=rendered"], ["source: rendered alone is no tree of RoCoG-v2"]),
        (["source=rendered", "target=rendered"], ["both are"]),
        (["source=rendered", "target=rendered/run"], ["is inside"]),
    ]:
        assert main(["init", "job", *words]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(expected)
        assert all(part in line for part, line in zip(expected, lines, strict=True)), lines
    assert not Path("job").exists()


def test_the_job_for_a_gpu_has_the_settings_of_the_recipes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class_folders("rendered", 40)
    class_folders("filmed", 40)
    lines = init(capsys, "source=rendered", "target=filmed", "device=cuda")
    assert "wrote job/run.yaml, for a GPU; next:" in lines
    config, plan = planned()
    check_configs(plan.stages)
    (made,) = [one.config for one in plan.stages if isinstance(one.config, TranslateConfig)]
    recipe = load(TranslateConfig, ROOT / "configs/translate/sd15.yaml")
    assert made.backbone.sampling == recipe.backbone.sampling
    assert (made.size, made.frames, made.prompt) == (recipe.size, recipe.frames, recipe.prompt)
    assert made.backbone.weights.controlnets == recipe.backbone.weights.controlnets[:1]
    videomae = load(TrainConfig, ROOT / "configs/train/videomae.yaml")
    trained = next(one.config for one in plan.stages if isinstance(one.config, TrainConfig))
    assert trained.sampling == videomae.sampling and trained.repeats == videomae.repeats
    start = trained.model.model_dump()["start"]
    assert start["repo"] == videomae.model.model_dump()["start"]["repo"] and start["download"]
    assert config.gpu_tflops and "dreambooth" in config.personalize
