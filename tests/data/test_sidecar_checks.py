"""`vidda prepare` checks sidecars: each mistake of an exporter is one clear line."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trees import config

from tests.sidecars import rendered
from vidda import video
from vidda.data import load_manifest
from vidda.data.prepare import run
from vidda.data.sidecar_checks import RULES, check_sidecars
from vidda.data.sidecar_headers import chosen_rows, first_row
from vidda.data.sidecar_values import check_keypoints
from vidda.errors import ViddaError
from vidda.sidecar import default_sidecar, open_sidecar
from vidda.types import ClipRecord

FRAMES, HEIGHT, WIDTH = 4, 32, 48
CLIP = ClipRecord("one", "one.mp4", None, "synthetic", "air", meta={"sidecar": "one.npz"})
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    video.write(folder / "one.mp4", np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8), 8)
    return folder


def right() -> Arrays:
    """Every array that vidda reads, without a fault."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(2, 30, (FRAMES, 17, 3)).astype(np.float32)
    keypoints[..., 2] = rng.integers(0, 3, (FRAMES, 17))
    mask = rng.integers(0, 3, (FRAMES, HEIGHT, WIDTH)).astype(np.uint8)
    return {
        "keypoints": keypoints,
        "keypoint_scores": rng.uniform(0, 1, (FRAMES, 1, 17)).astype(np.float32),
        "keypoints_3d": rng.normal(0, 1, (FRAMES, 17, 3)).astype(np.float32),
        "box": np.tile(np.array([3, 4, 30, 20], np.float32), (FRAMES, 1)),
        "mask": mask,
        "regions": np.array(["background", "person", "bag"]),
        "found": np.ones(FRAMES, bool),
        "depth": np.full((FRAMES, HEIGHT, WIDTH), 3500, np.uint16),
        "inverse_depth": rng.uniform(0, 9, (FRAMES, HEIGHT, WIDTH)).astype(np.float16),
        "speed": np.arange(FRAMES),
    }


def faults(root: Path, arrays: Arrays, clip: ClipRecord = CLIP) -> list[str]:
    np.savez_compressed(root / "one.npz", **arrays)  # type: ignore[arg-type]
    problems, notes = check_sidecars([clip], root, 1)
    assert notes == []
    assert all((one.kind, one.where) == ("sidecar", "one.npz") for one in problems)
    return [one.text for one in problems]


def test_every_array_without_a_fault_passes(root: Path) -> None:
    arrays = right()
    assert set(RULES) < set(arrays)
    assert faults(root, arrays) == []
    arrays["keypoints"] = arrays["keypoints"][:, None].repeat(2, 1)
    arrays["box"] = np.zeros((FRAMES, 2, 4), np.int16)
    arrays["mask"] = np.asfortranarray(arrays["mask"])
    del arrays["regions"]
    assert faults(root, arrays) == []
    arrays["mask"] = np.zeros((FRAMES, 7, 9), bool)  # of its own size, as after a translation
    assert faults(root, arrays) == []


def test_what_minirocog_writes_passes(tmp_path: Path) -> None:
    clip = rendered(frames=3)
    video.write(tmp_path / "one.mp4", clip.frames, 8)
    names = ("keypoints", "box", "mask", "depth")
    assert faults(tmp_path, {name: getattr(clip, name) for name in names}) == []


def change(name: str, edit: Callable[[np.ndarray], Any]) -> Callable[[Arrays], None]:
    """A change of one array: in place, or by the array that `edit` returns."""

    def changed(arrays: Arrays) -> None:
        new = edit(arrays[name])
        arrays[name] = arrays[name] if new is None else new

    return changed


def put(name: str, at: Any, value: Any) -> Callable[[Arrays], None]:
    return change(name, lambda array: array.__setitem__(at, value))


MISTAKES: list[tuple[Callable[[Arrays], Any], str]] = [
    (
        change("speed", lambda a: a[:-1]),
        "speed has 3 rows, but one.mp4 has 4 frames; write a row for each frame, row 0 for the"
        " first",
    ),
    (change("speed", lambda a: np.array(3.5)), "speed has 0 rows, but one.mp4 has 4 frames"),
    (
        change("mask", lambda a: np.concatenate([a, a[:1]])),
        "mask has 5 rows, but one.mp4 has 4 frames",
    ),
    (
        change("keypoints", lambda a: a[:, :14]),
        "keypoints is float32 (4, 14, 3); write COCO's 17 joints as x, y, visibility, (T, 17, 3) or"
        " (T, P, 17, 3)",
    ),
    (
        put("keypoints", (2, 5), np.nan),
        "keypoints has nan in frame 2; write 0, 0, 0 for a joint that is outside the image",
    ),
    (
        put("keypoints", (1, 3, 2), 0.75),
        "keypoints has the visibility 0.75 in frame 1; write 2 visible, 1 hidden, 0 outside, and"
        " scores as the array keypoint_scores",
    ),
    (
        change("keypoints", lambda a: a / (WIDTH, HEIGHT, 1)),
        "which are shares of the frame; write pixels, x times 48 and y times 32",
    ),
    (
        change("keypoints", lambda a: (a * (2, 2, 0) + (40, 0, 2)).astype(np.float32)),
        "far outside 48x32 pixels; write positions in the clip's own pixels",
    ),
    (
        change("keypoints", lambda a: (a * (0.5, 0.5, 0) + (-20, 0, 2)).astype(np.float32)),
        "68 of 68 joints that are not 0 outside lie outside 48x32 pixels; write positions in the"
        " clip's own pixels, from its upper left corner",
    ),
    (
        change("keypoints", lambda a: a.astype(str)),
        "keypoints is <U32 (4, 17, 3); write COCO's 17 joints",
    ),
    (
        change("keypoint_scores", lambda a: a * 100),
        "keypoint_scores are 1.15916 to 98.8188; write 0 to 1",
    ),
    (
        change("keypoint_scores", lambda a: a[:, 0]),
        "keypoint_scores is float32 (4, 17); write a score from 0 to 1 of each joint, (T, P, 17)",
    ),
    (
        change("keypoints_3d", lambda a: a[..., :2]),
        "keypoints_3d is float32 (4, 17, 2); write COCO's 17 joints as x, y, z in meters",
    ),
    (put("keypoints_3d", (3, 0), np.inf), "keypoints_3d has inf in frame 3"),
    (
        put("box", 1, (30, 4, 10, 20)),
        "box is 30, 4, 10, 20 in frame 1; write x0, y0, x1, y1, not width and height",
    ),
    (
        change("box", lambda a: a / (WIDTH, HEIGHT, WIDTH, HEIGHT)),
        "which are shares of the frame; write pixels, x times 48 and y times 32",
    ),
    (put("box", (2, 2), 1900), "box has 1900, 20 in frame 2, far outside 48x32 pixels"),
    (put("box", 0, np.nan), "box has nan in frame 0; write 0, 0, 0, 0 where nobody is visible"),
    (
        put("mask", 0, 255),
        "mask has the value 255, but its regions are 0..2, background, person, bag; name each",
    ),
    (
        change("regions", lambda a: a[1:]),
        "regions are 'person, bag'; write different names as text, 'background' first",
    ),
    (
        change("mask", lambda a: a.transpose(0, 2, 1).copy()),
        "mask is uint8 (4, 48, 32), width before height; write (T, height, width)",
    ),
    (change("mask", lambda a: a / 2), "mask is float64 (4, 32, 48); write whole numbers"),
    (
        change("depth", lambda a: (a / 1000).astype(np.float32)),
        "depth is float32 (4, 32, 48); write uint16 millimeters, (T, H, W)",
    ),
    (
        change("depth", lambda a: a // 1000),
        "depth is 3 at most in frame 0, not 100 mm away; write millimeters, meters times 1000",
    ),
    (put("inverse_depth", (0, 1), np.nan), "inverse_depth has nan in frame 0"),
    (change("found", lambda a: a.astype(int)), "found is int64 (4,); write true or false"),
]


@pytest.mark.parametrize(("mistake", "expected"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_a_mistake_is_one_line(
    root: Path, mistake: Callable[[Arrays], None], expected: str
) -> None:
    arrays = right()
    mistake(arrays)
    (fault,) = faults(root, arrays)
    assert expected in fault and "\n" not in fault


def test_files_that_cannot_be_read(root: Path) -> None:
    (fault,) = faults(root, {**right(), "speed": np.array([{}] * FRAMES)})
    assert "speed holds Python objects, which are not loaded; write numbers or text" in fault
    file = root / "one.npz"
    for content in (b"x", file.read_bytes()[:500]):
        file.write_bytes(content)
        (problem,) = check_sidecars([CLIP], root, 1)[0]
        assert str(problem).startswith(f"{file}: damaged (") and str(problem).count("one.npz") == 1
    np.save(root / "one.npy", np.zeros(FRAMES))
    (root / "one.npy").rename(file)
    assert "damaged" in check_sidecars([CLIP], root, 1)[0][0].text
    file.unlink()
    (problem,) = check_sidecars([CLIP], root, 1)[0]
    assert str(problem).startswith("one.npz: no such sidecar; restore it, or empty its cell")


def test_without_its_clip_arrays_are_compared_with_each_other(root: Path) -> None:
    clip = ClipRecord("b", "b.mp4", None, "real", "air", meta={"sidecar": "one.npz"})
    (root / "b.mp4").write_bytes(b"x")
    np.savez(root / "one.npz", speed=np.zeros(4), mask=np.zeros((3, 2, 2), np.uint8))
    problems, (note,) = check_sidecars([clip], root, 1)
    assert "mask has 3 rows, but speed has 4; write a row for each frame" in problems[0].text
    assert note.startswith("1 clips with sidecars cannot be read") and "b.mp4" in note


def test_a_joint_in_the_first_pixel_is_no_share_of_the_frame() -> None:
    keypoints = np.zeros((2, 17, 3), np.float32)
    keypoints[0, 3] = (0.4, 0.6, 2)
    assert check_keypoints("keypoints", keypoints, (640, 480)) is None


def dataset(folder: Path, layout: str) -> dict[str, Any]:
    """Write six clips of two classes with their sidecars; give the config of their layout."""
    paths = [f"{name}/{n}.mp4" for name in ("halt", "wave") for n in range(3)]
    for number, path in enumerate(paths):
        frames = np.full((3, 32, 48, 3), 40 * number, np.uint8)
        video.write(folder / path, frames, 8)
        file = folder / (f"own/{number}.npz" if layout == "csv" else default_sidecar(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, mask=np.zeros((3, 32, 48), np.uint8))
    lines = [f"{path} {path[:4]}" for path in paths]
    if layout == "csv":
        rows = [f"{path},{path[:4]},own\\{n}.npz" for n, path in enumerate(paths)]
        lines = ["path,label,sidecar", *rows]
    name = {"csv": "all.csv", "lists": "all.txt", "folders": "."}[layout]
    if layout != "folders":
        (folder / name).write_text("\n".join(lines))
    return {"name": layout, "parts": [{"split": "train", "path": name}]}


@pytest.mark.parametrize("layout", ["folders", "lists", "csv"])
def test_every_layout_finds_and_checks_sidecars(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    content = dataset(root, layout)
    out = tmp_path / "out"
    job = config(root, out, content)
    assert run(job, dry_run=False, resume=False) == 0
    clips = load_manifest(out).clips
    assert len(clips) == 6 and all((root / clip.meta["sidecar"]).is_file() for clip in clips)
    assert "suffix" not in capsys.readouterr().err
    for clip in clips[:2]:
        np.savez(root / clip.meta["sidecar"], mask=np.zeros((2, 32, 48), np.uint8))
    again = config(root, tmp_path / "again", content)
    with pytest.raises(ViddaError) as caught:
        run(again, dry_run=False, resume=False)
    first = clips[0].meta["sidecar"]
    assert str(caught.value).startswith(
        f"2 faults of sidecars, first {first}: mask has 2 rows, but 0.mp4 has 3 frames; write a row"
    )
    with (tmp_path / "again" / "problems.csv").open(newline="") as file:
        assert [(row["kind"], row["where"]) for row in csv.DictReader(file)] == [
            ("sidecar", clip.meta["sidecar"]) for clip in clips[:2]
        ]


def test_a_sidecar_outside_the_root_is_refused(tmp_path: Path) -> None:
    content = dataset(tmp_path / "root", "csv")
    file = tmp_path / "root" / "all.csv"
    file.write_text(file.read_text().replace("own\\0.npz", "../0.npz"))
    with pytest.raises(ViddaError, match=r"all\.csv:2: path '\.\./0\.npz' leaves the root"):
        run(config(tmp_path / "root", tmp_path / "out", content), dry_run=False, resume=False)


def test_both_sides_of_a_pair_find_their_sidecars(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    dataset(root / "made", "csv")
    dataset(root / "filmed", "folders")
    content = {"name": "pair", "source": {"path": "made/all.csv"}, "target": {"path": "filmed"}}
    assert run(config(root, tmp_path / "out", content), dry_run=False, resume=False) == 0
    assert "suffix" not in capsys.readouterr().err
    clips = load_manifest(tmp_path / "out").clips
    assert {clip.path: clip.meta["sidecar"] for clip in clips} == {
        f"{side}/{name}/{n}.mp4": f"{side}/{file}"
        for at, name in enumerate(("halt", "wave"))
        for n in range(3)
        for side, file in (
            ("made", f"own/{3 * at + n}.npz"),
            ("filmed", f"sidecar/{name}/{n}.npz"),
        )
    }


@pytest.mark.parametrize("order", ["C", "F"])
def test_chosen_rows_are_read_alone(tmp_path: Path, order: str) -> None:
    rows = np.asarray(np.random.default_rng(0).integers(0, 9, (20, 3, 4)), order=order)  # type: ignore[call-overload]
    np.savez_compressed(tmp_path / "one.npz", mask=rows, box=np.ones((20, 4), np.float32))
    with open_sidecar(tmp_path / "one.npz") as content:
        found = chosen_rows(content, "mask", np.array([2, 3, 17]))
        np.testing.assert_array_equal(found, rows[[2, 3, 17]])
        np.testing.assert_array_equal(first_row(content, "mask"), rows[0])
