"""Zip files: nothing leaves the folder, nothing is half there, and a second run goes on."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from vidda.data import unpack as module
from vidda.data.unpack import plan, unpack
from vidda.errors import ViddaError


def same(archive: Path, member: str) -> str | None:
    return member


def make(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def refusal(archive: Path, folder: Path) -> str:
    with pytest.raises(ViddaError) as caught:
        members, _ = plan([archive], same, folder)
        unpack(members, folder)
    return str(caught.value)


def test_members_come_out_whole(tmp_path: Path) -> None:
    archive = make(
        tmp_path / "a.zip", {"x/1.mp4": b"one" * 1000, "2.txt": b"", "__MACOSX/3": b"no"}
    )
    members, left = plan([archive], same, tmp_path / "out")
    unpack(members, tmp_path / "out")
    assert left == []
    files = {p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert files == {"1.mp4": b"one" * 1000, "2.txt": b""}


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {f"{n}.mp4": bytes([n]) * 5000 for n in range(3)})
    out = tmp_path / "out"
    out.mkdir()
    # What a kill leaves: one file whole, one still under its temporary name, one after a power cut.
    (out / "0.mp4").write_bytes(b"\0" * 5000)
    kept = (out / "0.mp4").stat().st_mtime_ns
    (out / ".1.mp4.part").write_bytes(b"\1" * 100)
    (out / "2.mp4").write_bytes(b"\2" * 77)
    unpack(plan([archive], same, out)[0], out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        f"{n}.mp4": bytes([n]) * 5000 for n in range(3)
    }
    assert (out / "0.mp4").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    "name", ["../out.mp4", "a/../../out.mp4", "/etc/out.mp4", "C:/out.mp4", "a\\..\\..\\out.mp4"]
)
def test_no_member_leaves_the_folder(tmp_path: Path, name: str) -> None:
    archive = make(tmp_path / "a.zip", {name: b"x", "fine.mp4": b"y"})
    assert "leaves the folder" in refusal(archive, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("*.mp4"))


def test_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link.mp4")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "'link.mp4' is a link" in refusal(tmp_path / "a.zip", tmp_path / "out")


def test_encrypted_members_are_named(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.mp4": b"x" * 10}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\3\4") + 6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    assert refusal(archive, tmp_path / "out").endswith("'a.mp4' is encrypted; unpack it by hand")


def test_corrupt_members_are_named_and_the_others_come_out(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.mp4": b"a" * 99, "b.mp4": b"b" * 99}, zipfile.ZIP_STORED)
    data = archive.read_bytes().replace(b"a" * 99, b"a" * 98 + b"!")
    archive.write_bytes(data)
    assert "'a.mp4' is corrupt (Bad CRC-32" in refusal(archive, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.mp4"]


def test_a_truncated_archive_is_one_line(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.mp4": b"a" * 5000})
    archive.write_bytes(archive.read_bytes()[:-30])
    said = refusal(archive, tmp_path / "out")
    assert "a.zip: is not a whole zip file" in said
    assert len(said.splitlines()) == 1


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.mp4": b"\0" * (8 << 20)})
    assert "too much for a sound archive" in refusal(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_header_that_lies_about_the_size(tmp_path: Path) -> None:
    """The member inflates to 8 MiB, its headers say 1000 bytes: no more than those are written."""
    archive = make(tmp_path / "a.zip", {"a.mp4": b"\0" * (8 << 20)})
    data = archive.read_bytes().replace(struct.pack("<I", 8 << 20), struct.pack("<I", 1000))
    archive.write_bytes(data)
    assert "'a.mp4' is corrupt" in refusal(archive, tmp_path / "out")
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_a_full_disk_is_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(module, "require_free", lambda folder, size: asked.append(size))
    archive = make(tmp_path / "a.zip", {"a.mp4": b"a" * 1000, "b.mp4": b"b" * 500})
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_bytes(b"a" * 1000)
    unpack(plan([archive], same, out)[0], out)
    assert asked == [500]


def test_two_members_for_one_place(tmp_path: Path) -> None:
    one = make(tmp_path / "1.zip", {"x/A.mp4": b"a", "y/a.mp4": b"a"})
    members, _ = plan([one], lambda _, name: Path(name).name, tmp_path / "out")
    assert [member.path for member in members] == ["A.mp4"]
    two = make(tmp_path / "2.zip", {"x/a.mp4": b"different"})
    with pytest.raises(ViddaError, match=r"would overwrite 'x/A\.mp4' of 1\.zip"):
        plan([one, two], lambda _, name: Path(name).name, tmp_path / "out")
