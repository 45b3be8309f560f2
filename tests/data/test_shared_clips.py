"""The same clip in training and in test: `vidda prepare` and the trainings tell it, or refuse."""

from pathlib import Path

import pytest
from trees import ROCOG, config, rocog_lists, rocog_tree

from tests.tiny import train_config
from vidda.cli import main
from vidda.data.prepare import run
from vidda.data.shared_clips import SharedClipSearch
from vidda.errors import ViddaError


def write(root: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


def test_between_finds_paths_and_contents(tmp_path: Path) -> None:
    write(tmp_path, {"a": "one", "b": "two", "c": "one", "d": "six", "e": "", "f": "", "g": "long"})
    (tmp_path / "link").symlink_to("b")

    def files(names: str) -> dict[str, Path]:
        return {name: tmp_path / name for name in names.split()}

    found = SharedClipSearch().between(files("a b e gone"), files("b c d f g link gone2"))
    assert found == [("b", "b"), ("a", "c"), ("b", "link")]


def test_only_files_of_equal_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a": "1", "b": "22", "c": "333", "d": "4444"})
    read: list[Path] = []
    monkeypatch.setattr("vidda.data.shared_clips.sha256", lambda path: read.append(path) or "")
    first, second = ({n: tmp_path / n for n in names} for names in ("ab", "cd"))
    assert SharedClipSearch().between(first, second) == []
    assert read == []


LAYOUTS: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "lists": (
        {"name": "lists", "parts": [{"split": s, "path": f"{s}.txt"} for s in ("train", "test")]},
        {"train.txt": "a.mp4 0\nb.mp4 1\nc.mp4 1\n", "test.txt": "./a.mp4 0\nd.mp4 1\n",
         "a.mp4": "A", "b.mp4": "B", "c.mp4": "C", "d.mp4": "B"},
    ),
    "csv": (
        {"name": "csv", "parts": [{"split": s, "path": f"{s}.csv"} for s in ("train", "test")]},
        {"train.csv": "a.mp4,0\nb.mp4,1\nc.mp4,1\n", "test.csv": "./a.mp4,0\nd.mp4,1\n",
         "a.mp4": "A", "b.mp4": "B", "c.mp4": "C", "d.mp4": "B"},
    ),
    "folders": (
        {"name": "folders", "parts": [{"split": s, "path": s} for s in ("train", "val", "test")]},
        {"train/x/a.mp4": "A", "train/y/b.mp4": "B", "val/x/c.mp4": "C", "test/x/a.mp4": "A",
         "test/y/d.mp4": "C"},
    ),
    "target": (
        {"name": "lists", "parts": [{"split": s, "path": f"{s}.txt"} for s in ("target", "test")]},
        {"target.txt": "a.mp4\nb.mp4\n", "test.txt": "a.mp4 0\nd.mp4 1\n", "a.mp4": "A",
         "b.mp4": "B", "d.mp4": "B"},
    ),
    "visda2017": (
        {"name": "visda2017"},
        {"train/image_list.txt": "car/0.png 0\ncar/1.png 0\n", "train/car/0.png": "A",
         "train/car/1.png": "B", "validation/image_list.txt": "car/2.png 0\ncar/3.png 0\n",
         "validation/car/2.png": "A", "validation/car/3.png": "B"},
    ),
    "s2rda49": (
        {"name": "s2rda49"},
        {"splits/real_val.txt": "real/x/a.png\nreal/x/b.png\n",
         "splits/real_test.txt": "real/x/a.png\nreal/x/c.png\n",
         "synthetic/x/1.png": "1", "synthetic/x/2.png": "2", "real/x/a.png": "A",
         "real/x/b.png": "B", "real/x/c.png": "B"},
    ),
    "ucf_hmdb": (
        {"name": "ucf_hmdb", "val_share": 0.5},
        {f"list_{s}_{p}_hmdb_ucf-feature.txt": f"x/{s}_{p} 3 0\nx/{s}_{p}2 3 0\n"
         for s in ("ucf101", "hmdb51") for p in ("train", "val")}
        | {f"clap/{s}_{p}{n}.avi": {"hmdb51_train": "A", "hmdb51_val": "A"}.get(f"{s}_{p}", s + p)
           + n for s in ("ucf101", "hmdb51") for p in ("train", "val") for n in ("", "2")},
    ),
}  # fmt: skip
"""Of each layout a dataset whose test shares two clips with what is trained on."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clip_in_train_and_test_is_told_and_strict_refuses(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, files = LAYOUTS[layout]
    write(tmp_path / "root", files)
    root, out = tmp_path / "root", tmp_path / "out"
    assert run(config(root, out, dataset), dry_run=False, resume=False) == 0
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert sum(int(line.split()[1]) for line in lines) == 2, said
    listed = (out / "shared.csv").read_text().splitlines()[1:]
    assert len(listed) == 2
    for row in listed:
        clip = row.split(",")[1]
        assert any(f"{clip!r}" in line for line in lines)
    with pytest.raises(ViddaError, match=r"clips of .* too: .*; remove them from one of the lists"):
        run(config(root, tmp_path / "s", dataset, strict=True), dry_run=False, resume=False)
    assert not (tmp_path / "s" / "manifest.csv").exists()
    assert (tmp_path / "s" / "shared.csv").exists()


def test_rocogs_official_lists_too_and_sound_ones_are_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = rocog_lists()
    root = rocog_tree(tmp_path / "root", lists=lists)
    for path in root.rglob("*.mp4"):
        path.write_text(str(path))
    strict = config(root, tmp_path / "out", ROCOG, strict=True)
    assert run(strict, dry_run=False, resume=False) == 0
    assert "warning" not in capsys.readouterr().err
    assert not (tmp_path / "out" / "shared.csv").exists()
    test, train = (root / lists[f"real_air_{p}"][0].split()[0] for p in ("test", "train"))
    test.write_bytes(train.read_bytes())
    with pytest.raises(ViddaError, match="1 clips of real_air_test are in real_air_train"):
        run(config(root, tmp_path / "b", ROCOG, strict=True), dry_run=False, resume=False)


TARGET = "target.csv"


def lone(root: Path, **clips: str) -> None:
    """CSV manifests without a dataset.json, and the files that they name, each its own content."""
    for name, text in clips.items():
        rows = [row.split() for row in text.split(", ")]
        (root / f"{name}.csv").write_text("path,class\n" + "".join(f"{p},{c}\n" for p, c in rows))
        write(root, {p: p for p, _ in rows if not (root / p).exists()})


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    lone(tmp_path, train="a1 a, a2 a, b1 b, b2 b", val="a3 a, b3 b", test="a4 a, b4 b, b2 b")
    write(tmp_path, {"b4": "a2"})
    return tmp_path


def trained(folder: Path, command: str, *flags: str, **changes: object) -> int:
    watch = {"seen": str(folder / "test.csv")}
    file = train_config(folder, folder / "run", watch=watch, batch_size=2, **changes)
    return main([command, str(file), "--dry-run", *flags])


def test_training_tells_watched_clips_that_it_trains_on(
    lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(lists, "train") == 0
    assert "warning: 2 clips of seen are in train too: 'b4' (there 'a2'), 'b2'" in (
        capsys.readouterr().err
    )
    assert trained(lists, "train", "--strict") == 2
    said = capsys.readouterr().err
    assert "error: 2 clips of seen are in train too: 'b4' (there 'a2'), 'b2'; remove them" in said


def test_validation_clips_are_to_be_new_as_well(
    lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone(lists, train="a1 a, a2 a, b1 b, b3 b", test="a4 a, a3 a")
    assert trained(lists, "train", "--strict") == 2
    said = capsys.readouterr().err
    assert "1 clips of val are in train too: 'b3'" in said
    assert "1 clips of seen are in val too: 'a3'" in said


def test_adaptation_looks_at_the_target_too(
    lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source may hold target clips; a test may not, nor is the target a test of its own."""
    lone(lists, target="t1 a, t2 a, a1 a, a3 a", test="t2 a, a4 b")
    own = {"target": str(lists / TARGET), "method": {"name": "coral"}}
    assert trained(lists, "adapt", **own) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert lines == ["warning: 1 clips of seen are in target too: 't2'"]
    assert trained(lists, "adapt", "--strict", **own) == 2


def test_sound_manifests_are_silent(lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lone(lists, test="a5 a, b5 b")
    assert trained(lists, "train", "--strict") == 0
    assert "warning" not in capsys.readouterr().err


def test_classes_without_a_training_clip_are_told(
    lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "val", "test"):
        (lists / f"{name}.csv").write_text(f"path,label\n{name}1,1\n{name}2,2\n")
    assert trained(lists, "train") == 0
    assert "note: train has no clip of the classes 0; if its labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "path,class\nt1,b\nt2,b\n",
        "path,label\nt1,0\nt2,0\n",
        "path,class\nt1,unknown\nt2,unknown\n",
        "path\nt1\nt2\n",
    ],
)
def test_what_is_not_read_need_not_name_all_classes(lists: Path, text: str) -> None:
    """Labels of the target and of watched clips are dropped: one class or none is as good."""
    for name in (TARGET, "test.csv"):
        (lists / name).write_text(text)
    own = {"target": str(lists / TARGET), "method": {"name": "coral"}, "batch_size": 2}
    watch = {"seen": str(lists / "test.csv")}
    file = train_config(lists, lists / "run", watch=watch, **own)
    assert main(["adapt", str(file), "--dry-run"]) == 0
