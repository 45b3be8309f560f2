"""`vidda prepare` with `verify`: every video is decoded, once, and a broken one is named."""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from trees import SYN_A, prepare, problems, refusal, rocog_tree, touch

from vidda import video
from vidda.data.listing import walk
from vidda.data.verify import verify


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A tree of real, short videos."""
    root = rocog_tree(tmp_path / "root")
    frames = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "one.mp4", frames, 10)
    data = (tmp_path / "one.mp4").read_bytes()
    for path in root.rglob("*.mp4"):
        path.write_bytes(data)
    return root


def test_verify_finds_what_cannot_be_decoded(
    tmp_path: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (tmp_path / "one.mp4").read_bytes()
    broken = {
        "real/air/Rally/S05_15m_hover_label3_start2.mp4": b"",
        "real/air/Advance/S05_15m_hover_label1_start0.mp4": b"not a video" * 100,
        f"syn/ground/Advance/{SYN_A}": whole[: len(whole) // 2],
    }
    for path, data in broken.items():
        (videos / path).write_bytes(data)
    assert "3 clips that cannot be decoded" in refusal(tmp_path, verify=True, jobs=2)
    assert set(problems(tmp_path)) == {("unreadable", path) for path in broken}
    lines = (tmp_path / "out" / "verified.jsonl").read_text().split()

    # A second run decodes nothing again, but for what has changed since.
    mended = next(iter(broken))
    (videos / mended).write_bytes(whole)
    assert prepare(tmp_path, verify=True, jobs=2, allow_missing=True, summary=True) == 1
    assert set(problems(tmp_path)) == {("unreadable", p) for p in broken if p != mended}
    again = (tmp_path / "out" / "verified.jsonl").read_text().split()
    assert again[: len(lines)] == lines
    assert len([line for line in again if line.startswith('{"path"')]) == 14 + 1
    assert "0:00:0" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["verified"] is True


def test_verify_reads_past_the_half_line_of_a_killed_run(tmp_path: Path, videos: Path) -> None:
    assert prepare(tmp_path, verify=True, jobs=1) == 0
    results = tmp_path / "out" / "verified.jsonl"
    whole = results.read_text()
    results.write_text(whole[: len(whole) - 20])
    assert prepare(tmp_path, verify=True, jobs=1) == 0
    again = results.read_text()
    assert again.startswith(whole[: len(whole) - 20] + "\n{")
    assert again.count("\n{") == whole.count("\n{") + 1


def test_verify_keeps_what_is_odd_and_says_so(
    tmp_path: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "real/air/Rally/S05_15m_hover_label3_start2.mp4"
    with (videos / odd).open("ab") as file:
        file.write(b"TAG" + bytes(125))
    for _ in range(2):  # the second run knows it from the first
        assert prepare(tmp_path, verify=True, jobs=1) == 0
        said = capsys.readouterr().err
        assert f"note: 1 clips are odd but were read, first {odd}: 128 bytes follow" in said
    assert problems(tmp_path) == []


class Deadly(type(Path())):  # type: ignore[misc]
    """A root under which one file kills the process that opens it, as a broken decoder does."""

    def __truediv__(self, name: str) -> Path:
        if name.startswith("dead") and multiprocessing.parent_process() is not None:
            os._exit(9)
        return super().__truediv__(name)


def test_a_file_that_kills_its_decoder_is_named(tmp_path: Path) -> None:
    frames = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    names = [f"fine{n}.mp4" for n in range(20)]
    for name in names:
        video.write(tmp_path / name, frames, 10)
    touch(tmp_path, ["dead.mp4"])
    paths = [*names[:10], "dead.mp4", *names[10:]]
    found = verify(Deadly(tmp_path), paths, walk(tmp_path), tmp_path / "out.jsonl", 2)
    assert "kills its decoder" in (found.pop("dead.mp4").error or "")
    assert {path: result.error for path, result in found.items()} == dict.fromkeys(names)
