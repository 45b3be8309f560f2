"""Files are whole or absent, and paths stay in their folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from vidda.errors import ViddaError
from vidda.files import (
    atomic,
    atomic_folder,
    inside,
    lock,
    require_free,
    sha256,
    shipped,
    write_text,
)


def test_an_atomic_file_appears_whole_with_its_suffix_kept(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "clip.mp4"
    with atomic(target) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".mp4" and not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_atomic_folder_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "half").write_text("x")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    (target.parent / ".folder.part").mkdir()
    (target.parent / ".folder.part" / "of-a-killed-process").write_text("x")
    with atomic_folder(target) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file").write_text("x")
        assert not target.exists()
    assert [p.relative_to(target) for p in target.rglob("*")] == [Path("sub"), Path("sub/file")]
    assert list(target.parent.iterdir()) == [target]


HOLD = """
import sys
from pathlib import Path
from vidda.files import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_other_processes_out_until_its_owner_is_gone(tmp_path: Path) -> None:
    for end in ("leave", "kill"):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ViddaError, match=f"{tmp_path} is in use by .* \\({holder.pid}\\)"),
            lock(tmp_path),
        ):
            pass
        if end == "kill":
            holder.kill()
        holder.communicate()
        with lock(tmp_path):
            pass


def test_inside_joins_and_refuses_to_leave() -> None:
    root = Path("root")
    assert inside(root, "a/b.mp4") == Path("root/a/b.mp4")
    assert inside(root, "a\\b.mp4") == Path("root/a/b.mp4")
    for bad in ("../x", "a/../../x", "/etc/passwd", "\\x", "..\\x", "C:/x", "", "."):
        with pytest.raises(ViddaError, match="leaves root"):
            inside(root, bad)


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_too_little_disk_is_told_before_the_work(tmp_path: Path) -> None:
    require_free(tmp_path / "not" / "yet", 1)
    with pytest.raises(ViddaError, match=r"needs 1048576\.0 GiB but .* GiB are free"):
        require_free(tmp_path / "not" / "yet", 2**50)


def test_little_space_is_told_in_a_unit_that_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9 - 700, 700)
    monkeypatch.setattr("vidda.files.shutil.disk_usage", lambda place: usage)
    with pytest.raises(ViddaError, match=r"needs 48\.8 KiB but 700 bytes are free; free some"):
        require_free(tmp_path, 50_000)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it stands for a full disk")
def test_a_write_that_does_not_fit_names_its_file(tmp_path: Path) -> None:
    def fill(temporary: Path) -> None:
        temporary.symlink_to("/dev/full")
        temporary.write_text("x")

    def save(temporary: Path) -> None:
        # What save_file raises then, word for word.
        problem = "Error while serializing: I/O error: No space left on device (os error 28)"
        raise SafetensorError(problem)

    for write in (fill, save):
        no_space = pytest.raises(OSError, match=r"No space left on device: '.*/a\.txt'$")
        with no_space, atomic(tmp_path / "a.txt") as temporary:
            write(temporary)
    no_space = pytest.raises(OSError, match=r"No space left on device: '.*/folder'$")
    with no_space, atomic_folder(tmp_path / "folder") as folder:
        fill(folder / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_vidda_ships_is_named_without_a_path() -> None:
    assert shipped(Path("a/b")) == Path("a/b")
    readme = shipped(Path("builtin:README.md"))
    assert readme.is_file() and readme.parent.name == "assets"
    with pytest.raises(ViddaError, match="ships no such thing"):
        shipped(Path("builtin:unknown"))
    with pytest.raises(ViddaError):
        shipped(Path("builtin:../files.py"))
