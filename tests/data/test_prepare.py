"""`vidda prepare` on small RoCoG-v2 trees: what it writes, what it reports, what it refuses."""

import json
import signal
import subprocess
import sys
import time
import typing
import zipfile
from pathlib import Path

import numpy as np
import pytest
from trees import ROCOG, SYN_A, config, prepare, problems, refusal, rocog_lists, rocog_tree, touch

from vidda import cli
from vidda.config import load
from vidda.data import load_manifest, load_shift
from vidda.data.datasets import AnyDatasetConfig
from vidda.data.prepare import PrepareConfig, run
from vidda.data.rocog import SPLITS
from vidda.errors import ViddaError


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_twelve_experiments(tmp_path: Path) -> None:
    root = rocog_tree(tmp_path / "root")
    assert prepare(tmp_path) == 0
    lists = rocog_lists()
    for experiment, names in SPLITS.items():
        shift = load_shift(tmp_path / "out", *experiment.split("/"))
        for part, name in zip(
            (shift.source, shift.target, shift.val, shift.test), names, strict=True
        ):
            if name is None:
                assert part is None
                continue
            assert part is not None
            assert part.root == root
            expected = [line.rpartition(" ") for line in lists[name]]
            assert [clip.path for clip in part.clips] == [path for path, _, _ in expected]
            labels = [None if part is shift.target else int(label) for _, _, label in expected]
            assert [clip.label for clip in part.clips] == labels
    everything = load_manifest(tmp_path / "out")
    paths = {line.rpartition(" ")[0] for name in lists.values() for line in name}
    assert {clip.path for clip in everything.clips} == paths
    assert everything.where(view="air", altitude_m=30.0).clips[0].subject == "S00"


def test_target_csv_has_no_label_and_no_class(tmp_path: Path) -> None:
    rocog_tree(tmp_path / "root")
    prepare(tmp_path)
    targets = list((tmp_path / "out" / "splits").rglob("target.csv"))
    assert {path.parent.name for path in targets} == {"adapted"}
    assert len(targets) == 4
    for path in targets:
        header = path.read_text().splitlines()[0].split(",")
        assert not {"label", "class"} & set(header)
        assert {"id", "path", "domain", "view", "subject", "altitude_m", "parent_id"} <= set(header)


def test_a_partial_download_is_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only syn_ground and real_ground: gs2gr is whole, what needs the air is left out, by name."""
    root = rocog_tree(tmp_path / "root")
    for path in [*(root / "real/air").rglob("*.mp4"), *(root / "syn/air").rglob("*.mp4")]:
        path.unlink()
    assert prepare(tmp_path) == 0
    written = {f"{p.parent.name}/{p.name}" for p in (tmp_path / "out" / "splits").glob("*/*")}
    assert written == {"gs2gr/source_only", "gs2gr/adapted", "gs2gr/target_only"}
    said = capsys.readouterr().err
    assert "left out: gs2ar/source_only: real_air_test: none of its 1 clips is there" in said
    assert problems(tmp_path) == []
    with pytest.raises(ViddaError, match="left out by prepare: real_air_test: none of its 1 clips"):
        load_shift(tmp_path / "out", "gs2ar", "source_only")


def test_missing_unlisted_and_misplaced_files_are_reported_at_once(tmp_path: Path) -> None:
    lists = rocog_lists()
    lists["syn_ground_val"].append("syn/ground/Rally/Scene1_0_Advance_1_1_2022_1_1_1.mp4 0")
    root = rocog_tree(tmp_path / "root", lists=lists)
    gone = [f"syn/ground/Advance/{SYN_A}", "real/air/Rally/S05_15m_hover_label3_start2.mp4"]
    for path in gone:
        (root / path).unlink()
    touch(root, ["syn/ground/Rally/extra.mp4", "syn/ground/Rally/extra.txt", "elsewhere.mp4"])
    said = refusal(tmp_path)
    assert set(problems(tmp_path)) == {
        ("missing", gone[0]),
        ("missing", gone[1]),
        ("class", "syn/ground/Rally/Scene1_0_Advance_1_1_2022_1_1_1.mp4"),
        ("unlisted", "syn/ground/Rally/extra.mp4"),
    }
    assert "2 listed clips that are not there" in said
    assert "allow_missing=true" in said
    assert "1 clips whose folder names another class than the list" in said
    assert not (tmp_path / "out" / "dataset.json").exists()
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_names_that_look_like_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = rocog_tree(tmp_path / "root")
    touch(root, ["syn/ground/Rally/[/b][red]:smile:.mp4"])
    assert prepare(tmp_path, summary=True) == 0
    assert "syn/ground/Rally/[/b][red]:smile:.mp4" in capsys.readouterr().err


def test_allow_missing_goes_on_and_says_without_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = rocog_tree(tmp_path / "root")
    gone = f"syn/ground/Advance/{SYN_A}"
    (root / gone).unlink()
    assert "1 listed clips that are not there, first " + gone in refusal(tmp_path)
    # Nothing finished is there to lose, so mending the mistake needs no --resume.
    assert prepare(tmp_path, allow_missing=True) == 1
    assert "WITHOUT 1 clips" in capsys.readouterr().out
    assert problems(tmp_path) == [("missing", gone)]
    source = load_shift(tmp_path / "out", "gs2gr", "adapted").source
    assert [clip.label for clip in source.clips] == [2]


def test_a_list_line_that_leaves_the_root_stops_everything(tmp_path: Path) -> None:
    root = rocog_tree(tmp_path / "root")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    with (root / "annotations" / "real_air_test.txt").open("a") as file:
        file.write("real/air/../../../secret.mp4 0\n")
    said = refusal(tmp_path, allow_missing=True)
    assert "real_air_test.txt:2: path 'real/air/../../../secret.mp4' leaves the root" in said


def test_the_wrong_root_is_one_line(tmp_path: Path) -> None:
    rocog_tree(tmp_path / "root")
    for path in (tmp_path / "root").rglob("*.mp4"):
        path.unlink()
    assert "not one of" in refusal(tmp_path)
    assert "no such folder; set root=DIR" in refusal(tmp_path / "nowhere")


def test_out_is_never_overwritten_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = rocog_tree(tmp_path / "root")
    assert prepare(tmp_path) == 0
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["verified"] is False
    before = snapshot(tmp_path / "out")
    assert prepare(tmp_path) == 0
    assert "unchanged" in capsys.readouterr().out
    assert snapshot(tmp_path / "out") == before

    (root / "annotations" / "real_air_test.txt").unlink()
    assert "already prepared, and manifest.csv would change; --resume" in refusal(tmp_path)
    assert {k: v for k, v in snapshot(tmp_path / "out").items() if k != "problems.csv"} == {
        k: v for k, v in before.items() if k != "problems.csv"
    }
    assert prepare(tmp_path, resume=True) == 0
    assert not (tmp_path / "out" / "splits" / "gs2ar" / "source_only").exists()
    # This one names no clip of its own: only splits would go, and they do not go unasked either.
    (root / "annotations" / "real_ground_val_tsonly.txt").unlink()
    assert "splits/gs2gr/target_only/test.csv would change" in refusal(tmp_path)
    assert prepare(tmp_path, resume=True) == 0
    assert not (tmp_path / "out" / "splits" / "gs2gr" / "target_only").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    rocog_tree(tmp_path / "root")
    touch(tmp_path / "out", ["thesis.txt"])
    assert "not empty and not made by prepare" in refusal(tmp_path, resume=True)
    other = rocog_tree(tmp_path / "other")
    assert run(config(other, tmp_path / "out2", ROCOG), dry_run=False, resume=False) == 0
    with pytest.raises(ViddaError, match="prepared from another root or dataset"):
        run(config(tmp_path / "root", tmp_path / "out2", ROCOG), dry_run=False, resume=True)


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rocog_tree(tmp_path / "root")
    before = snapshot(tmp_path)
    assert prepare(tmp_path, dry_run=True) == 0
    assert snapshot(tmp_path) == before
    assert "12 of 12 experiments" in capsys.readouterr().out


def test_summary_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rocog_tree(tmp_path / "root")
    prepare(tmp_path, summary=True)
    said = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.strip()}
    assert rows["Rally"] == ["1", "0", "1", "0", "1", "1", "1", "1"]
    assert rows["clips"] == ["2", "1", "2", "1", "3", "1", "3", "1"]
    assert rows["duration"] == ["?"] * 8


def test_sidecars_are_recorded(tmp_path: Path) -> None:
    root = rocog_tree(tmp_path / "root")
    stem = SYN_A.removesuffix(".mp4")
    touch(root, [f"sidecar/syn/ground/Advance/{stem}.npz"])
    np.savez(root / f"sidecar/syn/ground/Advance/{stem}.npz", speed=np.zeros(3))
    prepare(tmp_path)
    found = load_manifest(tmp_path / "out").where(sidecar=f"sidecar/syn/ground/Advance/{stem}.npz")
    assert [clip.path for clip in found.clips] == [f"syn/ground/Advance/{SYN_A}"]


def test_killed_at_any_instant_and_resumed(tmp_path: Path) -> None:
    """SIGKILL at several instants; what is left is never taken for a finished dataset."""
    root = rocog_tree(tmp_path / "root")
    out = tmp_path / "out"
    code = (
        "import sys; from vidda.cli import main;"
        f"sys.exit(main(['prepare', 'root={root}', 'out={out}', 'dataset.name=rocog_v2']))"
    )
    for delay in (0.35, 0.5, 0.65):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (out / "dataset.json").exists():
            break
    assert prepare(tmp_path, resume=True) == 0
    assert len(load_manifest(out)) == 14
    assert len(list((out / "splits").glob("*/*"))) == 12
    assert not [p for p in out.rglob("*") if ".part" in p.name and p.stat().st_size > 1 << 20]


@pytest.mark.parametrize("prefix", ["syn/ground/", "data/syn/ground/", "syn_ground/", ""])
def test_zip_files_become_the_tree(tmp_path: Path, prefix: str) -> None:
    """Whatever the members start with; orbital and uncropped videos stay packed."""
    whole = rocog_tree(tmp_path / "whole")
    root = tmp_path / "root"
    root.mkdir()
    for side in ("annotations", "simulation_info", "class_dict.json"):
        (whole / side).rename(root / side)
    with zipfile.ZipFile(root / "syn_ground.zip", "w") as archive:
        for path in (whole / "syn" / "ground").rglob("*.mp4"):
            archive.write(path, prefix + path.relative_to(whole / "syn" / "ground").as_posix())
    with zipfile.ZipFile(root / "real_ground.zip", "w") as archive:
        for path in (whole / "real" / "ground").rglob("*.mp4"):
            archive.write(path, path.relative_to(whole).as_posix())
    (root / "syn_orbital.zip").write_bytes(b"not even looked at")
    assert prepare(tmp_path, dry_run=True) == 0
    assert not (root / "syn").exists()
    assert prepare(tmp_path) == 0
    assert load_shift(tmp_path / "out", "gs2gr", "adapted").target is not None
    assert prepare(tmp_path) == 0


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    root = rocog_tree(tmp_path / "root")
    with zipfile.ZipFile(root / "real_air.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    assert "real_air.zip: holds no CLASS/FILE.mp4" in refusal(tmp_path)
    (root / "real_air.zip").write_bytes(b"<html>not found</html>")
    assert "real_air.zip: is not a whole zip file" in refusal(tmp_path)


CONFIGS = Path(__file__).parents[2] / "configs" / "prepare"


def test_there_is_a_config_for_each_layout() -> None:
    loaded = {load(PrepareConfig, file, ["root=."]).dataset.name for file in CONFIGS.glob("*.yaml")}
    layouts = typing.get_args(typing.get_args(AnyDatasetConfig)[0])
    assert loaded == {typing.get_args(m.model_fields["name"].annotation)[0] for m in layouts}


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_configs_open_with_their_command(file: Path) -> None:
    comment = file.read_text().split("\nout:")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert f"vidda prepare configs/prepare/{file.name} root=DIR" in comment


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = CONFIGS / "rocog_v2.yaml"
    root = rocog_tree(tmp_path / "root")
    arguments = ["prepare", str(file), f"root={root}", f"out={tmp_path / 'out'}"]
    assert cli.main([*arguments, "--summary", "--dry-run"]) == 0
    assert cli.main(arguments) == 0
    assert cli.main([*arguments, "dataset.annotatons=x"]) == 2
    assert "did you mean 'annotations'?" in capsys.readouterr().err
    assert cli.main(["prepare", "--help"]) == 0
    said = capsys.readouterr().out
    for name in ("rocog_v2", "lists", "folders", "csv", "ucf_hmdb", "visda2017", "s2rda49"):
        assert name in said


HOLD = """
import sys
from pathlib import Path
from vidda.files import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("held", ["root", "out"])
def test_one_prepare_at_a_time_unpacks_a_root_and_writes_an_out(tmp_path: Path, held: str) -> None:
    root = rocog_tree(tmp_path / "root")
    with zipfile.ZipFile(root / "syn_ground.zip", "w") as archive:
        archive.writestr("Advance/Scene9_0_Advance_30_1_2022_18_0_0.mp4", "new")
    (tmp_path / "out").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / held)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    said = refusal(tmp_path)
    assert said.startswith(f"{tmp_path / held} is in use by another process")
    assert "\n" not in said
    assert not (tmp_path / "out" / "manifest.csv").exists()
    holder.communicate()
    assert prepare(tmp_path) == 0


def test_a_root_that_is_unpacked_already_is_not_held(tmp_path: Path) -> None:
    """It may be read-only, and what others read there does no harm."""
    root = rocog_tree(tmp_path / "root")
    with zipfile.ZipFile(root / "syn_ground.zip", "w") as archive:
        archive.writestr(f"Advance/{SYN_A}", (root / "syn/ground/Advance" / SYN_A).read_text())
    assert prepare(tmp_path) == 0
    assert not (root / ".lock").exists()
