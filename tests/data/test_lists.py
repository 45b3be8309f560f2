"""The other layouts of `vidda prepare`: lists, folders, CSV files, UCF-HMDB and image sets."""

import os
from pathlib import Path

import pytest
from trees import config, touch

from vidda.data import load_manifest, load_shift
from vidda.data.listing import parse_label, read_classes, read_lines, walk
from vidda.data.prepare import run
from vidda.errors import ViddaError
from vidda.files import relative_path
from vidda.types import Manifest


def part(split: str, path: str, domain: str = "real") -> dict[str, str]:
    return {"split": split, "path": path, "domain": domain}


def prepare(root: Path, dataset: dict[str, object], out: str = "out") -> Path:
    assert run(config(root, root.parent / out, dataset), dry_run=False, resume=False) == 0
    return root.parent / out


def labels(manifest: Manifest) -> dict[str, int | None]:
    return {clip.path: clip.label for clip in manifest.clips}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_lists(root: Path) -> None:
    touch(root, ["a/1.mp4", "a/with space.mp4", "b/2.mp4", "b/3.mp4", "t/4.mp4", "t/5.mp4"])
    (root / "train.txt").write_text(
        "# source\r\n\r\na/1.mp4 0\r\na/with space.mp4 0\r\nb/2.mp4 1\r\n"
    )
    (root / "val.txt").write_text("b/3.mp4 1\n")
    (root / "target.txt").write_text("t/4.mp4\n")
    (root / "test.txt").write_text("t/5.mp4 1\n")
    parts = [part("train", "train.txt", "synthetic"), part("val", "val.txt", "synthetic"),
             part("target", "target.txt"), part("test", "test.txt")]  # fmt: skip
    out = prepare(root, {"name": "lists", "parts": parts, "task": "mine"})
    shift = load_shift(out, "mine", "adapted")
    # Nothing else names them, so the classes are the folders that each label's clips share.
    assert shift.test.classes == ("a", "b")
    assert labels(shift.source) == {"a/1.mp4": 0, "a/with space.mp4": 0, "b/2.mp4": 1}
    assert {clip.domain for clip in shift.source.clips} == {"synthetic"}
    assert shift.target is not None
    assert labels(shift.target) == {"t/4.mp4": None}
    assert labels(shift.test) == {"t/5.mp4": 1}
    assert load_shift(out, "mine", "source_only").target is None


def test_a_prefix_of_another_machine_is_stripped(root: Path) -> None:
    touch(root, ["a/1.mp4"])
    (root / "train.txt").write_text("/data/me/a/1.mp4 0\n")
    (root / "classes.txt").write_text("Halt\nRally\n")
    dataset = {"name": "lists", "parts": [part("train", "train.txt")], "classes": "classes.txt"}
    with pytest.raises(ViddaError, match=r"train\.txt:1: path '/data/me/a/1\.mp4' leaves the root"):
        prepare(root, dataset)
    manifest = load_manifest(prepare(root, {**dataset, "strip": "/data/me/"}, "other"))
    assert labels(manifest) == {"a/1.mp4": 0}
    assert manifest.classes == ("Halt", "Rally")


def test_without_a_val_list_some_of_train_is_held_out(root: Path) -> None:
    paths = [f"{c}/{n}.mp4" for c in "ab" for n in range(50)]
    touch(root, [*paths, "test/a/t.mp4"])
    (root / "train.txt").write_text("".join(f"{p} {'ab'.index(p[0])}\n" for p in paths))
    (root / "test.txt").write_text("test/a/t.mp4 0\n")
    parts = [part("train", "train.txt"), part("test", "test.txt")]
    dataset = {"name": "lists", "parts": parts, "val_share": 0.2}
    shift = load_shift(prepare(root, dataset), "main", "source_only")
    held, kept = set(labels(shift.val)), set(labels(shift.source))
    assert len(held) == 20
    assert held | kept == set(paths)
    assert not held & kept
    (root / "train.txt").write_text("".join(f"{p} {'ab'.index(p[0])}\n" for p in paths[::-1]))
    again = load_shift(prepare(root, dataset, "again"), "main", "source_only")
    assert set(labels(again.val)) == held


def test_folders(root: Path) -> None:
    touch(root, ["tr/b/1.mp4", "tr/a/deep/2.avi", "te/a/3.mkv", "tr/a/notes.txt", "tr/a/.h.mp4"])
    parts = [part("train", "tr"), part("test", "te")]
    manifest = load_manifest(prepare(root, {"name": "folders", "parts": parts}))
    assert manifest.classes == ("a", "b")
    assert labels(manifest) == {"tr/a/deep/2.avi": 0, "tr/b/1.mp4": 1, "te/a/3.mkv": 0}
    with pytest.raises(ViddaError, match="holds no video or image"):
        prepare(root, {"name": "folders", "parts": [part("train", "nothing")]}, "other")


@pytest.mark.parametrize(
    "text",
    [
        "a/1.mp4 0\na/2.mp4 0\nb/3 4.mp4 1\nb/5.mp4 -1\nb/6.mp4\n",
        "a/1.mp4,0\na/2.mp4,0\nb/3 4.mp4,1\nb/5.mp4,-1\nb/6.mp4,-1\n",
        "path,label,fps\na/1.mp4,0,25\na/2.mp4,0,25\nb/3 4.mp4,1,25\nb/5.mp4,,\nb/6.mp4,-1,\n",
        "class,path\na,a/1.mp4\na,a/2.mp4\nb,b/3 4.mp4\n,b/5.mp4\n,b/6.mp4\n",
    ],
)
def test_csv_files(root: Path, text: str) -> None:
    touch(root, ["a/1.mp4", "a/2.mp4", "b/3 4.mp4", "b/5.mp4", "b/6.mp4"])
    (root / "train.csv").write_text(text)
    dataset = {"name": "csv", "parts": [part("train", "train.csv")]}
    manifest = load_manifest(prepare(root, dataset))
    assert manifest.classes == ("a", "b")
    assert labels(manifest) == {
        "a/1.mp4": 0, "a/2.mp4": 0, "b/3 4.mp4": 1, "b/5.mp4": None, "b/6.mp4": None,
    }  # fmt: skip
    if "fps" in text:
        assert manifest.clips[0].meta["fps"] == "25"


def test_kinetics_csv(root: Path) -> None:
    """As DeepMind publishes it; clips in class folders or in one, named with six digits."""
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    (root / "train.csv").write_text(
        header + 'air drumming,_dbcJuKJQNs,40,50,train,0\n"bowling",-3B32lodo2M,0.0,10.0,train,0\n'
    )
    (root / "test.csv").write_text("youtube_id,time_start,time_end,split\nabcdefghijk,7,17,test\n")
    paths = ["train/air drumming/_dbcJuKJQNs_000040_000050.mp4",
             "train/bowling/-3B32lodo2M_000000_000010.mkv",
             "test/abcdefghijk_000007_000017.mp4"]  # fmt: skip
    touch(root, [*paths, "train/other/_dbcJuKJQNs_000090_000100.mp4"])
    dataset = {"name": "csv", "parts": [part("train", "train.csv"), part("test", "test.csv")]}
    manifest = load_manifest(prepare(root, dataset))
    assert manifest.classes == ("air drumming", "bowling")
    assert labels(manifest) == dict(zip(paths, (0, 1, None), strict=True))
    (root / paths[0]).unlink()
    with pytest.raises(ViddaError, match="first air drumming/_dbcJuKJQNs_000040_000050"):
        prepare(root, dataset, "other")


def test_every_bad_csv_line_is_named(root: Path) -> None:
    touch(root, ["a/x_000001_000002.mp4"])
    (root / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\na,x,1,2,train\na,x,one,2,train\na,x\n"
    )
    (root / "test.csv").write_text("path,label\na/x_000001_000002.mp4,0,1\n")
    parts = [part("train", "train.csv"), part("test", "test.csv")]
    with pytest.raises(ViddaError, match="3 lines of a list"):
        prepare(root, {"name": "csv", "parts": parts})
    problems = (root.parent / "out" / "problems.csv").read_text().splitlines()
    assert problems[1:] == [
        "line,train.csv:3,time_start and time_end must be seconds",
        'line,train.csv:4,"2 cells, the header has 5"',
        'line,test.csv:2,"3 cells, the header has 2"',
    ]
    (root / "train.csv").unlink()
    (root / "test.csv").unlink()
    with pytest.raises(ViddaError) as caught:
        prepare(root, {"name": "csv", "parts": parts}, "other")
    assert [line.rpartition("/")[2] for line in str(caught.value).splitlines()] == [
        "train.csv: no such list",
        "test.csv: no such list",
    ]


def test_ucf_hmdb(root: Path) -> None:
    """TA3N's lists point to feature folders; the videos are found by name, anywhere."""
    ucf = [f"v_Fencing_g{g:02d}_c{c:02d}" for g in range(1, 6) for c in (1, 2)]
    hmdb = [f"Film_{n}_climb_f_cm_np1_ba_med_{c}" for n in range(5) for c in (0, 1)]
    lists = {
        "ucf101_train": (ucf[:8], 1), "ucf101_val": (ucf[8:], 1),
        "hmdb51_train": (hmdb[:8], 0), "hmdb51_val": (hmdb[8:], 0),
    }  # fmt: skip
    (root / "lists").mkdir()
    for name, (videos, label) in lists.items():
        lines = [f"dataset/{name[:6]}/RGB-feature/{video} 120 {label}\n" for video in videos]
        file = root / "lists" / f"list_{name}_hmdb_ucf-feature.txt"
        file.write_text("".join(lines))
    (root / "lists" / "classInd_hmdb_ucf.txt").write_text("0 climb\n1 fencing  \n1 Fencing\n")
    touch(root, [f"UCF-101/Fencing/{video}.avi" for video in ucf])
    touch(root, [f"hmdb51_org/climb/{video}.avi" for video in hmdb])
    touch(root, ["hmdb51_org/wave/not_listed.avi"])
    dataset = {"name": "ucf_hmdb", "lists": "lists", "classes": "lists/classInd_hmdb_ucf.txt",
               "val_share": 0.25}  # fmt: skip
    out = prepare(root, dataset)
    shift = load_shift(out, "ucf2hmdb", "adapted")
    assert shift.source.classes == ("climb", "fencing")
    assert labels(shift.source) == {f"UCF-101/Fencing/{video}.avi": 1 for video in ucf[:8]}
    assert labels(shift.val) == {f"UCF-101/Fencing/{video}.avi": 1 for video in ucf[8:]}
    assert shift.target is not None
    assert labels(shift.target) == {f"hmdb51_org/climb/{v}.avi": None for v in hmdb[:8]}
    assert labels(shift.test) == {f"hmdb51_org/climb/{video}.avi": 0 for video in hmdb[8:]}
    assert {clip.domain for clip in shift.test.clips} == {"hmdb51"}
    assert shift.source.clips[0].meta["num_frames"] == "120"

    for task in ("ucf2hmdb", "hmdb2ucf"):
        only = load_shift(out, task, "target_only")
        films = [{clip.path.rsplit("_", 1)[0] for clip in m.clips} for m in (only.source, only.val)]
        assert [len(part.clips) for part in (only.source, only.val)] == [6, 2]
        assert not films[0] & films[1]


def test_a_video_that_is_there_twice(root: Path) -> None:
    touch(root, ["a/v.mp4", "b/v.mp4"])
    for name in ("ucf101_train", "ucf101_val", "hmdb51_train", "hmdb51_val"):
        (root / f"list_{name}_hmdb_ucf-feature.txt").write_text("x/v 3 0\nx/w 0\n")
    with pytest.raises(ViddaError) as caught:
        prepare(root, {"name": "ucf_hmdb"})
    assert "v is a/v.mp4 and b/v.mp4; keep one" in str(caught.value)
    problems = (root.parent / "out" / "problems.csv").read_text()
    assert "'x/w 0' is not `path num_frames label`" in problems


@pytest.mark.parametrize("tested", [True, False])
def test_visda2017(root: Path, tested: bool) -> None:
    names = {"train": "png", "validation": "jpg", **({"test": "jpg"} if tested else {})}
    for folder, kind in names.items():
        inner = ["trunk00/0", "trunk00/1"] if folder == "test" else ["car/0", "truck/1"]
        lines = [f"{path}.{kind} {label}" for label, path in enumerate(inner)]
        touch(root, [f"{folder}/{line.split()[0]}" for line in lines])
        (root / folder / "image_list.txt").write_text("\n".join(lines))
    touch(root, ["train/car/2.png"])
    with (root / "train" / "image_list.txt").open("a") as file:
        file.write("\ncar/2.png 0\n")
    out = prepare(root, {"name": "visda2017", "val_share": 0.3})
    assert load_manifest(out).classes == ("car", "truck")
    if tested:
        shift = load_shift(out, "main", "adapted")
        assert shift.target is not None
        assert labels(shift.target) == {
            "validation/car/0.jpg": None,
            "validation/truck/1.jpg": None,
        }
        assert labels(shift.test) == {"test/trunk00/0.jpg": 0, "test/trunk00/1.jpg": 1}
    else:
        shift = load_shift(out, "main", "source_only")
        assert labels(shift.test) == {"validation/car/0.jpg": 0, "validation/truck/1.jpg": 1}
        with pytest.raises(ViddaError, match="no experiment main/adapted"):
            load_shift(out, "main", "adapted")
    assert len(shift.source) == 2
    assert len(shift.val) == 1
    assert {clip.domain for clip in shift.source.clips} == {"synthetic"}


def test_s2rda49(root: Path) -> None:
    """The official lists give paths alone; the class is the folder."""
    synthetic = [f"synthetic/{c}/{n}.png" for c in ("airplane", "bed") for n in range(5)]
    real = ["real/airplane/aeroplane_1.jpg", "real/bed/2.jpg"]
    touch(root, [*synthetic, *real])
    (root / "splits").mkdir()
    (root / "splits" / "real_val.txt").write_text(real[0] + "\n")
    (root / "splits" / "real_test.txt").write_text(real[1] + "\n")
    shift = load_shift(prepare(root, {"name": "s2rda49"}), "main", "adapted")
    assert shift.source.classes == ("airplane", "bed")
    assert labels(shift.source) | labels(shift.val) == {p: int("bed" in p) for p in synthetic}
    assert labels(shift.test) == {real[1]: 1}
    assert shift.target is not None
    assert labels(shift.target) == {real[0]: None}


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "C:/x", "\\x", "", "a\\..\\x"])
def test_paths_that_leave_are_refused(path: str) -> None:
    with pytest.raises(ViddaError, match="leaves the root"):
        relative_path(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("./a//b.mp4", "a/b.mp4"), ("a\\b c.mp4", "a/b c.mp4"), ("a..b/..c", "a..b/..c")],
)
def test_paths_are_made_alike(path: str, expected: str) -> None:
    assert relative_path(path) == expected


@pytest.mark.parametrize("text", ["-1", "1.0", "x", "", "٣", "7"])
def test_labels_that_are_none(text: str) -> None:
    with pytest.raises(ViddaError, match=r"label .* not"):
        parse_label(text, 7)


@pytest.mark.parametrize("text", ["0 a\n2 b\n", "a\na\n", "", "0 a\n1 a\n"])
def test_class_files_that_are_none(root: Path, text: str) -> None:
    (root / "classes.txt").write_text(text)
    with pytest.raises(ViddaError, match=r"classes\.txt: "):
        read_classes(root / "classes.txt", [])


def test_a_list_that_is_no_text(root: Path) -> None:
    (root / "x.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ViddaError, match=r"x\.txt: cannot be read as a list"):
        list(read_lines(root / "x.txt", []))


def test_a_name_that_no_csv_can_hold(root: Path) -> None:
    touch(root, ["a/1.mp4", "a/\u00e9 \u2028.mp4"])
    assert len(walk(root)) == 2
    Path(os.fsdecode(os.fsencode(root) + b"/a/\xff.mp4")).write_bytes(b"x")
    with pytest.raises(ViddaError, match=r"the name .* is not UTF-8; rename it"):
        walk(root)


def test_links_do_not_walk_in_circles(root: Path) -> None:
    touch(root, ["a/1.mp4"])
    (root / "a" / "again").symlink_to(root)
    (root / "b").symlink_to(root / "nowhere")
    touch(root.parent, ["disk/2.mp4"])
    (root / "c").symlink_to(root.parent / "disk")
    assert sorted(walk(root)) == ["a/1.mp4", "c/2.mp4"]


def said_of(root: Path, dataset: dict[str, object], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    prepare(root, dataset)
    return capsys.readouterr().err


HASHES = ["#20_clap.avi", "#3 wave.avi", "a.avi", "b.avi"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lists", "# source\n#20_clap.avi 0\n# b.avi 1\n#a.avi 1\n#3 wave.avi 1\n"),
        ("csv", "# source\n#20_clap.avi,0\n# b.avi,1\n#a.avi,1\n#3 wave.avi,1\n"),
        ("csv", "# source\n#20_clap.avi 0\n# b.avi 1\n#a.avi 1\n#3 wave.avi 1\n"),
        ("csv", "path,label,fps\n#20_clap.avi,0,9\n# b.avi,1,9\n#a.avi,1,9\n#3 wave.avi,1,9\n#\n"),
    ],
)
def test_a_name_may_begin_with_a_hash(
    root: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As HMDB51 has them; rows that were commented out stay so, and are told."""
    touch(root, HASHES)
    (root / "train.txt").write_text(text)
    said = said_of(root, {"name": name, "parts": [part("train", "train.txt")]}, capsys)
    assert labels(load_manifest(root.parent / "out")) == {"#20_clap.avi": 0, "#3 wave.avi": 1}
    assert "train.txt: 3 lines that begin with # are taken for comments, first '#" in said


def test_a_missing_file_whose_name_begins_with_a_hash_is_missed(root: Path) -> None:
    touch(root, ["a.avi"])
    (root / "train.txt").write_text("a.avi 0\n#20_clap.avi 0\n")
    with pytest.raises(ViddaError, match="1 listed clips that are not there, first #20_clap"):
        prepare(root, {"name": "lists", "parts": [part("train", "train.txt")]})


def test_hmdbs_own_names_with_a_hash_in_the_lists_of_features(root: Path) -> None:
    touch(root, ["hmdb/clap/#20_clap.avi", "hmdb/clap/a.avi", "ucf/clap/v_clap_g01_c01.avi"])
    for name in ("ucf101_train", "ucf101_val"):
        (root / f"list_{name}_hmdb_ucf-feature.txt").write_text("x/v_clap_g01_c01 3 0\n")
    text = "# clips\n#x/a 3 0\n#20_clap 3 0\n"
    for name in ("hmdb51_train", "hmdb51_val"):
        (root / f"list_{name}_hmdb_ucf-feature.txt").write_text(text)
    shift_file = prepare(root, {"name": "ucf_hmdb"}) / "splits/ucf2hmdb/source_only/test.csv"
    assert labels(load_manifest(shift_file)) == {"hmdb/clap/#20_clap.avi": 0}


@pytest.mark.parametrize(
    ("text", "path", "label"),
    [
        ('"run, fast.mp4",0\n', "run, fast.mp4", 0),
        ('"run, fast.mp4", 0\n', "run, fast.mp4", 0),
        ('"run, fast.mp4","0"\n', "run, fast.mp4", 0),
        ('"run, fast.mp4" 0\n', "run, fast.mp4", 0),
        ('"run, fast.mp4"\t0\n', "run, fast.mp4", 0),
        ('"run, fast.mp4"\n', "run, fast.mp4", None),
        ("run, fast.mp4,0\n", "run, fast.mp4", 0),
        ('jump.mp4,"0"\n', "jump.mp4", 0),
        ('"say ""hi"".mp4",0\n', 'say "hi".mp4', 0),
    ],
)
def test_quotes_in_a_csv_without_a_header(
    root: Path, text: str, path: str, label: int | None
) -> None:
    touch(root, [path])
    (root / "train.csv").write_text(text)
    dataset = {"name": "csv", "parts": [part("train", "train.csv")]}
    assert labels(load_manifest(prepare(root, dataset))) == {path: label}


def test_quotes_that_are_never_closed_are_named(root: Path) -> None:
    touch(root, ["a.mp4"])
    (root / "train.csv").write_text('a.mp4,0\n"b.mp4,0\n"c.mp4",0,1\n')
    with pytest.raises(ViddaError, match="2 lines of a list that cannot be used"):
        prepare(root, {"name": "csv", "parts": [part("train", "train.csv")]})
    problems = (root.parent / "out" / "problems.csv").read_text()
    assert "line,train.csv:2," in problems
    assert "line,train.csv:3," in problems


def one_based(root: Path, **more: object) -> dict[str, object]:
    touch(root, [f"v{n}.mp4" for n in (1, 2, 3)])
    (root / "train.txt").write_text("".join(f"v{n}.mp4 {n}\n" for n in (1, 2, 3)))
    return {"name": "lists", "parts": [part("train", "train.txt")], **more}


def test_labels_from_1_without_class_names_are_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_of(root, one_based(root), capsys)
    assert load_manifest(root.parent / "out").classes == ("0", "1", "2", "3")
    assert (
        "no clip has label 0 (0), so 1 of 4 classes are empty; if the labels count from 1" in said
    )
    assert "dataset.classes=FILE" in said


@pytest.mark.parametrize("text", ["1 walk\n2 run\n3 jump\n", "3 jump\r\n1 walk\r\n2 run\r\n"])
def test_ucf101s_class_file_counts_from_1(
    root: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "classInd.txt").write_text(text)
    said = said_of(root, one_based(root, classes="classInd.txt"), capsys)
    manifest = load_manifest(root.parent / "out")
    assert manifest.classes == ("walk", "run", "jump")
    assert labels(manifest) == {"v1.mp4": 0, "v2.mp4": 1, "v3.mp4": 2}
    assert "classInd.txt counts from 1, and so labels are read; written from 0" in said


@pytest.mark.parametrize(
    ("text", "lists", "said"),
    [
        ("walk\nrun\njump\n", "v1.mp4 1\nv2.mp4 2\nv3.mp4 3\n", "not in 0..2; if the labels count"),
        (
            "1 walk\n2 run\n3 jump\n",
            "v1.mp4 0\nv2.mp4 1\n",
            "not in 1..3, as the class file counts",
        ),
    ],
)
def test_lists_and_class_file_that_count_otherwise(
    root: Path, text: str, lists: str, said: str
) -> None:
    dataset = one_based(root, classes="classes.txt")
    (root / "train.txt").write_text(lists)
    (root / "classes.txt").write_text(text)
    with pytest.raises(ViddaError, match=said):
        prepare(root, dataset)


def test_folders_with_numbers_for_names_are_as_many_classes(root: Path) -> None:
    touch(root, ["1/a.mp4", "2/b.mp4", "10/c.mp4"])
    manifest = load_manifest(prepare(root, {"name": "folders", "parts": [part("train", ".")]}))
    assert manifest.classes == ("1", "2", "10")
    assert labels(manifest) == {"1/a.mp4": 0, "2/b.mp4": 1, "10/c.mp4": 2}


def test_a_label_is_its_number_though_folders_count_otherwise(root: Path) -> None:
    touch(root, ["1/a.mp4", "2/b.mp4", "3/c.mp4"])
    (root / "train.txt").write_text("1/a.mp4 0\n2/b.mp4 1\n3/c.mp4 2\n")
    manifest = load_manifest(
        prepare(root, {"name": "lists", "parts": [part("train", "train.txt")]})
    )
    assert manifest.classes == ("1", "2", "3")
    assert labels(manifest) == {"1/a.mp4": 0, "2/b.mp4": 1, "3/c.mp4": 2}


def test_a_label_of_thousands_of_digits_is_one_line(root: Path) -> None:
    touch(root, ["a.mp4"])
    (root / "train.txt").write_text(f"a.mp4 {'9' * 5000}\n")
    with pytest.raises(ViddaError, match=r"^label 9{40} is above 99999; is it a label\?$"):
        prepare(root, {"name": "lists", "parts": [part("train", "train.txt")]})


SUFFIXES = [".mp4", ".MP4", ".flv", ".3gp", ".ts", ".mts", ".m2ts", ".gif", ".mpeg", ".ogv", ".asf",
            ".vob", ".wmv", ".mov", ".webm", ".h264", ".mxf", ".m1v", ".m2v", ".y4m"]  # fmt: skip


@pytest.mark.parametrize("name", ["folders", "s2rda49"])
def test_every_suffix_is_taken_or_told(root: Path, name: str) -> None:
    """In class folders: what can be opened is taken, the rest stands in problems.csv."""
    videos = [f"synthetic/run/v{suffix}" for suffix in SUFFIXES]
    others = ["synthetic/run/v.rm", "synthetic/run/v.swf", "synthetic/run/noted"]
    touch(root, [*videos, *others, "real/run/1.jpg"])
    (root / "splits").mkdir()
    for part_name in ("real_val", "real_test"):
        (root / "splits" / f"{part_name}.txt").write_text("real/run/1.jpg\n")
    if name == "folders":
        out = prepare(root, {"name": "folders", "parts": [part("train", "synthetic")]})
    else:
        out = prepare(root, {"name": "s2rda49"})
    assert set(videos) <= labels(load_manifest(out)).keys()
    problems = (out / "problems.csv").read_text().splitlines()
    assert sorted(line for line in problems if line.startswith("suffix")) == [
        f"suffix,{path}," for path in sorted(others)
    ]


def test_a_folder_of_nothing_that_is_known_says_what_is_there(root: Path) -> None:
    touch(root, ["run/v.rm", "run/v.swf"])
    with pytest.raises(
        ViddaError, match=r"no video or image; left out .* \(\.rm, \.swf\): 2 files"
    ):
        prepare(root, {"name": "folders", "parts": [part("train", "run")]})


@pytest.mark.parametrize("label", ["0", "unknown", "walk"])
def test_a_targets_labels_make_no_class(
    root: Path, label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They stand for nothing as often as not; with one class alone they would make it two."""
    touch(root, ["1.mp4", "2.mp4"])
    (root / "train.csv").write_text("path,class\n1.mp4,walk\n")
    (root / "target.csv").write_text(f"path,class\n2.mp4,{label}\n")
    parts = [part("train", "train.csv"), part("target", "target.csv")]
    said = said_of(root, {"name": "csv", "parts": parts}, capsys)
    manifest = load_manifest(root.parent / "out")
    assert manifest.classes == ("walk",)
    assert labels(manifest) == {"1.mp4": 0, "2.mp4": 0 if label == "walk" else None}
    assert ("1 target clips have labels that no other list has" in said) == (label != "walk")


@pytest.mark.parametrize("column", ["subject", "scene"])
def test_val_and_target_only_are_held_out_by_group(
    root: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a subject in training and in validation, validation would tell too much."""
    for split in ("train", "target"):
        rows = [(f"{split}/{c}{s}{n}.mp4", c, s) for c in "ab" for s in "pqrst" for n in range(4)]
        touch(root, [row[0] for row in rows])
        lines = ["path,class,view,altitude_m," + column]
        lines += [f"{path},{c},air,12.5,{s}" for path, c, s in rows]
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
    touch(root, ["test/1.mp4"])
    (root / "test.csv").write_text("path,class\ntest/1.mp4,a\n")
    parts = [part(split, f"{split}.csv") for split in ("train", "target", "test")]
    said = said_of(root, {"name": "csv", "parts": parts}, capsys)
    for setting, list_name in (("source_only", "train"), ("target_only", "target")):
        shift = load_shift(root.parent / "out", "main", setting)
        groups = [
            {clip.subject if column == "subject" else clip.meta["scene"] for clip in part.clips}
            for part in (shift.source, shift.val)
        ]
        assert [len(one) for one in groups] == [4, 1]
        assert not groups[0] & groups[1]
        assert f"8 clips of {list_name}, picked by a hash of their {column}" in said
    clip = shift.source.clips[0]
    assert (clip.view, clip.altitude_m) == ("air", 12.5)
    assert "altitude_m" not in clip.meta


def test_an_altitude_that_is_no_number(root: Path) -> None:
    touch(root, ["1.mp4"])
    (root / "train.csv").write_text("path,class,altitude_m\n1.mp4,a,high\n")
    with pytest.raises(ViddaError, match="altitude_m 'high' is not a number"):
        prepare(root, {"name": "csv", "parts": [part("train", "train.csv")]})


def test_folders_and_lists_may_hold_folders_of_frames(root: Path) -> None:
    """One clip each: neither a clip a frame, nor missing, nor frames that no list names."""
    frames = [f"tr/{c}/clip{n}/{f}.png" for c in "ab" for n in range(3) for f in range(2)]
    touch(root, [*frames, "tr/a/alone.png", "tr/b/film/1.mp4", "tr/b/film/cover.png"])
    parts = [part("train", "tr")]
    clips = [f"tr/{c}/clip{n}" for c in "ab" for n in range(3)]
    single = ["tr/a/alone.png", "tr/b/film/1.mp4", "tr/b/film/cover.png"]
    out = prepare(root, {"name": "folders", "parts": parts})
    assert labels(load_manifest(out)).keys() == {*clips, *single}
    (root / "train.txt").write_text("".join(f"{path} {int('/b/' in path)}\n" for path in clips))
    listed = {"name": "lists", "parts": [part("train", "train.txt")]}
    out = prepare(root, listed, "listed")
    assert labels(load_manifest(out)) == {path: int("/b/" in path) for path in clips}
    problems = (out / "problems.csv").read_text().splitlines()[1:]
    assert sorted(problems) == [f"unlisted,{path}," for path in sorted(single)]
