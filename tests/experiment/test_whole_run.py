"""`vidda run`: every stage a real command in its own process; skipped, resumed, stopped."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiment.jobs import TRANSLATE, job, loaded, of_tree, with_variants, write
from tests.faults.driving import files
from tests.tiny_diffusion import write_controlnet, write_tiny
from vidda.cli import main
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.experiment.experiment_plan import make_plan
from vidda.experiment.job import run
from vidda.experiment.stage_records import STAGES_FILE
from vidda.files import lock


def sessions(out: Path) -> dict[str, int]:
    """How often each stage was started, as recorded."""
    rows = json.loads((out / STAGES_FILE).read_text())["stages"]
    return {row["name"]: row["sessions"] for row in rows}


def test_a_failing_stage_stops_the_job_and_complete_ones_are_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = loaded(of_tree(tmp_path)), tmp_path / "out"
    for start in (1, 2):
        with pytest.raises(ViddaError) as raised:
            run(config, dry_run=False, resume=start == 2)
        (line,) = str(raised.value).splitlines()
        assert line.startswith("[2/5] randomize: masks, gs2gr failed: clip ")
        assert "has no sidecar" in line and "(exit status 2)" in line
        assert f"see {out / 'stages' / 'masks-syn_ground_train.log'}; --resume continues" in line
        assert sessions(out) == {"prepare": 1, "masks-syn_ground_train": start}
    assert "[1/5] prepare: done in" in capsys.readouterr().err
    assert not (out / "trained").exists()


def test_a_dry_run_changes_nothing_and_tries_what_has_its_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = of_tree(tmp_path, gpu_tflops=100.0)
    assert run(loaded(content), dry_run=True, resume=False) == 0
    printed = capsys.readouterr().out
    assert "5 stages, 0 complete" in printed
    assert "dry run of prepare: dry run: would write 14 clips" in printed
    assert "GPU hours in total at 100 TFLOP/s" in printed
    assert not (tmp_path / "out").exists()
    (tmp_path / "tree" / "real" / "ground" / "Advance").rename(tmp_path / "elsewhere")
    with pytest.raises(ViddaError, match=r"^prepare: 1 listed clips .*\(exit status 2\)"):
        run(loaded(content), dry_run=True, resume=False)


def test_folders_of_others_and_jobs_that_are_there_are_refused(tmp_path: Path) -> None:
    config = loaded(job(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("")
    with pytest.raises(ViddaError, match="not made by vidda run"):
        run(config, dry_run=True, resume=True)
    (tmp_path / "out" / "stages").mkdir()
    with pytest.raises(ViddaError, match="holds a job already; --resume continues it"):
        run(config, dry_run=False, resume=False)


def test_a_stage_that_was_begun_does_not_change(tmp_path: Path) -> None:
    content = job(tmp_path / "out")
    (tmp_path / "out" / "stages").mkdir(parents=True)
    config = tmp_path / "out" / "stages" / "mini.yaml"
    config.write_text("out: elsewhere\nseed: 7\n")
    (tmp_path / "out" / "data").mkdir()
    (tmp_path / "out" / "data" / "mini.json").write_text("{}")
    with pytest.raises(ViddaError) as raised:
        run(loaded(content), dry_run=False, resume=True)
    text = str(raised.value)
    assert text.startswith("mini was started with another config (now ")
    assert f"or delete {tmp_path / 'out' / 'data'} and {config}" in text


def test_a_stage_that_never_began_takes_the_corrected_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = job(tmp_path / "out")
    (tmp_path / "out" / "stages").mkdir(parents=True)
    (tmp_path / "out" / "stages" / "mini.yaml").write_text("out: elsewhere\nseed: 7\n")
    assert run(loaded(content), dry_run=True, resume=True) == 0
    assert "stages, 0 complete" in capsys.readouterr().out


def test_a_dry_run_refuses_what_a_later_stage_would(tmp_path: Path) -> None:
    content = with_variants(tmp_path / "out", weights=str(tmp_path / "weights"))
    base = write_tiny(tmp_path / "weights", size=32)
    for number, kind in enumerate(("edges", "pose"), 1):
        write_controlnet(tmp_path / "weights" / f"controlnet_{kind}", base, number)
    content["variants"]["ours"]["change"] = {
        **TRANSLATE, "control.edges": None, "backbone.sampling.scheduler.overrides": {"spacing": 3},
    }  # fmt: skip
    change = content["recognizers"]["tiny"]["change"]
    change |= {"batch_size": 3, "accumulate": 2, "sampling": {"name": "views", "frames": 4}}
    with pytest.raises(ViddaError) as raised:
        run(loaded(content), dry_run=True, resume=False)
    text = str(raised.value)
    assert "translate: ours, gs2gr: backbone.weights.controlnets.0 reads edges" in text
    assert "scheduler.overrides.spacing: ddim has no such setting" in text
    assert "train: source only, gs2gr, seed 0: batch_size: 3 is not a multiple of 2" in text
    assert "train: source only, gs2gr, seed 0: sampling, transform: several views of a clip" in text


def test_mistakes_of_the_config_are_told_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = job(tmp_path / "out")
    content["recognizers"]["tiny"]["change"]["epoks"] = 3
    content["arms"]["x"] = {"data": ["y"]}
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(content))
    assert main(["run", str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "error: arms.x.data: 'y' is not one of source, target",
        "error: recognizers.tiny: epoks: unknown key; did you mean 'epochs'?",
    ]
    assert not (tmp_path / "out").exists()


def test_a_job_leaves_out_what_the_data_do_not_have_and_says_so(tmp_path: Path) -> None:
    content = of_tree(tmp_path, arms={"target only": {"data": ["target"]}})
    (tmp_path / "tree" / "annotations" / "real_ground_val_tsonly.txt").unlink()
    with pytest.raises(ViddaError) as raised:
        run(loaded(content), dry_run=False, resume=False)
    reason = "gs2gr/target_only: real_ground_val_tsonly: the list is not there"
    assert str(raised.value) == (
        f"arms: none can be trained: {reason}; arm 'target only': nothing to train it on"
    )
    content["arms"]["source only"] = {"data": ["source"]}
    plan = make_plan(loaded(content))
    assert plan.left_out == (reason, "arm 'target only': nothing to train it on")


@pytest.mark.deep
def test_a_job_spread_over_ray_workers_writes_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    # Ray's stages have one thread each.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = []
    for executor in ({"name": "local"}, {"name": "ray", "workers": 2}):
        folder = tmp_path / executor["name"]
        folder.mkdir()
        monkeypatch.chdir(folder)
        content = job(Path("out"), executor=executor)
        content["recognizers"]["tiny"]["steps"] = 2
        # So few clips have no validation subjects among the target's.
        content["arms"] = {
            "plain": {"data": ["source"], "augment": False},
            "augmented": {"data": ["source"]},
        }
        assert run(loaded(content), dry_run=False, resume=False) == 0
        made = files(folder / "out").items()
        found.append(
            {
                name: content.replace(bytes(folder), b"")
                for name, content in made
                if not name.startswith("report/") and not name.endswith(".log")
            }
        )
    local, ray = found
    assert local.keys() == ray.keys() and len(local) > 40
    assert [name for name in local if local[name] != ray[name]] == []


@pytest.mark.deep
def test_a_whole_job_killed_and_gone_on_with_then_made_larger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, weights = tmp_path / "out", tmp_path / "weights"
    base = write_tiny(weights, size=32)
    write_controlnet(weights / "controlnet_edges", base, 1)
    write_controlnet(weights / "controlnet_pose", base, 2)
    content = with_variants(out, weights=str(weights))
    del content["arms"]["target only"]  # so few clips have no validation subjects
    file = write(content, tmp_path / "job.yaml")

    command = [sys.executable, "-m", "vidda.cli", "run", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _wait_for(out / "trained" / "tiny" / "syn_ground_train-0" / "config.yaml", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = sessions(out)
    assert set(before) == {
        "mini",
        "prepare",
        "masks-syn_ground_train",
        "decoder-real_ground_train",
        "ours-syn_ground_train-real_ground_train",
    }
    # The stage at work is ended with the job, and frees its folder, but not in the same instant.
    _wait_until_free(out / "trained" / "tiny" / "syn_ground_train-0")
    config = loaded(content)
    assert run(config, dry_run=False, resume=True) == 0
    after = sessions(out)
    assert all(count == 1 for count in after.values())
    printed = capsys.readouterr().out
    result = json.loads((out / "report/tiny/report.json").read_text())["main_result"]
    end = printed[printed.index(result) :].splitlines()
    assert "Accuracy in %" in [line.strip() for line in end]
    named = [line.strip() for line in end if "[" in line and "seed" not in line]
    assert [line.split("  ")[0] for line in named] == ["source only", "masks", "source + ours"]
    assert all(len(line) <= 100 for line in end[1:-1])
    assert end[-1] == f"report of tiny: {out / 'report' / 'tiny' / 'index.html'}"
    page = (out / "report" / "tiny" / "index.html").read_text()
    commands = page[page.index('<pre class="commands">') :]
    assert commands.startswith(f'<pre class="commands"><span>vidda run {out}/config.yaml</span>')
    assert all(f" {out}/stages/{name}.yaml</span>" in commands for name in after)
    assert _rows(out) == ["masks", "source + ours", "source only"]
    ours = load_manifest(out / "translated" / "ours-syn_ground_train-real_ground_train")
    assert {clip.domain for clip in ours.clips} == {"translated"}

    files = _contents(out)
    assert run(config, dry_run=False, resume=True) == 0
    assert "10 stages, 10 complete" in capsys.readouterr().out
    assert _contents(out) == files, "nothing is done twice"

    content["arms"]["image augmentation"] = {"data": ["source"]}
    recipe = {"steps": 4, "change": {"method": {"name": "coral"}}}
    content["arms"]["coral"] = {"data": ["masks"], "adapt": recipe}
    assert run(loaded(content), dry_run=False, resume=True) == 0
    assert _rows(out) == ["coral", "image augmentation", "masks", "source + ours", "source only"]
    added = {name for name, count in sessions(out).items() if name not in after}
    assert added == {
        "train-tiny-syn_ground_train-augmented-0",
        "adapt-tiny-coral-syn_ground_train-real_ground_train-adapted-0",
    }
    assert "image augmentation" in (out / "report" / "tiny" / "index.html").read_text()


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, "the job ended too early"
        time.sleep(0.05)


def _wait_until_free(folder: Path) -> None:
    while True:
        try:
            with lock(folder):
                return
        except ViddaError:
            time.sleep(0.05)


def _rows(out: Path) -> list[str]:
    content = json.loads((out / "evaluated" / "tiny" / "transfer.json").read_text())
    return sorted({cell["row"] for cell in content["cells"]})


def _contents(out: Path) -> dict[str, int]:
    """When each file was last written."""
    kept = (path for path in out.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.stat().st_mtime_ns for path in kept if path.name != "config.yaml"}
