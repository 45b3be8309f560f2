"""`dataset.name=pair`: a labeled source and a target, from folders, manifests and lists."""

import json
import os
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import config

from vidda import video
from vidda.data import load_manifest, load_shift
from vidda.data.manifest import read_description, save_manifest
from vidda.data.prepare import PrepareConfig, run
from vidda.data.survey import survey
from vidda.errors import ViddaError
from vidda.types import ClipRecord, Manifest

CLASSES = ("Wave", "Follow me", "halt")
DATASET_KEYS = ("classes", "seed", "task", "test_share", "test_subjects")


def fill(root: Path, paths: list[str]) -> None:
    """Files that differ, with their folders: equal ones would be clips that two lists share."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def folders(root: Path, *, source: int = 10, target: int = 10) -> Path:
    fill(root, [f"syn/{c}/{n}.mp4" for c in CLASSES for n in range(source)])
    fill(root, [f"real/{c}/{n}.avi" for c in CLASSES for n in range(target)])
    return root


def settings(root: Path, out: str = "out", **more: object) -> PrepareConfig:
    dataset = {
        "name": "pair",
        "source": {"path": "syn", **more.pop("source", {})},  # type: ignore[dict-item]
        "target": {"path": "real", **more.pop("target", {})},  # type: ignore[dict-item]
        **{key: more.pop(key) for key in DATASET_KEYS if key in more},
    }
    return config(root, root.parent / out, dataset, **more)


def prepare(root: Path, out: str = "out", **more: object) -> Path:
    assert run(settings(root, out, **more), dry_run=False, resume=False) == 0
    return root.parent / out


def refusal(root: Path, **more: object) -> str:
    used = len(list(root.parent.glob("refused*")))
    with pytest.raises(ViddaError) as caught:
        prepare(root, f"refused{used}", **more)
    return str(caught.value)


def paths(manifest: Manifest | None) -> set[str]:
    assert manifest is not None
    return {clip.path for clip in manifest.clips}


def parts(out: Path, task: str = "source2target") -> dict[str, set[str]]:
    """The paths of every list."""
    adapted, only = (load_shift(out, task, one) for one in ("adapted", "target_only"))
    return {
        "train": paths(adapted.source), "val": paths(adapted.val),
        "target": paths(adapted.target), "test": paths(adapted.test),
        "target_train": paths(only.source), "target_val": paths(only.val),
    }  # fmt: skip


def write_list(root: Path, name: str, rows: list[tuple[str, str, str]], column: str) -> None:
    lines = [",".join(("path", "class", column)), *(",".join(row) for row in rows)]
    (root / name).write_text("\n".join(lines) + "\n")


def subject_list(root: Path, side: str, subjects: int, column: str = "subject") -> list[str]:
    """A CSV of clips of some subjects, three of each class and subject, and the clips."""
    rows = [
        (f"{side}/{c}/s{s}_{n}.mp4", c, f"S{s}")
        for s in range(subjects)
        for c in CLASSES
        for n in range(3)
    ]
    fill(root, [row[0] for row in rows])
    write_list(root, f"{side}.csv", rows, column)
    return [row[0] for row in rows]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_two_folders(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = prepare(folders(root))
    found = parts(out)
    assert {name: len(members) for name, members in found.items()} == {
        "train": 27, "val": 3, "target": 21, "test": 9, "target_train": 18, "target_val": 3,
    }  # fmt: skip
    assert found["target_train"] | found["target_val"] == found["target"]
    assert not found["target_train"] & found["target_val"]
    assert not found["target"] & found["test"]
    for members in found.values():
        assert {path.split("/")[1] for path in members} == set(CLASSES)
    shift = load_shift(out, "source2target", "adapted")
    assert shift.target is not None
    assert shift.test is not None
    assert {clip.label for clip in shift.target.clips} == {None}
    assert {(c.domain, c.view, c.meta["split"]) for c in shift.val.clips} == {
        ("synthetic", "ground", "val")
    }
    assert {(c.domain, c.meta["split"]) for c in shift.test.clips} == {("real", "test")}
    stated = read_description(out / "dataset.json")["experiments"]
    assert {name: one["synthetic"] for name, one in stated.items()} == {
        "source2target/source_only": True,
        "source2target/adapted": True,
        "source2target/target_only": False,
    }
    said = capsys.readouterr().err
    assert "note: source: split by clip, as no column says" in said
    assert "train 27 clips, val 3 clips" in said
    assert "test 9 clips, target_train 18 clips, target_val 3 clips" in said


def test_prepare_as_always(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run writes nothing, a second run nothing new, summary counts, verify decodes."""
    one = settings(folders(root), summary=True, target={"domain": "photo"})
    assert run(one, dry_run=True, resume=False) == 0
    said = capsys.readouterr().out
    assert "would write 60 clips, 3 of 3 experiments" in said
    assert "photo" in said
    assert not (root.parent / "out").exists()
    assert run(one, dry_run=False, resume=False) == 0
    assert run(one, dry_run=False, resume=True) == 0
    assert "unchanged: 60 clips" in capsys.readouterr().out
    with pytest.raises(ViddaError, match="was prepared from another root or dataset"):
        run(settings(root, seed=1), dry_run=False, resume=True)
    with pytest.raises(ViddaError, match="60 clips that cannot be decoded"):
        run(settings(root, "verified", verify=True, jobs=1), dry_run=False, resume=False)


def test_splits_depend_neither_on_the_order_nor_on_the_place(tmp_path: Path) -> None:
    """Nor on the root: a pair that lies deeper in it has the same splits."""
    here, there = tmp_path / "a" / "root", tmp_path / "b" / "root"
    folders(here)
    for side, kind in (("real", "avi"), ("syn", "mp4")):
        fill(there, [f"x/{side}/{c}/{n}.{kind}" for c in CLASSES[::-1] for n in range(9, -1, -1)])
    one = parts(prepare(here))
    deeper = {"source": {"path": "x/syn"}, "target": {"path": "x/real"}}
    other = parts(prepare(there, **deeper))
    assert other == {name: {f"x/{path}" for path in found} for name, found in one.items()}
    seeded = parts(prepare(here, "seeded", seed=3))
    assert seeded["test"] != one["test"]
    assert seeded["val"] != one["val"]


@pytest.mark.parametrize("column", ["subject", "scene", "actor"])
def test_clips_of_a_group_stay_together(
    root: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    subject_list(root, "syn", 5, column)
    subject_list(root, "real", 8, column)
    group = {"group": "actor"} if column == "actor" else {}
    found = parts(
        prepare(root, source={"path": "syn.csv", **group}, target={"path": "real.csv", **group})
    )
    subjects = {
        name: {path.split("/")[2].split("_")[0] for path in members}
        for name, members in found.items()
    }
    assert {name: len(one) for name, one in subjects.items()} == {
        "train": 4, "val": 1, "target": 6, "test": 2, "target_train": 5, "target_val": 1,
    }  # fmt: skip
    assert not subjects["train"] & subjects["val"]
    assert not subjects["target"] & subjects["test"]
    assert not subjects["target_train"] & subjects["target_val"]
    said = capsys.readouterr().err
    assert (
        f"source: split by {column}: train 36 clips of 4 {column}s, val 9 clips of 1 {column}\n"
        in said
    )
    manifest = load_manifest(root.parent / "out")
    clip = manifest.clips[0]
    assert (clip.subject if column == "subject" else clip.meta[column]) in {
        f"S{n}" for n in range(8)
    }


def test_a_group_that_holds_all_of_a_class_stays_in_training(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class of one subject cannot be on both sides; the other classes are."""
    folders(root)
    rows = [(f"a/{c}{s}{n}.mp4", c, s) for c in ("Wave", "halt") for s in "pqrs" for n in range(2)]
    rows += [(f"a/f{n}.mp4", "Follow me", "q") for n in range(2)]
    fill(root, [row[0] for row in rows])
    write_list(root, "real.csv", rows, "scene")
    found = parts(prepare(root, target={"path": "real.csv"}))
    assert {"a/f0.mp4", "a/f1.mp4"} <= found["target_train"]
    said = capsys.readouterr().err
    assert "target: test has no clip of Follow me; they are too few to be on both sides" in said
    assert "target: target_val has no clip of Follow me" in said


def test_clips_without_a_group_are_one(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(root)
    rows = [(f"real/{c}/{n}.avi", c, "S1" if n < 4 else "") for c in CLASSES for n in range(10)]
    write_list(root, "real.csv", rows, "subject")
    found = parts(prepare(root, target={"path": "real.csv"}))
    named = {path for path, _, subject in rows if subject}
    assert named in (found["test"], found["target"])
    assert "target: 18 clips have no subject and stay together as one" in capsys.readouterr().err


def test_fewer_than_two_groups_are_split_by_clip(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject_list(root, "syn", 1)
    folders(root, source=0)
    found = parts(prepare(root, source={"path": "syn.csv"}))
    assert len(found["val"]) == 3
    said = capsys.readouterr().err
    assert "source: val is held out by clip, as all have the subject 'S0'" in said


def test_a_target_without_labels(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(root, target=0)
    fill(root, [f"real/{n}.mp4" for n in range(4)])
    out = prepare(root, target={"labeled": False})
    shift = load_shift(out, "source2target", "adapted")
    assert (shift.test, len(paths(shift.target))) == (None, 4)
    experiments = read_description(out / "dataset.json")["experiments"]
    assert [*experiments] == ["source2target/source_only", "source2target/adapted"]
    assert "target: 4 clips without labels, so there is no test and no target_only" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("kind", ["folder", "list", "manifest"])
def test_labels_that_are_not_asked_for_are_ignored(
    root: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class that the source lacks is no mistake then, nor is a label out of range."""
    folders(root)
    fill(root, ["real/Salute/1.avi"])
    (root / "real.txt").write_text("real/Wave/1.avi 17\nreal/halt/1.avi 3\n")
    clips = (ClipRecord("a", "real/Wave/1.avi", 0, "real", "air"),)
    save_manifest(Manifest(root, ("Salute",), clips), root / "listed" / "manifest.csv")
    path = {"folder": "real", "list": "real.txt", "manifest": "listed/manifest.csv"}[kind]
    count = {"folder": 31, "list": 2, "manifest": 1}[kind]
    out = prepare(root, target={"path": path, "labeled": False})
    target = load_shift(out, "source2target", "adapted").target
    assert target is not None
    assert [clip.label for clip in target.clips] == [None] * count
    assert target.classes == ("Follow me", "Wave", "halt")
    said = capsys.readouterr().err
    assert "target: labeled is false, so the " in said
    assert f"of {count} clips are not used" in said


def test_labels_that_are_asked_for_and_not_there(root: Path) -> None:
    folders(root, target=0)
    fill(root, ["real/1.mp4", "real/2.mp4"])
    said = refusal(root)
    assert said.startswith("dataset.target: no clip of ")
    assert "or set dataset.target.labeled=false" in said


def test_class_names_match_however_they_are_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders(root, target=0)
    names = {"wave": "Wave", "follow_ME": "Follow me", "h-a-l-t": "halt"}
    fill(root, [f"real/{c}/{n}.avi" for c in names for n in range(4)])
    manifest = load_manifest(prepare(root))
    assert manifest.classes == ("Follow me", "Wave", "halt")
    for clip in manifest.clips:
        folder = clip.path.split("/")[1]
        assert clip.label == manifest.classes.index(names.get(folder, folder))
    assert "classes of the target are taken for the source's: 'follow_ME' as 'Follow me'" in (
        capsys.readouterr().err
    )


def test_classes_that_only_one_has(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(root)
    fill(root, ["syn/Rally/1.mp4", "syn/Rally/2.mp4", "real/Salute/1.avi"])
    said = refusal(root)
    assert "only in the source: 'Rally' (2 clips); only in the target: 'Salute' (1 clips)" in said
    assert "dataset.classes=intersection" in said
    manifest = load_manifest(prepare(root, classes="intersection"))
    assert manifest.classes == ("Follow me", "Wave", "halt")
    assert not {"Rally", "Salute"} & {clip.path.split("/")[1] for clip in manifest.clips}
    said = capsys.readouterr().err
    assert (
        "left out, by dataset.classes=intersection: only in the source: 'Rally' (2 clips)" in said
    )


def test_names_that_match_within_one_side(root: Path) -> None:
    fill(folders(root), ["syn/WAVE/1.mp4"])
    assert "dataset.source: its classes 'WAVE' and 'Wave' differ only in case" in refusal(root)


def test_lists_of_numbers_take_their_names_from_a_class_file(root: Path) -> None:
    """The numbers of two lists mean what their own class files say."""
    folders(root)
    for side, names, kind in (("syn", CLASSES, "mp4"), ("real", CLASSES[::-1], "avi")):
        fill(root, [f"{side}/all/{c}{n}.{kind}" for c in names for n in range(4)])
        (root / side / "names.txt").write_text("\n".join(names) + "\n")
        lines = [f"all/{c}{n}.{kind} {k}" for k, c in enumerate(names) for n in range(4)]
        (root / side / "list.txt").write_text("\n".join(lines))
    sides = {
        name: {"path": f"{side}/list.txt", "class_file": f"{side}/names.txt"}
        for name, side in (("source", "syn"), ("target", "real"))
    }
    manifest = load_manifest(prepare(root, **sides))
    assert manifest.classes == CLASSES
    assert len(manifest.clips) == 24
    for clip in manifest.clips:
        assert clip.path.split("/")[2].startswith(manifest.classes[clip.label or 0])
    del sides["target"]["class_file"]
    (root / "real" / "list.txt").write_text("all/halt0.avi 1\nall/halt1.avi 2\n")
    assert "only in the target: '1' (1 clips)" in refusal(root, **sides)
    sides["target"]["class_file"] = "syn/names.txt"
    (root / "real" / "list.txt").write_text("all/halt0.avi 1\nall/halt1.avi 3\n")
    assert "by dataset.target.class_file=FILE" in refusal(root, **sides)


def test_a_list_may_name_files_from_its_folder_from_the_root_or_in_full(root: Path) -> None:
    folders(root)
    (root / "lists").mkdir()
    lines = [f"real/Wave/{n}.avi,Wave" for n in range(4)]
    starts = {"root": "", "full": f"{root}/", "folder": "../"}
    for name, start in starts.items():
        text = "".join(f"{start}{line}\n" for line in lines)
        text += "".join(f"{start}real/halt/{n}.avi,halt\n" for n in range(4))
        (root / "lists" / f"{name}.csv").write_text(text)
    found = {}
    for name in starts:
        listed = {"path": f"lists/{name}.csv"}
        out = prepare(root, f"by_{name}", target=listed, classes="intersection")
        found[name] = paths(load_manifest(out))
    assert found["root"] == found["full"] == found["folder"]
    assert len(found["root"]) == 28
    (root / "lists" / "out.csv").write_text("../../elsewhere/1.avi,Wave\nreal/1.avi,halt\n")
    refused = {"target": {"path": "lists/out.csv"}}
    assert "1 lines of a list that cannot be used" in refusal(root, **refused)
    for path in ("", "a\0b", "/etc/passwd"):
        (root / "lists" / "out.csv").write_text(f"{path},Wave\nreal/Wave/1.avi,halt\n")
        assert "lists/out.csv:1: path " in refusal(root, **refused)
    text = "".join(f"real/{c}/1.avi,{c}\nreal/{c}/2.avi,{c}\n" for c in CLASSES)
    (root / "lists" / "out.csv").write_text(f"{text}{'a' * 300},Wave\n")
    assert "1 listed clips that are not there, first aaa" in refusal(root, **refused)


def test_manifests_keep_their_columns(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(root, target=0)
    inner = root / "deep" / "data"
    fill(inner, [f"v/{n}.mp4" for n in range(8)] + ["sidecar/v/0.npz"])
    np.savez(inner / "sidecar/v/0.npz", speed=np.zeros(3))
    clips = tuple(
        ClipRecord(
            f"id{n}", f"v/{n}.mp4", n % 3, "real", "air", f"S{n // 2}", 12.5, "p", {"fog": "1"}
        )
        for n in range(8)
    )
    save_manifest(Manifest(inner, CLASSES, clips), root / "deep" / "out" / "manifest.csv")
    for number, path in enumerate(("deep/out/manifest.csv", "deep/out")):
        out = prepare(root, f"out{number}", target={"path": path, "domain": "filmed"})
        found = {c.id: c for c in load_manifest(out).clips if c.id.startswith("id")}
        assert len(found) == 8
        clip = found["id1"]
        assert (clip.path, clip.view, clip.subject, clip.altitude_m, clip.parent_id) == (
            "deep/data/v/1.mp4", "air", "S0", 12.5, "p",
        )  # fmt: skip
        assert clip.meta["fog"] == "1"
        assert found["id0"].meta["sidecar"] == "deep/data/sidecar/v/0.npz"
    said = capsys.readouterr().err
    assert (
        "deep/out has clips of the domain real, which is kept, though dataset.target.domain" in said
    )
    tested = load_shift(root.parent / "out0", "source2target", "adapted")
    assert not {c.subject for c in tested.test.clips} & {c.subject for c in tested.target.clips}  # type: ignore[union-attr]


def test_a_manifest_of_clips_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    folders(root)
    other = tmp_path / "other"
    fill(other, ["1.mp4"])
    clips = (ClipRecord("a", "1.mp4", 0, "real", "air"),)
    save_manifest(Manifest(other, CLASSES, clips), root / "m" / "manifest.csv")
    said = refusal(root, target={"path": "m"})
    assert (
        f"its clips are in {other}, which is not under the root {root}; set root={tmp_path}" in said
    )


def test_only_the_two_folders_are_read(root: Path) -> None:
    """The root may be / or a home folder, with much that nobody may read."""
    folders(root)
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.mp4")).write_bytes(b"x")
    fill(root, ["other/1.mp4"])
    prepare(root)
    problems = (root.parent / "out" / "problems.csv").read_text().splitlines()
    assert problems == ["kind,where,text"]
    found = survey(settings(root, "later"), complete=True)
    assert [*found.experiments] == [
        "source2target/source_only", "source2target/adapted", "source2target/target_only",
    ]  # fmt: skip
    Path(os.fsdecode(os.fsencode(root) + b"/syn/\xff.mp4")).write_bytes(b"x")
    assert "is not UTF-8; rename it" in refusal(root)


def test_folders_of_frames_are_clips(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for side in ("syn", "real"):
        for c in ("Wave", "halt"):
            for clip in range(4):
                folder = root / side / c / f"clip_{clip}"
                folder.mkdir(parents=True)
                for number in (0, 1, 10, 2):
                    frame = rng.integers(0, 255, (16, 16, 3), np.uint8)
                    frame[:2] = number
                    Image.fromarray(frame).save(folder / f"frame_{number}.png")
            Image.fromarray(frame).save(root / side / c / "alone.png")
    out = prepare(root, verify=True, jobs=1)
    manifest = load_manifest(out)
    assert len(manifest.clips) == 20
    assert {clip.path.split("/")[2] for clip in manifest.clips} == {
        *(f"clip_{n}" for n in range(4)), "alone.png",
    }  # fmt: skip
    path = root / "syn/Wave/clip_0"
    assert (video.probe(path).frames, video.probe(path).fps) == (4, 25.0)
    assert video.read(path, [0, 2, 3])[:, 0, 0, 0].tolist() == [0, 2, 10]
    assert "source: 8 folders of images are a clip each, first syn/" in capsys.readouterr().err
    assert len(json.loads((out / "dataset.json").read_text())["experiments"]) == 3
    Image.fromarray(frame[:8]).save(path / "frame_3.png")
    with pytest.raises(ViddaError, match=r"frame_3\.png: 16x8 pixels, but frame_0\.png has 16x16"):
        video.check(path)
    assert "1 clips that cannot be decoded" in refusal(root, verify=True, jobs=1)


def test_folders_of_frames_without_class_folders(root: Path) -> None:
    """A target without labels has no class folders; where it has them, their images are clips."""
    folders(root, target=0)
    frames = [f"real/clip{n}/{f}.jpg" for n in range(3) for f in range(4)]
    fill(root, [*frames, "real/wave/1.jpg", "real/wave/2.jpg", "real/wave/c/1.jpg", "real/0.jpg"])
    target = load_shift(prepare(root, target={"labeled": False}), "source2target", "adapted").target
    assert paths(target) == {
        "real/clip0", "real/clip1", "real/clip2", "real/wave/1.jpg", "real/wave/2.jpg",
        "real/wave/c", "real/0.jpg",
    }  # fmt: skip


def test_a_list_of_folders_of_frames(root: Path) -> None:
    """A folder without images is missing, as a file is."""
    folders(root, target=0)
    clips = [f"real/{c}{n}" for c in "ab" for n in range(4)]
    fill(root, [f"{clip}/{f}.jpg" for clip in clips for f in range(2)])
    lines = [f"{clip},{CLASSES['ab'.index(clip[5])]}" for clip in clips]
    (root / "real.csv").write_text("\n".join(lines))
    listed = {"target": {"path": "real.csv"}, "classes": "intersection"}
    manifest = load_manifest(prepare(root, **listed))
    assert {clip.path for clip in manifest.clips if clip.domain == "real"} == set(clips)
    (root / "none").mkdir()
    (root / "real.csv").write_text("\n".join([*lines, "none,Wave"]))
    assert "1 listed clips that are not there, first none" in refusal(root, **listed)


def test_the_same_clips_on_both_sides(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(root)
    for c in CLASSES:
        for n in range(10):
            (root / f"real/{c}/{n}.avi").write_text(f"syn/{c}/{n}.mp4")
    out = prepare(root)
    assert "9 clips of test are in train too" in capsys.readouterr().err.replace(
        "8 clips", "9 clips"
    )
    assert (out / "shared.csv").is_file()
    assert "remove them from one of the lists" in refusal(root, strict=True)


def test_a_path_that_both_lists_name(root: Path) -> None:
    folders(root)
    (root / "real.csv").write_text("syn/Wave/1.mp4,Wave\nreal/Wave/2.avi,Wave\n")
    said = refusal(root, target={"path": "real.csv"}, classes="intersection")
    assert "one class only" in said
    (root / "real.csv").write_text("syn/Wave/1.mp4,Wave\nreal/halt/2.avi,halt\n")
    said = refusal(root, target={"path": "real.csv"}, classes="intersection")
    assert said.startswith("1 clips are in both source and target, first syn/Wave/1.mp4; remove")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("none", "real", "dataset.source.path: .*none is not there; give a folder"),
        ("syn", "../real", r"dataset.target.path: \.\./real is not under the root"),
        ("syn", "/", "dataset.target.path: / is not under the root"),
        ("syn", "syn", "both are .*syn; give two folders"),
        ("syn", "syn/Wave", ".*syn/Wave is inside .*syn; give two"),
        (".", "real", ".*real is inside .*root; give two"),
        ("syn", "alias", "both are .*syn; give two folders"),
        ("empty", "real", "empty: holds no video or image"),
        ("syn/Wave/0.mp4", "real", "is one video; give its folder"),
        ("syn/Wave", "real", "dataset.source: no clip of .*syn/Wave has a label; put the clips"),
        ("one", "real", "dataset.classes: .*one class only, 'Wave'"),
        ("bad.txt", "real", "bad.txt: cannot be read as a list"),
        ("blank.txt", "real", "blank.txt: names no clip"),
        ("file.csv", "real", "file.csv:1: no column path among file, label; name the column"),
        ("few", "real", "dataset.source: 3 clips of few cannot be split into train and val"),
        ("syn", "few", "dataset.target: 3 clips of few cannot be split into test and target"),
    ],
)
def test_mistakes_are_one_line(root: Path, source: str, target: str, said: str) -> None:
    folders(root)
    (root / "empty").mkdir()
    (root / "alias").symlink_to(root / "syn")
    (root / "bad.txt").write_bytes(b"\xff\xfe\0")
    (root / "blank.txt").write_text("\n")
    (root / "file.csv").write_text("file,label\nsyn/Wave/1.mp4,Wave\n")
    fill(root, ["one/Wave/1.mp4", "one/Wave/2.mp4", *(f"few/{c}/1.mp4" for c in CLASSES)])
    text = refusal(root, source={"path": source}, target={"path": target}, classes="intersection")
    assert len(text.splitlines()) == 1
    assert re.search(said, text), text


def test_a_group_that_no_clip_has(root: Path) -> None:
    folders(root)
    write_list(root, "real.csv", [(f"real/Wave/{n}.avi", "Wave", "x") for n in range(4)], "scene")
    said = refusal(root, target={"path": "real.csv", "group": "actor"}, classes="intersection")
    assert "one class only" in said
    rows = [(f"real/{c}/{n}.avi", c, "x") for n in range(4) for c in CLASSES]
    write_list(root, "real.csv", rows, "scene")
    said = refusal(root, target={"path": "real.csv", "group": "actor"})
    assert "dataset.target.group: no clip of real.csv has a column 'actor'; it has scene" in said


def test_too_few_target_clips_for_target_only(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = prepare(folders(root, target=2))
    assert "left out: source2target/target_only: target_train: 3 labeled target clips are not" in (
        capsys.readouterr().err
    )
    assert len(load_shift(out, "source2target", "adapted").test.clips) == 3  # type: ignore[union-attr]


def test_a_real_source_is_not_called_synthetic(root: Path) -> None:
    """No variants are made of it, so this is the config's to say, for a task of any name."""
    out = prepare(folders(root), source={"domain": "real", "view": "air"}, task="g2a")
    stated = read_description(out / "dataset.json")["experiments"]
    assert {name: one["synthetic"] for name, one in stated.items()} == {
        "g2a/source_only": False, "g2a/adapted": False, "g2a/target_only": False,
    }  # fmt: skip
    assert {clip.view for clip in load_shift(out, "g2a", "source_only").source.clips} == {"air"}


def test_clips_that_are_missing_from_a_list(root: Path) -> None:
    folders(root)
    rows = [(f"real/{c}/{n}.avi", c, "") for n in range(11) for c in CLASSES]
    write_list(root, "real.csv", rows, "note")
    assert "3 listed clips that are not there, first real/Wave/10.avi" in refusal(
        root, target={"path": "real.csv"}
    )


def test_every_class_is_on_both_sides_where_groups_allow(root: Path) -> None:
    """Even where one class is with few of the subjects."""
    folders(root)
    by_subject = defaultdict(list)
    rows = []
    for s in range(12):
        for c in CLASSES if s % 4 == 0 else CLASSES[:2]:
            rows += [(f"v/{s}{c}{n}.mp4", c, f"S{s}") for n in range(2)]
            by_subject[s].append(c)
    fill(root, [row[0] for row in rows])
    write_list(root, "real.csv", rows, "subject")
    for seed in range(5):
        found = parts(prepare(root, f"out{seed}", target={"path": "real.csv"}, seed=seed))
        for name in ("target_train", "target_val", "test"):
            assert {path for path in found[name] if "halt" in path}, (seed, name)
        assert len(found["test"]) < 0.5 * len(rows)


@pytest.mark.parametrize("column", ["subject", "note"])
def test_clips_without_labels_in_lists_with_labels(
    root: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source's are left out, the target's adapted to; never those of a subject in the test."""
    for side in ("syn", "real"):
        rows = [
            (f"{side}/{c}{s}{n}.mp4", "" if n == 3 else c, s)
            for c in CLASSES
            for s in "pqrst"
            for n in range(4)
        ]
        fill(root, [row[0] for row in rows])
        write_list(root, f"{side}.csv", rows, column)
    found = parts(prepare(root, source={"path": "syn.csv"}, target={"path": "real.csv"}))
    hidden = {path for path in found["target"] if path.endswith("3.mp4")}
    for name, members in found.items():
        assert name == "target" or not any(path.endswith("3.mp4") for path in members)
    said = capsys.readouterr().err
    assert "source: 15 clips without a label are left out, first syn/Wavep3.mp4" in said
    assert f"target: {len(hidden)} clips without a label are only adapted to" in said
    left_out = "target: 3 clips without a label are left out: their subject is that of test clips"
    assert (left_out in said) == (column == "subject")
    assert len(hidden) == (12 if column == "subject" else 15)


def test_two_manifests_that_use_the_same_ids(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("syn", "real"):
        clips = [ClipRecord(str(n), f"{n}.mp4", n % 2, side, "ground") for n in range(8)]
        fill(root / side, [clip.path for clip in clips])
        save_manifest(Manifest(root / side, ("a", "b"), tuple(clips)), root / side / "manifest.csv")
    out = prepare(root)
    found = {clip.path: clip.id for clip in load_manifest(out).clips}
    assert found == {f"{side}/{n}.mp4": str(n) if side == "syn" else f"real/{n}.mp4"
                     for side in ("syn", "real") for n in range(8)}  # fmt: skip
    said = capsys.readouterr().err
    assert "target: 8 clips have ids that the source has too, first '0'; their paths are" in said


def test_classes_that_are_numbers_match_by_them(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("syn", "real"):
        fill(root, [f"{side}/{n}.mp4" for n in range(8)])
        (root / f"{side}.txt").write_text("".join(f"{side}/{n}.mp4 {n % 2}\n" for n in range(8)))
    out = prepare(root, source={"path": "syn.txt"}, target={"path": "real.txt"})
    assert load_manifest(out).classes == ("0", "1")
    assert "no names but numbers, and match by these" in capsys.readouterr().err


def photo_list(root: Path, subjects: str = "ABC") -> None:
    """A CSV of photographs of some subjects: of each class two takes of two each."""
    lines = ["path,class,subject,take"]
    for subject in subjects:
        for c in CLASSES:
            for take in (0, 1):
                names = [f"real/{c}/{subject}{take}{n}.jpg" for n in (0, 1)]
                fill(root, names)
                lines += [f"{name},{c},{subject},{subject}-{c}-{take}" for name in names]
    (root / "real.csv").write_text("\n".join(lines) + "\n")


def test_each_task_is_tested_on_the_subjects_that_it_names(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject_list(root, "syn", 5, "scene")
    photo_list(root)
    out = prepare(
        root,
        source={"path": "syn.csv"},
        target={"path": "real.csv", "group": "take"},
        test_subjects={"syn2a": ("A",), "syn2bc": ("B", "C")},
    )
    assert "syn2a_test 12 clips of 6 takes" in capsys.readouterr().err
    takes = {clip.path: clip.meta["take"] for clip in load_manifest(out).clips if clip.subject}
    for task, tested, others in (("syn2a", "A", "BC"), ("syn2bc", "BC", "A")):
        found = parts(out, task)
        assert {Path(path).name[0] for path in found["test"]} == set(tested)
        assert {Path(path).name[0] for path in found["target"]} == set(others)
        assert found["target_train"] | found["target_val"] == found["target"]
        by_take = [{takes[path] for path in found[f"target_{part}"]} for part in ("train", "val")]
        assert by_take[0] and by_take[1] and not by_take[0] & by_take[1]
        assert all(clip.label is None for clip in load_shift(out, task, "adapted").target.clips)  # type: ignore[union-attr]
        assert found["train"] == parts(out, "syn2a")["train"]
    assert set(read_description(out / "dataset.json")["experiments"]) == {
        f"{task}/{setting}"
        for task in ("syn2a", "syn2bc")
        for setting in ("source_only", "adapted", "target_only")
    }


@pytest.mark.parametrize(
    ("tests", "target", "said"),
    [
        (
            {"t": ("Z",)},
            {},
            "t: no labeled clip of subject 'Z'; real.csv has A, B, C",
        ),
        ({"t": ()}, {}, "test_subjects.t: names no subject; real.csv has A, B, C"),
        ({"t": tuple("ABC")}, {}, "all clips of real.csv are in the test, and none is left to"),
        ({"t": ("A",)}, {"labeled": False}, "a target without labels has no test"),
    ],
)
def test_subjects_that_make_no_test(
    root: Path, tests: dict[str, tuple[str, ...]], target: dict[str, object], said: str
) -> None:
    subject_list(root, "syn", 3, "scene")
    photo_list(root)
    target = {"path": "real.csv", **target}
    refused = refusal(root, source={"path": "syn.csv"}, target=target, test_subjects=tests)
    assert said in refused and "\n" not in refused
