"""Manifests on disk: what is written is read back, and every mistake is named with its line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vidda.data import load_manifest, load_shift, save_manifest
from vidda.errors import ViddaError
from vidda.types import ClipRecord, Manifest

CLASSES = ("Halt", "Rally, or so", "Follow\u00e9")


def manifest(root: Path) -> Manifest:
    clips = (
        ClipRecord("a", "real/a 1.mp4", 0, "real", "air", "S04b", 15.0, None, {"scene": "3"}),
        ClipRecord(
            "b", 'odd/"b",\n.mp4', 1, "translated", "ground", None, None, "a", {"body": "x"}
        ),
        ClipRecord("c", "c.mp4", None, "real", "ground"),
        ClipRecord("d", "d.mp4", 2, "real", "air", None, 1.75),
    )
    return Manifest(root, CLASSES, clips)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    written = manifest(tmp_path)
    save_manifest(written, tmp_path / "out" / "manifest.csv")
    assert load_manifest(tmp_path / "out" / "manifest.csv") == written
    assert load_manifest(tmp_path / "out") == written
    assert load_manifest(tmp_path / "out").fingerprint() == written.fingerprint()


def test_folder_and_data_move_together(tmp_path: Path) -> None:
    (tmp_path / "here" / "videos").mkdir(parents=True)
    save_manifest(manifest(tmp_path / "here" / "videos"), tmp_path / "here/out/manifest.csv")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert load_manifest(tmp_path / "there" / "out").root == tmp_path / "there" / "videos"


def test_a_root_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    save_manifest(manifest(tmp_path / "videos"), tmp_path / "out" / "manifest.csv")
    (tmp_path / "videos").rmdir()
    with pytest.raises(ViddaError, match=r"dataset\.json: root .*videos is not there"):
        load_manifest(tmp_path / "out")


def test_dataset_json_serves_the_folders_below(tmp_path: Path) -> None:
    save_manifest(manifest(tmp_path), tmp_path / "manifest.csv")
    below = tmp_path / "splits" / "task" / "setting"
    below.mkdir(parents=True)
    shutil.copy(tmp_path / "manifest.csv", below / "train.csv")
    loaded = load_manifest(below / "train.csv")
    assert (loaded.root, loaded.classes) == (tmp_path, CLASSES)


def test_other_dataset_beside_is_not_overwritten(tmp_path: Path) -> None:
    save_manifest(manifest(tmp_path), tmp_path / "manifest.csv")
    other = Manifest(tmp_path, ("only",), ())
    with pytest.raises(ViddaError, match="other classes"):
        save_manifest(other, tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    ("text", "classes", "labels"),
    [
        ("path,class\nx.mp4,Rally\ny.mp4,Halt\n", ("Halt", "Rally"), [1, 0]),
        ("path,label\nx.mp4,2\ny.mp4,0\n", ("0", "1", "2"), [2, 0]),
        ("path,label,class\r\nx.mp4,1,Rally\r\n\r\ny.mp4,0,Halt\r\n", ("Halt", "Rally"), [1, 0]),
        ("\ufeffpath\nx.mp4\ny.mp4\n", (), [None, None]),
    ],
)
def test_a_lone_csv_tells_its_classes(
    tmp_path: Path, text: str, classes: tuple[str, ...], labels: list[int | None]
) -> None:
    (tmp_path / "lone.csv").write_bytes(text.encode())
    loaded = load_manifest(tmp_path / "lone.csv")
    assert loaded.root == tmp_path
    assert loaded.classes == classes
    assert [clip.label for clip in loaded.clips] == labels
    assert [clip.id for clip in loaded.clips] == ["x.mp4", "y.mp4"]


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    save_manifest(Manifest(tmp_path, CLASSES, ()), tmp_path / "manifest.csv")
    (tmp_path / "manifest.csv").write_text(
        "id,path,label,class,altitude_m\n"
        "a,a.mp4,3,,\n"
        "b,../b.mp4,0,,\n"
        "c,/c.mp4,0,,\n"
        "d,d.mp4,0,Wave,\n"
        "e,e.mp4,1,Halt,\n"
        "f,f.mp4,0,Halt,high\n"
        "g,g.mp4,0\n"
        "h,h.mp4,0,Halt,\n"
        "h,i.mp4,-1,,\n"
        "h,i.mp4,0,,\n"
    )
    with pytest.raises(ViddaError) as caught:
        load_manifest(tmp_path / "manifest.csv")
    said = str(caught.value).splitlines()
    assert said[0] == "manifest.csv:2: label 3 not in 0..2"
    expected = [
        "label 3 not", "'../b.mp4' leaves", "'/c.mp4' leaves", "class 'Wave' is not one of",
        "class 'Halt' has label 0, not 1", "altitude_m 'high'", "3 cells, the header has 5",
        "label -1 not in 0..2", "id 'h' is on line 9 too",
    ]  # fmt: skip
    assert len(said) == len(expected)
    for line, part in zip(said, expected, strict=True):
        assert part in line


def test_very_many_mistakes_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"x{n}.mp4,,\n" for n in range(500))
    (tmp_path / "lone.csv").write_text("path,label\n" + rows)
    with pytest.raises(ViddaError) as caught:
        load_manifest(tmp_path / "lone.csv")
    assert str(caught.value).splitlines()[-1] == "... and 480 more"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column 'path'"),
        (b"id,label\n", "no column 'path'"),
        (b"path,path\n", "column 'path' is duplicated"),
        (b"path\n\xff\xfe\n", "cannot be read"),
        (b'path\n"never closed\n', "cannot be read"),
    ],
)
def test_a_file_that_is_no_manifest(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ViddaError, match=said):
        load_manifest(tmp_path / "x.csv")


def test_a_label_that_would_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("path,label\na.mp4,0\nb.mp4,99999999999\n")
    with pytest.raises(ViddaError, match=r"x\.csv:3: label 99999999999 not in 0"):
        load_manifest(tmp_path / "x.csv")


def test_manifests_need_no_torch() -> None:
    code = "import sys, vidda.data, vidda.data.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_experiment_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(
        json.dumps({"left_out": {"gs2gr/adapted": "real_ground_train: none of its clips is there"}})
    )
    with pytest.raises(ViddaError, match="left out by prepare: real_ground_train: none of"):
        load_shift(tmp_path, "gs2gr", "adapted")


@pytest.mark.parametrize(
    "path", ["..\\..\\x.mp4", "C:\\x.mp4", "C:/x.mp4", "\\\\host\\x.mp4", "\\x"]
)
def test_a_manifest_refuses_what_reading_would_refuse_later(tmp_path: Path, path: str) -> None:
    (tmp_path / "lone.csv").write_text(f"path\n12:30:05.mp4\n{path}\n")
    with pytest.raises(
        ViddaError, match=r"^lone\.csv:3: clip .* leaves the manifest's root[^\n]*$"
    ):
        load_manifest(tmp_path / "lone.csv")


@pytest.mark.parametrize("where", ["dataset.json", "columns"])
def test_class_names_do_not_repeat(tmp_path: Path, where: str) -> None:
    if where == "dataset.json":
        text = {"format": "vidda-dataset-1", "root": ".", "classes": ["Halt", "Rally", "Halt"]}
        (tmp_path / "dataset.json").write_text(json.dumps(text))
        (tmp_path / "x.csv").write_text("path,class\na.mp4,Halt\n")
    else:
        (tmp_path / "x.csv").write_text("path,label,class\na.mp4,0,Halt\nb.mp4,1,Halt\n")
    with pytest.raises(ViddaError, match=r"class 'Halt' is duplicated, as 0 and [12]; rename"):
        load_manifest(tmp_path / "x.csv")


def test_a_label_of_thousands_of_digits_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"root": ".", "classes": ["a", "b"]}')
    (tmp_path / "manifest.csv").write_text(f"path,label\nx.mp4,{'9' * 5000}\n")
    with pytest.raises(ViddaError, match=r"label 9{40} not in 0"):
        load_manifest(tmp_path / "manifest.csv")
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(ViddaError, match=r"label 9{40} not in 0"):
        load_manifest(tmp_path / "manifest.csv")
