"""Translations that are lost, cut short or damaged are made again, and never count as finished."""

import shutil
from pathlib import Path
from threading import Event

import pytest

from tests.translate.translations import settings, start, written
from vidda.translate import job
from vidda.translate.worker import DenoisedClip, Worker, WorkerResult

CLIPS = "videos/syn/ground"


def stamps(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / CLIPS).iterdir()}


def flip(file: Path) -> None:
    """Change one byte; size and time stay."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_finished_run_makes_again_what_was_lost_and_nothing_else(
    models: Path, source: Path, translated: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    content = settings(models, source, out)
    assert start(content) == 0
    clips, sidecar = out / CLIPS, out / "sidecar/syn/ground/0.npz"
    (clips / "0.mp4").unlink()
    (clips / "1.mp4").write_bytes(b"")
    flip(clips / "2.mp4")
    assert start(content, resume=True) == 0
    assert written(out) == written(translated) and (out / "DONE").exists()
    shutil.copy(clips / "1.json", clips / "2.json")
    (clips / "1.json").write_bytes(b"")
    (clips / "0.json").unlink()
    assert start(content, resume=True) == 0
    assert written(out) == written(translated) and (out / "DONE").exists()
    first = stamps(out)
    sidecar.unlink()
    for name in ("manifest.csv", "dataset.json"):
        (out / name).write_bytes(b"")
    assert start(content, resume=True) == 0
    assert written(out) == written(translated) and (out / "DONE").exists()
    last = stamps(out)
    assert {name for name in first if last[name] != first[name]} == {"0.json", "0.mp4"}


def test_a_folder_deleted_in_the_middle_is_not_finished(
    models: Path,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    seen: list[str] = []
    deleted, finish = Event(), Worker._finish

    def delete(done: object) -> None:
        seen.append(str(done))
        if len(seen) == 1:
            shutil.rmtree(out)
            deleted.set()

    def finish_later(worker: Worker, clip: DenoisedClip) -> WorkerResult:
        """The second clip is not written while the first one's folder is deleted."""
        assert not (out / CLIPS / "0.mp4").exists() or deleted.wait(60)
        return finish(worker, clip)

    monkeypatch.setattr(Worker, "_finish", finish_later)
    monkeypatch.setattr(job, "_log_result", delete)
    assert start(settings(models, source, out)) == 1
    assert len(seen) == 3 and not (out / "DONE").exists() and not (out / "manifest.csv").exists()
    output = capsys.readouterr().out
    assert "clips were lost while others were translated" in output and "start again" in output


def test_a_result_lost_in_the_middle_is_made_by_a_resume(
    models: Path,
    source: Path,
    translated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    content = settings(models, source, out)
    with monkeypatch.context() as patch:
        patch.setattr(job, "_log_result", lambda _: (out / CLIPS / "0.mp4").write_bytes(b""))
        assert start(content) == 1
    assert "1 clips were lost" in capsys.readouterr().out
    assert not (out / "DONE").exists()
    assert start(content, resume=True) == 0
    assert written(out) == written(translated)
