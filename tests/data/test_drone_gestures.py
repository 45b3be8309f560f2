"""The photographs of drone commands: crops, sidecars, takes, and splits by person."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import drone_gestures
from vidda import config
from vidda.cli import main
from vidda.control.blazepose import COCO_POINTS
from vidda.data import load_manifest, load_shift
from vidda.sidecar import COCO_17, read_rows
from vidda.types import Manifest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/prepare/drone_gestures.yaml"
REAL = next((p for one in ROOT.parents if (p := one / "shared/real_gestures").is_dir()), None)
CLASSES = ("land", "take_off")
HEADER = "file,class,subject,box_x,keypoints33_xy_in_crop,visibility33"
SIZE = 40


def points(shift: float = 0.0) -> str:
    """33 points on a diagonal, as fractions."""
    return " ".join(f"{n / 40 + shift:.4f} {n / 80:.4f}" for n in range(33))


def make_photos(root: Path, subjects: str = "AB", visibility: str = "1.00") -> Path:
    """Of each person and class three photographs of one place, and two of another."""
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for subject in subjects:
        for label in CLASSES:
            for place, count in enumerate((3, 2)):
                picture = rng.integers(0, 255, (5, 5, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
                for number in range(count):
                    file = f"{label}/{subject}{place}{number}.jpg"
                    (root / "crops" / file).parent.mkdir(parents=True, exist_ok=True)
                    # Brighter by a little: another photograph of the same take.
                    frame = np.clip(picture * 0.9 + 5.0 * number, 0, 255).astype(np.uint8)
                    Image.fromarray(frame).save(root / "crops" / file, quality=95)
                    seen = " ".join([visibility] * 33)
                    lines.append(f"{file},{label},{subject},7,{points()},{seen}")
    (root / "photos.csv").write_text("\n".join(lines) + "\n")
    return root


def make_figures(root: Path, classes: tuple[str, ...]) -> None:
    """A prepared source of one picture of each class in each of three places."""
    lines = ["path,class,scene"]
    for number, label in enumerate(classes):
        for scene in range(3):
            file = root / "figures" / label / f"scene{scene}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, scene, 9)).save(file)
            lines.append(f"{label}/scene{scene}.png,{label},scene{scene}")
    (root / "figures/train.csv").write_text("\n".join(lines) + "\n")
    figures = [f"root={root / 'figures'}", f"out={root / 'synthetic'}"]
    assert main(["prepare", str(ROOT / "configs/prepare/csv.yaml"), *figures, PARTS]) == 0


PARTS = "dataset.parts=[{split: train, path: train.csv, domain: synthetic}]"


def by_person(manifest: Manifest | None) -> Counter[str | None]:
    assert manifest is not None
    return Counter(clip.subject for clip in manifest.clips)


def takes(manifest: Manifest | None) -> set[str]:
    assert manifest is not None
    return {clip.meta["take"] for clip in manifest.clips}


def prepare(root: Path, *overrides: str) -> Path:
    command = ["prepare", str(CONFIG), f"root={root}", f"out={root / 'out'}", *overrides]
    assert main([*command, "--dry-run"]) == 0 and not (root / "out").exists()
    assert main(command) == 0
    return root / "out"


def test_photographs_become_clips_with_poses_and_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = make_photos(tmp_path / "photos"), tmp_path / "photographs"
    assert drone_gestures.main([str(photos), str(out)]) == 0
    assert "subject A: 10 photographs, 4 takes" in capsys.readouterr().out
    manifest = load_manifest(out)
    assert manifest.classes == CLASSES
    take = {clip.path: clip.meta["take"] for clip in manifest.clips}
    assert take["land/A00.jpg"] == take["land/A02.jpg"] == "A-land-00"
    assert take["land/A10.jpg"] == "A-land-01" and take["land/B10.jpg"] == "B-land-01"
    clip = manifest.clips[0]
    assert (clip.domain, clip.view, clip.subject) == ("real", "ground", "A")
    rows = read_rows(clip, manifest.root, "keypoints", 1, None)
    assert rows.shape == (1, len(COCO_17), 3) and rows.dtype == np.float32
    expected = [(n / 40 * SIZE - 0.5, n / 80 * SIZE - 0.5, 2) for n in COCO_POINTS]
    np.testing.assert_allclose(rows[0], expected, atol=0.01)
    copied, original = (folder / clip.path for folder in (out, photos / "crops"))
    assert copied.read_bytes() == original.read_bytes()


def test_joints_are_hidden_or_outside(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "A", visibility="0.30")
    text = (photos / "photos.csv").read_text().replace(points(), points(shift=0.7), 1)
    (photos / "photos.csv").write_text(text)
    manifest = drone_gestures.prepare(photos, tmp_path / "out")
    first = read_rows(manifest.clips[0], manifest.root, "keypoints", 1, None)[0]
    assert [int(state) for state in first[:, 2]] == [int(n / 40 + 0.7 < 1) for n in COCO_POINTS]
    assert not (first[:, 2] == 2).any()


def test_photographs_that_differ_little_from_one_to_the_next_are_one_take() -> None:
    small = np.zeros((6, 8, 8, 3), np.uint8)
    for number in range(6):
        small[number, :, : number + 1] = 30 if number < 5 else 255
    images = [one.repeat(8, 0).repeat(8, 1) for one in small]
    assert drone_gestures.find_takes(images) == [0, 0, 0, 0, 0, 1]
    assert drone_gestures.find_takes(images[::-1]) == [0, 1, 1, 1, 1, 1]
    assert drone_gestures.find_takes(images[:1]) == [0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (HEADER, HEADER.replace("subject", "person"), "photos.csv:1: no column 'subject'"),
        (",A,", ",,", "photos.csv:2: no subject; fill the cell"),
        ("0.1250 0.0625 ", "", "land/A00.jpg has not x, y and a visibility of 33 points"),
        ("land/A01.jpg", "land/A00.jpg", "photos.csv:3: land/A00.jpg is on line 2 too"),
        ("land/A00.jpg", "land/lost.jpg", "land/lost.jpg"),
        ("land/A00.jpg", "../A00.jpg", "../A00.jpg"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_photos(tmp_path / "photos")
    text = (photos / "photos.csv").read_text()
    (photos / "photos.csv").write_text(text.replace(old, new, 1))
    assert drone_gestures.main([str(photos), str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1 and not (tmp_path / "out").exists()


def test_splits_are_by_person_and_take(tmp_path: Path) -> None:
    drone_gestures.prepare(make_photos(tmp_path / "photos", "ABC"), tmp_path / "photographs")
    make_figures(tmp_path, CLASSES)
    out = prepare(tmp_path)
    for task, tested in (("syn2a", "A"), ("syn2b", "B")):
        adapted, only = (load_shift(out, task, one) for one in ("adapted", "target_only"))
        others = {one: 10 for one in "ABC" if one != tested}
        assert by_person(adapted.test) == {tested: 10} and by_person(adapted.target) == others
        assert not takes(only.source) & takes(only.val)
        assert len(only.source) + len(only.val) == 20  # type: ignore[arg-type]
        assert {clip.domain for clip in adapted.source.clips} == {"synthetic"}
        scenes = [{clip.meta["scene"] for clip in m.clips} for m in (adapted.source, adapted.val)]  # type: ignore[union-attr]
        assert not scenes[0] & scenes[1]
        clip = adapted.target.clips[0]  # type: ignore[union-attr]
        root = adapted.target.root  # type: ignore[union-attr]
        assert read_rows(clip, root, "keypoints", 1, None).shape == (1, 17, 3)


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="../shared/real_gestures is not there")
def test_the_real_photographs(tmp_path: Path) -> None:
    assert REAL is not None
    manifest = drone_gestures.prepare(REAL, tmp_path / "photographs")
    assert by_person(manifest) == {"A": 1623, "B": 1467} and len(manifest.classes) == 13
    counts = Counter((clip.subject, clip.label) for clip in manifest.clips)
    assert len(counts) == 26 and set(counts.values()) == {112, 113, 114, 135, 136}
    assert {s: sum(t.startswith(s) for t in takes(manifest)) for s in "AB"} == {"A": 234, "B": 186}
    make_figures(tmp_path, manifest.classes)
    out = prepare(tmp_path)
    adapted, only = (load_shift(out, "syn2b", one) for one in ("adapted", "target_only"))
    assert by_person(adapted.test) == {"B": 1467} and by_person(adapted.target) == {"A": 1623}
    assert by_person(only.source).keys() == by_person(only.val).keys() == {"A"}
    assert not takes(only.source) & takes(only.val)
    assert {clip.label for clip in only.val.clips} == set(range(13))  # type: ignore[union-attr]


def test_the_config_names_both_directions() -> None:
    from vidda.data.prepare import PrepareConfig

    loaded = config.load(PrepareConfig, CONFIG, ["root=DIR"])
    names = loaded.dataset.experiments(Path("DIR"))
    assert {name.partition("/")[0] for name in names} == {"syn2a", "syn2b"}
