"""Progress is told on standard error, and the items pass through."""

import os
import pty
import subprocess
import sys
from itertools import islice

import pytest

from vidda import progress
from vidda.progress import meter, share_progress, track

COUNT = """
from vidda.progress import track
for _ in track(range(3), label="render", total=5, unit="clips", done=2):
    pass
"""


def test_elsewhere_than_a_terminal_there_are_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", 0.0)
    assert list(track("abc", label="render", total=5, unit="clips", done=2)) == ["a", "b", "c"]
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert [line.split(",")[0] for line in lines[:3]] == [
        "render: 3/5 clips",
        "render: 4/5 clips",
        "render: 5/5 clips",
    ]
    assert "ETA 0 s" in lines[2]
    assert lines[3].startswith("render: 5/5 clips in ")


def test_lines_are_rare(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(track(range(1000), label="x", total=1000, unit="clips")) == 499500
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nothing_to_do_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([], label="x", total=4, unit="clips", done=4)) == []
    assert capsys.readouterr().err.startswith("x: 4/4 clips in ")


def test_items_are_taken_one_by_one() -> None:
    taken = []
    source = (taken.append(i) or i for i in range(10))
    assert list(islice(track(source, label="x", total=10, unit="clips"), 2)) == [0, 1]
    assert taken == [0, 1]


def test_on_a_terminal_there_is_a_bar() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], stderr=theirs, stdout=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0 and done.stdout == b""
    assert "render" in shown and "5/5" in shown and "clips/s" in shown


def test_one_long_item_gives_signs_of_life(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.02)
    said = ""
    with meter(label="controls", total=1, unit="clips") as passed:
        while said.count("controls: 0/1 clips, at work for ") < 2:
            said += capsys.readouterr().err
        passed(1)
    assert "controls: 1/1 clips in " in capsys.readouterr().err


def test_a_label_with_control_characters_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    list(track([], label="a\x1b[2J.mp4", total=0, unit="windows"))
    assert capsys.readouterr().err.startswith("a\\x1b[2J.mp4: 0/0 windows")


def test_an_item_is_done_when_all_steps_have_passed_it() -> None:
    counts: list[int] = []
    passed = share_progress(counts.append, 3)
    for count in (4, 1, 1, 0, 6, 3):  # 5 items, three times
        passed(count)
    assert counts == [1, 1, 2, 1]
    whole: list[int] = []
    share_progress(whole.append, 1)(4)
    assert whole == [4]
