"""A disk that is full ends the translation; no clip is to blame, and nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.translate.translations import settings, start, written
from vidda.control.full_disk import FullDiskError, detect_full_disk
from vidda.errors import ViddaError
from vidda.files import atomic

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="it stands for a full disk")


@needs_full
def test_a_video_that_does_not_fit_is_no_fault_of_its_clip(
    models: Path, source: Path, translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk.mp4"
    disk.symlink_to(FULL)

    @contextmanager
    def filling(path: Path) -> Iterator[Path]:
        if path.stem == "1":
            yield disk
        else:
            with atomic(path) as temporary:
                yield temporary

    content = settings(models, source, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("vidda.video.writing.atomic", filling)
        with pytest.raises(
            FullDiskError, match=r"run: the disk is full .*--resume continues"
        ) as caught:
            start(content)
    assert "\n" not in str(caught.value)
    done = tmp_path / "run" / "videos/syn/ground"
    assert (done / "0.json").exists() and not (done / "1.json").exists()
    assert not list((tmp_path / "run").glob("*.csv"))
    stamp = (done / "0.mp4").stat().st_mtime_ns
    assert start(content, resume=True) == 0
    assert (done / "0.mp4").stat().st_mtime_ns == stamp
    assert written(tmp_path / "run") == written(translated)


@needs_full
def test_only_a_full_disk_is_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(FullDiskError, match="No space left"), detect_full_disk(tmp_path):
        FULL.write_text("x")
    with pytest.raises(FileNotFoundError), detect_full_disk(tmp_path):
        (tmp_path / "none").read_text()
    with pytest.raises(ViddaError, match=r"^damaged$") as caught, detect_full_disk(tmp_path):
        raise ViddaError("damaged")
    assert not isinstance(caught.value, FullDiskError)
