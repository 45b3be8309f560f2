"""Files are whole or absent, and paths stay in their folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from safetensors import SafetensorError

from vidda.errors import ViddaError
from vidda.files import (
    atomic,
    atomic_folder,
    discard_partial,
    file_name,
    inside,
    lock,
    relative_path,
    require_free,
    resolve_builtin,
    sha256,
    sync,
    sync_later,
    write_text,
)
from vidda.types import ClipRecord


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


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the paths that `os.fsync` is called for, which grow with every call."""
    found: list[Path] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    return found


def test_name_and_content_are_on_the_disk_before_the_return(
    tmp_path: Path, synced: list[Path]
) -> None:
    write_text(tmp_path / "new" / "deep" / "a.txt", "x")
    *folders, file, parent = synced
    assert file.parent == parent == tmp_path / "new" / "deep"
    assert set(folders) == {tmp_path, tmp_path / "new"}, "new folders have names too"


def test_what_is_synced_later_is_waited_for_once_with_all_its_folders(
    tmp_path: Path, synced: list[Path]
) -> None:
    files = [tmp_path / "new" / "deep" / "a.txt", tmp_path / "b.txt"]
    with sync_later():
        for file in files:
            write_text(file, "x")
    assert synced == []
    sync(tmp_path, [*files, tmp_path / "missing"])
    folders = [tmp_path, tmp_path / "new", tmp_path / "new" / "deep"]
    assert sorted(synced) == sorted([*files, *folders])
    write_text(tmp_path / "c.txt", "x")
    assert len(synced) > 5, "afterwards each file is waited for again"


def test_leftovers_of_a_killed_process_go_but_not_those_of_another_run(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for place in (tmp_path / "deep", other):
        place.mkdir()
        (place / ".a.0123456789ab.part.npz").write_bytes(b"half")
        (place / "a.npz").write_bytes(b"whole")
    (tmp_path / ".clip.mp4.part").mkdir()
    (tmp_path / ".clip.mp4.part" / "half.png").write_bytes(b"half")
    (other / ".lock").touch()
    discard_partial(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {
        "deep",
        "deep/a.npz",
        "other",
        "other/.lock",
        "other/.a.0123456789ab.part.npz",
        "other/a.npz",
    }


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
    assert resolve_builtin(Path("a/b")) == Path("a/b")
    readme = resolve_builtin(Path("builtin:README.md"))
    assert readme.is_file() and readme.parent.name == "assets"
    with pytest.raises(ViddaError, match="ships nothing of this name"):
        resolve_builtin(Path("builtin:unknown"))
    with pytest.raises(ViddaError):
        resolve_builtin(Path("builtin:../files.py"))


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "C:/x", "C:\\x", "c:", "\\x",
                                  "\\\\s\\x", "..\\..", "a\\..\\x", "", "./", "a\0b"])  # fmt: skip
def test_one_rule_refuses_a_path_wherever_it_comes_from(tmp_path: Path, path: str) -> None:
    """Lists, manifests, zip files and what is written beside a clip: the same answer for all."""
    for refuse in (
        lambda: relative_path(path),
        lambda: inside(tmp_path, path),
        lambda: ClipRecord("id", path, None, "real", "air"),
    ):
        with pytest.raises(ViddaError, match=r"leaves|holds a NUL"):
            refuse()


@pytest.mark.parametrize(
    ("path", "kept"),
    [("12:30:05.mp4", "12:30:05.mp4"), ("take 2: a/b.mp4", "take 2: a/b.mp4"),
     ("a/C:/x.mp4", "a/C:/x.mp4"), ("./a//b.mp4", "a/b.mp4"), ("a\\b c.mp4", "a/b c.mp4"),
     ("a..b/..c", "a..b/..c"), ("#3: x.avi", "#3: x.avi")],
)  # fmt: skip
def test_one_rule_takes_what_stays(tmp_path: Path, path: str, kept: str) -> None:
    assert relative_path(path) == kept
    assert inside(tmp_path, path) == tmp_path / kept
    assert ClipRecord("id", path, None, "real", "air").path == path


@pytest.mark.parametrize("name", ["..", ".", "", ".x", "../x", "a/b", "a\\b", "/x", "C:", "a\nb",
                                  "a\0", "x" * 201])  # fmt: skip
def test_names_that_would_leave_their_folder(name: str) -> None:
    with pytest.raises(ViddaError, match=r"cannot be a folder's name; take letters"):
        file_name(name)


@pytest.mark.parametrize("name", ["gs2gr", "real air, 12:30", "été", "x" * 200, "a..b"])
def test_names_of_one_folder(name: str) -> None:
    assert file_name(name) == name


def test_a_folder_that_cannot_be_locked_is_told(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    told = pytest.raises(ViddaError, match=r"\.lock: cannot be written: Is a directory; make")
    with told, lock(tmp_path):
        pass


def test_an_error_without_a_file_gets_the_name_of_what_was_written(tmp_path: Path) -> None:
    for unnamed in (OSError(28, "full"), av.error.FileNotFoundError(2, "gone")):
        with pytest.raises(OSError) as told, atomic(tmp_path / "a.mp4"):
            raise unnamed
        assert told.value.filename == str(tmp_path / "a.mp4")
        assert (told.value.errno, told.value.strerror) == (unnamed.errno, unnamed.strerror)
