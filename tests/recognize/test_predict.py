"""`vidda predict`: clips, folders, manifests, and a window that slides over a longer video."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import moving
from trained import CLASSES, checkpoint, clip_files, saved_manifest

from vidda.cli import main
from vidda.data.dataset import ClipDataset
from vidda.data.frame_sampling import CenterSampling, UniformSampling, ViewsSampling, clip_rng
from vidda.data.transforms import ClipTransform, ThreeCrops, TransformConfig
from vidda.recognize.annotate import enlarge, frame_probabilities
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.timeline import Timeline, sliding_windows
from vidda.recognize.window_clips import window_clips
from vidda.video import probe, read, write

REAL = Path(__file__).parents[2] / ".." / "shared" / "clips"
QUICK = ("workers=0", "device=cpu")


def errors(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert main(["predict", *map(str, arguments), *QUICK]) == 2
    lines = capsys.readouterr().err.splitlines()
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def probabilities(rows: list[dict[str, str]]) -> np.ndarray:
    found = np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in rows])
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    for row, values in zip(rows, found, strict=True):
        assert row["class"] == CLASSES[values.argmax()]
        assert float(row["probability"]) == values.max()
    return found


def test_a_manifest_a_folder_and_a_video_give_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, manifest = saved_manifest(tmp_path, 4)
    run = checkpoint(tmp_path / "run")
    model, card = load_model(run)
    items = ClipDataset(manifest, card.sampling, card.transform)
    with torch.inference_mode():
        wanted = torch.cat([model(items[n].video[None]).logits for n in range(4)]).softmax(1)
    for number, given in enumerate([file, tmp_path / "videos", tmp_path / "videos" / "0.mp4"]):
        out = tmp_path / f"{number}.csv"
        assert main(["predict", str(run), str(given), f"out={out}", *QUICK]) == 0
        rows = rows_of(out)
        assert probabilities(rows) == pytest.approx(wanted[: len(rows)].numpy(), abs=1e-5)
    assert [row["clip"] for row in rows_of(tmp_path / "0.csv")] == [c.id for c in manifest.clips]
    assert [row["clip"] for row in rows_of(tmp_path / "1.csv")] == [f"{n}.mp4" for n in range(4)]
    assert len(rows_of(tmp_path / "2.csv")) == 1
    shown = capsys.readouterr().out
    assert "0.mp4" in shown and all(name in shown for name in CLASSES)


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip_files(tmp_path / "videos", 3)
    (tmp_path / "videos" / "1.mp4").write_bytes(b"")
    run = checkpoint(tmp_path / "run")
    for number, more in enumerate(((), ("window=0.5",))):
        out = tmp_path / f"{number}.csv"
        assert (
            main(["predict", str(run), str(tmp_path / "videos"), f"out={out}", *more, *QUICK]) == 1
        )
        assert {row["clip"] for row in rows_of(out)} == {"0.mp4", "2.mp4"}
        assert "skipped clip '1.mp4'" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("window=0.5",)], ids=["whole", "along"])
def test_videos_of_which_none_can_be_read_are_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    run, folder = checkpoint(tmp_path / "run"), tmp_path / "videos"
    clip_files(folder, 1)
    whole = (folder / "0.mp4").read_bytes()
    contents = {"0": whole[: len(whole) // 3], "empty": b"", "text": b"no video at all\n" * 50}
    for name, content in contents.items():
        (folder / f"{name}.mp4").write_bytes(content)
    out = tmp_path / "out.csv"
    for name in contents:
        file = folder / f"{name}.mp4"
        assert main(["predict", str(run), str(file), f"out={out}", *more, *QUICK]) == 1
        said = capsys.readouterr()
        (line,) = [line for line in said.err.splitlines() if "clips" not in line or "skip" in line]
        assert line.startswith(f"skipped clip '{name}.mp4'") and str(file) in line
        assert said.out == "" and not out.exists()
    assert main(["predict", str(run), str(folder), f"out={out}", *more, *QUICK]) == 1
    said = capsys.readouterr()
    assert sum(line.startswith("skipped clip") for line in said.err.splitlines()) == 3
    assert said.err.splitlines()[-1] == "3 of 3 clips could not be read"
    assert said.out == "" and not out.exists()


@pytest.mark.parametrize(
    ("frames", "length", "step", "wanted"),
    [
        (10, 4, 3, [(0, 4), (3, 7), (6, 10)]),
        (11, 4, 3, [(0, 4), (3, 7), (6, 10), (7, 11)]),
        (10, 4, 8, [(0, 4), (6, 10)]),
        (3, 4, 1, [(0, 3)]),
        (5, 5, 9, [(0, 5)]),
        (1, 1, 1, [(0, 1)]),
    ],
)
def test_windows(frames: int, length: int, step: int, wanted: list[tuple[int, int]]) -> None:
    assert [tuple(span) for span in sliding_windows(frames, length, step).tolist()] == wanted


@pytest.mark.parametrize("case", ["uniform", "center", "views"])
def test_each_window_shows_what_a_clip_of_its_frames_would(tmp_path: Path, case: str) -> None:
    sampling = {
        "uniform": UniformSampling(frames=4, jitter=False),
        "center": CenterSampling(frames=5, stride=3),  # longer than the window: looped
        "views": ViewsSampling(frames=3, stride=2, clips=2),
    }[case]
    crop = {"crop": ThreeCrops()} if case == "views" else {}
    transform = TransformConfig(size=24, **crop)
    write(tmp_path / "long.mp4", moving(40), 10)
    spans = sliding_windows(40, 10, 4)
    found = list(window_clips(tmp_path / "long.mp4", spans, sampling, transform))
    assert len(found) == len(spans) == 9
    everything = read(tmp_path / "long.mp4", None, transform.read_size)
    make, rng = ClipTransform(transform), clip_rng(0, 0, "", "")
    for (first, end), clip in zip(spans.tolist(), found, strict=True):
        numbers = sampling.pick(end - first, rng)
        parts = [make(everything[first:end][n], rng) for n in numbers]
        assert torch.equal(clip, torch.cat(parts))


def test_a_timeline_and_the_annotated_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, long = checkpoint(tmp_path / "run"), tmp_path / "long.mp4"
    pictures = np.concatenate([moving(20, 64, 96) // 6, 255 - moving(20, 64, 96) // 6])
    write(long, pictures, 10)
    out, drawn = tmp_path / "t.csv", tmp_path / "drawn.mp4"
    more = ["window=1", "step=0.5", f"out={out}", f"annotate={drawn}"]
    assert main(["predict", str(run), str(long), *more, *QUICK]) == 0
    rows = rows_of(out)
    times = [(row["start_s"], row["end_s"]) for row in rows]
    assert times[:2] == [("0.000", "1.000"), ("0.500", "1.500")] and times[-1][1] == "4.000"
    found = probabilities(rows)
    assert rows[0]["class"] != rows[-1]["class"], "dark and bright halves look the same to it"
    model, card = load_model(run)
    clip = ClipTransform(card.transform)(
        read(long, [1, 3, 6, 8], card.transform.read_size), clip_rng(0, 0, "", "")
    )
    with torch.inference_mode():
        assert found[0] == pytest.approx(model(clip).logits.softmax(1)[0].numpy(), abs=1e-5)
    info = probe(drawn)
    # Four times as large: the shorter side of 64 pixels has no room for text.
    assert (info.frames, info.fps, info.width, info.height) == (40, 10, 384, 256)
    before = np.stack([enlarge(frame) for frame in read(long)]).astype(int)
    changed = np.abs(before - read(drawn)).mean(-1)
    lower_left, right = changed[:, 190:, :180].mean(), changed[:, :, 240:].mean()
    assert lower_left > 20 and right < 4
    frames = tmp_path / "f.csv"
    by_frames = ["window=10", "step=5", "unit=frames", f"out={frames}"]
    assert main(["predict", str(run), str(long), *by_frames, *QUICK]) == 0
    assert frames.read_text() == out.read_text()


def test_a_frame_in_several_windows_has_the_mean_of_their_probabilities() -> None:
    spans = np.array([[0, 4], [2, 6], [8, 9]])
    found = Timeline(spans, 10.0, np.array([[1.0, 0.0], [0.5, 0.5], [0.2, 0.8]]))
    means = frame_probabilities(found, 10)
    assert means[:, 0] == pytest.approx(
        [1, 1, 0.75, 0.75, 0.5, 0.5, np.nan, np.nan, 0.2, np.nan], nan_ok=True
    )


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = checkpoint(tmp_path / "run")
    clip_files(tmp_path / "videos", 2)
    one = tmp_path / "videos" / "0.mp4"
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.mp4").write_bytes(b"mine")
    window = "window=1"
    for arguments, said in [
        ((run, tmp_path / "none.mp4"), "no such file or folder"),
        ((run, tmp_path / "empty"), "holds no video"),
        ((tmp_path / "empty", one), "no trained recognizer"),
        ((run, one, "step=1"), "step needs a sliding window"),
        ((run, one, "annotate=a.mp4"), "annotate needs a sliding window"),
        ((run, one, "window=0"), "window"),
        ((run, tmp_path / "videos", window, "annotate=a.mp4"), "is for one video, not for 2"),
        ((run, one, window, "annotate=a.gif"), "name a file that ends in .mp4"),
        ((run, one, window, f"annotate={tmp_path}/there.mp4"), "exists already"),
        ((run, one, f"out={tmp_path}/there.mp4"), "exists already"),
        ((run, one, "clips=2"), "stride=FRAMES"),
    ]:
        (line,) = errors(capsys, *arguments)
        assert said in line
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


@pytest.mark.skipif(not REAL.is_dir(), reason="no real clips here")
def test_ordinary_real_clips(tmp_path: Path) -> None:
    run, out = checkpoint(tmp_path / "run"), tmp_path / "p.csv"
    assert main(["predict", str(run), str(REAL), f"out={out}", *QUICK]) == 0
    assert len(probabilities(rows_of(out))) == 4
    clip, drawn = REAL / "arm_wrestling_340x256.mp4", tmp_path / "drawn.mp4"
    along = tmp_path / "t.csv"
    more = ["window=2", f"out={along}", f"annotate={drawn}"]
    assert main(["predict", str(run), str(clip), *more, *QUICK]) == 0
    assert float(rows_of(along)[-1]["end_s"]) == pytest.approx(probe(clip).duration_s, abs=0.1)
    assert probe(drawn).frames == probe(clip).frames
