"""RoCoG-v2: what names, lists and simulation XML say; and the official lists, where they are."""

from collections import Counter
from pathlib import Path

import pytest
from trees import GESTURES_XML, SYN_A, SYN_R, rocog_lists, rocog_tree

from vidda.data.listing import Listing, walk
from vidda.data.rocog import LISTS, SPLITS, RocogV2
from vidda.data.simulation import find_simulation, parse_xml
from vidda.errors import ViddaError

OFFICIAL = Path(__file__).parents[3] / "shared" / "rocog_v2"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official lists are not here")


def read(root: Path) -> Listing:
    return RocogV2(name="rocog_v2").read(root, walk(root))


def test_columns_of_a_real_clip(tmp_path: Path) -> None:
    clips = read(rocog_tree(tmp_path)).clips
    air = clips["real/air/Rally/S00_30m_hover_label3_start4170.mp4"]
    assert (air.label, air.domain, air.view, air.subject) == (2, "real", "air", "S00")
    assert air.altitude_m == 30.0
    assert air.meta == {"split": "test", "platform": "hover", "start_frame": "4170"}
    ground = clips["real/ground/Attention/S01_10m_ground_2_label2_start17.mp4"]
    assert (ground.subject, ground.altitude_m, ground.meta["distance_m"]) == ("S01", None, "10")
    assert ground.meta["recording"] == "2"
    assert clips["real/ground/Rally/S04b_10m_ground_label3_start4170.mp4"].subject == "S04"
    assert clips["real/ground/Rally/S04b_10m_ground_label3_start4170.mp4"].meta["session"] == "b"


def test_columns_of_a_synthetic_clip(tmp_path: Path) -> None:
    listing = read(rocog_tree(tmp_path))
    clip = listing.clips[f"syn/ground/Rally/{SYN_R}"]
    assert (clip.label, clip.domain, clip.view) == (2, "synthetic", "ground")
    assert (clip.subject, clip.altitude_m) == (None, None)
    assert clip.meta == {
        "split": "train", "scene": "1", "scene_index": "1", "camera": "1",
        "mocap": "S01_Rally_R01_02", "gesture_start": "2", "gesture_end": "4", "speed": "1.25",
        "realism": "mocap", "body": "EastIndian Thick", "terrain": "Desert Terrain",
        "person": "FemaleCivilian", "camera_yaw": "90", "distance_m": "4.5",
    }  # fmt: skip
    assert listing.problems == []


@pytest.mark.parametrize("names", [("rocog_air", ""), ("rocog_hover", "xml")])
def test_air_has_its_own_xml_or_none(tmp_path: Path, names: tuple[str, str]) -> None:
    root = rocog_tree(tmp_path)
    path = f"syn/air/Rally/{SYN_R}"
    listing = read(root)
    assert "gesture_start" not in listing.clips[path].meta
    assert [note for note in listing.notes if "no simulation_info XML for syn/air" in note]

    name, sub = names
    folder = root / "simulation_info" / sub
    folder.mkdir(exist_ok=True)
    for part in ("", "_gestures"):
        text = (root / "simulation_info" / f"rocog_ground{part}.xml").read_text()
        (folder / f"{name}{part}.xml").write_text(text, encoding="utf-16")
    listing = read(root)
    assert listing.clips[path].meta["gesture_start"] == "2"
    assert listing.clips[path].altitude_m == 4.25
    assert listing.notes == []


def test_an_index_that_does_not_agree_is_reported(tmp_path: Path) -> None:
    lists = rocog_lists()
    other = f"syn/ground/Advance/{SYN_A.replace('Scene0_0_', 'Scene0_1_')}"
    beyond = f"syn/ground/Advance/{SYN_A.replace('Scene0_0_', 'Scene9_7_')}"
    strange = "syn/ground/Advance/strange.mp4"
    lists["syn_ground_train"] += [f"{path} 0" for path in (other, beyond, strange)]
    listing = read(rocog_tree(tmp_path, lists=lists))
    said = [(problem.kind, problem.where, problem.text) for problem in listing.problems]
    assert said == [
        ("columns", other, "the gesture XML has Rally S01_Rally_R01_02 at index 1"),
        ("columns", beyond, "index 7 is not in the gesture XML, which ends at 1"),
        ("columns", beyond, "scene 9 is not in the scene XML, which ends at 1"),
        ("columns", strange, "its name follows neither of the dataset's two patterns"),
    ]
    assert "gesture_start" not in listing.clips[other].meta


def test_bad_lines_are_all_reported(tmp_path: Path) -> None:
    root = rocog_tree(tmp_path)
    good = rocog_lists()["real_air_train"]
    lines = [
        "\ufeff# a comment", "", good[0], f"./{good[0]}", "../x.mp4 0", "/etc/x.mp4 0",
        "real/air/Rally/x.mp4", "real/air/Rally/x.mp4 3", "real/air/Rally/x.mp4 two",
        "real/sea/Rally/x.mp4 0", f"{good[1].rpartition(' ')[0]} 2", "lonely",
    ]  # fmt: skip
    (root / "annotations" / "real_air_train.txt").write_text("\r\n".join(lines), newline="")
    listing = read(root)
    said = [f"{problem.kind} {problem.where} {problem.text}" for problem in listing.problems]
    expected = [
        "duplicate real_air_train.txt:4 ", "line real_air_train.txt:5 path '../x.mp4' leaves",
        "line real_air_train.txt:6 path '/etc/x.mp4' leaves",
        "line real_air_train.txt:7 'real/air/Rally/x.mp4' is not `path label`",
        "line real_air_train.txt:8 label 3 not in 0..2", "line real_air_train.txt:9 label 'two'",
        "line real_air_train.txt:10 path 'real/sea/Rally/x.mp4' is not {real,syn}",
        "line real_air_train.txt:12 'lonely' is not",
    ]  # fmt: skip
    assert len(said) == len(expected) + 1
    for line, start in zip(said, expected, strict=False):
        assert line.startswith(start)
    # The wrong label is only seen where the other list gives the right one.
    assert said[-1].startswith("line real_air_train_tsonly.txt:2 ")
    assert said[-1].endswith("label 1, but another line says 2")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16", "utf-16-be"])
def test_xml_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    bom = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "rocog_x_gestures.xml").write_bytes(bom + GESTURES_XML.encode(encoding))
    found = find_simulation([tmp_path], ["rocog_x"])
    assert found is not None
    assert [gesture[0] for gesture in found.gestures] == ["Advance", "Rally"]
    assert found.scenes == ()


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        '<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
    ],
)
def test_entities_never_expand(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(ViddaError, match="DOCTYPE"):
        parse_xml(tmp_path / "x.xml")


def test_missing_annotations_and_classes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ViddaError, match=r"annotations: no such folder.*dataset\.annotations=DIR"):
        read(tmp_path)
    (tmp_path / "annotations").mkdir()
    with pytest.raises(ViddaError, match=r"class_dict\.json is in none of"):
        read(tmp_path)


@pytest.fixture(scope="module")
def official() -> Listing:
    """The official lists on a tree in which every listed file is taken to be there."""
    layout = RocogV2(name="rocog_v2", annotations=OFFICIAL / "annotations")
    return layout.read(OFFICIAL, {})


@needs_official
def test_official_counts(official: Listing) -> None:
    assert {name: len(official.lists[name]) for name in LISTS} == {
        "syn_ground_train": 44510, "syn_ground_val": 8928,
        "syn_air_train": 44640, "syn_air_val": 8918,
        "real_ground_train": 204, "real_ground_test": 100,
        "real_ground_train_tsonly": 162, "real_ground_val_tsonly": 42,
        "real_air_train": 87, "real_air_test": 91,
        "real_air_train_tsonly": 66, "real_air_val_tsonly": 21,
    }  # fmt: skip
    assert len(official.clips) == 53438 + 53558 + 304 + 178


@needs_official
def test_official_names_agree_with_lists_and_xml(official: Listing) -> None:
    """Every class folder, every gesture and every motion capture, of 53,438 ground videos."""
    assert official.problems == []
    assert official.classes == (
        "Advance", "Attention", "Rally", "MoveForward", "Halt", "FollowMe", "MoveInReverse",
    )  # fmt: skip
    for path, clip in official.clips.items():
        assert path.split("/")[2] == official.classes[clip.label or 0]
        assert clip.domain == {"syn": "synthetic", "real": "real"}[path.split("/")[0]]
    ground = [clip for path, clip in official.clips.items() if path.startswith("syn/ground/")]
    assert {clip.meta["realism"] for clip in ground} == {"mocap", "animated"}
    assert all(("mocap" in c.meta) == (c.meta["realism"] == "mocap") for c in ground)
    # The scene XML holds twelve cameras a setting, six of them low; only those are "ground".
    assert {clip.meta["distance_m"] for clip in ground} == {"5"}
    yaws = {(clip.meta["camera"], clip.meta["camera_yaw"]) for clip in ground}
    assert yaws == {(str(n), str(30 + 60 * n)) for n in range(6)}


@needs_official
def test_official_class_counts(official: Listing) -> None:
    def count(name: str) -> list[int]:
        found = Counter(official.clips[path].label for path in official.lists[name])
        return [found[label] for label in range(7)]

    assert count("syn_ground_train") == [5280, 6240, 8160, 7680, 2400, 8090, 6660]
    assert count("syn_ground_val") == [1056, 1248, 1632, 1536, 480, 1632, 1344]
    assert count("syn_air_train") == [5280, 6240, 8160, 7680, 2400, 8160, 6720]
    assert count("syn_air_val") == [1056, 1248, 1628, 1530, 480, 1632, 1344]
    assert count("real_ground_train") == [39, 29, 22, 29, 30, 27, 28]
    assert count("real_ground_test") == [14, 14, 15, 14, 14, 15, 14]
    assert count("real_air_train") == [13, 12, 12, 13, 12, 13, 12]
    assert count("real_air_test") == [13, 13, 14, 13, 12, 13, 13]


@needs_official
def test_official_subjects_and_altitudes(official: Listing) -> None:
    def subjects(name: str) -> set[str | None]:
        return {official.clips[path].subject for path in official.lists[name]}

    for view in ("ground", "air"):
        train, test = subjects(f"real_{view}_train"), subjects(f"real_{view}_test")
        assert None not in train | test
        assert not train & test
        part, rest = f"real_{view}_train_tsonly", f"real_{view}_val_tsonly"
        assert not subjects(part) & subjects(rest)
        assert [*official.lists[part], *official.lists[rest]] != []
        both = official.lists[part].keys() | official.lists[rest].keys()
        assert both == official.lists[f"real_{view}_train"].keys()
    test = [official.clips[path] for path in official.lists["real_air_test"]]
    high = [clip for clip in test if clip.altitude_m == 30]
    assert len(high) == 28
    assert {clip.subject for clip in high} == {"S00"}
    assert {clip.altitude_m for clip in test if clip.subject != "S00"} == {15.0}
    train = [official.clips[path] for path in official.lists["real_air_train"]]
    assert {clip.altitude_m for clip in train} == {15.0}


@needs_official
def test_experiments_are_those_of_the_official_readme() -> None:
    """The table of experiments, read from annotations/README.md itself."""
    sources = {"G<sub>S</sub>": "gs", "A<sub>S</sub>": "as", "G<sub>R</sub>": "gr"}
    targets = {"G<sub>R</sub>": "gr", "A<sub>R</sub>": "ar"}
    settings = {"Source Only": "source_only", "Target Only": "target_only",
                "Domain Adaptation": "adapted"}  # fmt: skip
    found: dict[str, list[str]] = {}
    setting, names = "", [""]
    for line in (OFFICIAL / "annotations" / "README.md").read_text().splitlines():
        if line.startswith("## "):
            setting = settings[line.removeprefix("## ").strip()]
        elif line.startswith("###"):
            tasks = (task.split(" &#8594; ") for task in line.strip("# \t").split(", "))
            names = [f"{sources[a.strip()]}2{targets[b.strip()]}/{setting}" for a, b in tasks]
        elif line.startswith(("Train:", "Validation:", "Test:")):
            lists = [
                part.strip("` ").removesuffix(".txt") for part in line.split(":")[1].split("+")
            ]
            for name in names:
                found.setdefault(name, []).extend(lists)
    assert len(found) == 12
    ours = {
        name: [train, *([target] if target else []), val, test]
        for name, (train, target, val, test) in SPLITS.items()
    }
    assert ours == found
