"""The command line: quick help, one line for each mistake, exit status 2 without a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidda.cli import main
from vidda.command import COMMANDS, Command
from vidda.config import Config
from vidda.errors import ViddaError


class Toy(Config):
    """A config for these tests."""

    out: str
    several: tuple[str, ...] = ()
    speed: int = 1
    verify: bool = False


def toy(config: Toy, *, dry_run: bool, resume: bool) -> int:
    if config.speed == 404:
        raise ViddaError("first problem\nsecond problem")
    if config.speed == 13:
        raise PermissionError(13, "Permission denied", "/there")
    if config.speed == 28:
        raise OSError(28, "No space left on device")
    if config.speed == 128:
        raise RuntimeError("Error while serializing: I/O error: No space left (os error 28)")
    if config.speed == 7:
        print(config.out)
        print(config.out, file=sys.stderr)
        raise ViddaError(config.out)
    if config.speed > 1000:
        os.kill(os.getpid(), config.speed - 1000)
        time.sleep(60)
    if config.speed == 99:
        raise KeyboardInterrupt
    if config.speed == 0:
        raise ZeroDivisionError
    print(config.out, config.speed, config.verify, dry_run, resume)
    return 3


@pytest.fixture(autouse=True)
def toy_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "toy", Command(f"{__name__}:toy", "for these tests", ("out",)))


def errors(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()


def test_help_needs_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys; from vidda.cli import main; main(['--help']);"
        "sys.exit(bool({'torch', 'pydantic', 'rich', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for name, command in COMMANDS.items():
        if name != "toy":
            assert name in done.stdout and command.help in done.stdout


def test_a_key_with_dots_takes_all_bare_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(config: Toy, *, dry_run: bool, resume: bool) -> int:
        print(config.out, *config.several)
        return 0

    monkeypatch.setattr(sys.modules[__name__], "said", said, raising=False)
    several = Command(f"{__name__}:said", "for these tests", ("out", "several..."))
    monkeypatch.setitem(COMMANDS, "toy", several)
    assert main(["toy", "here", "runs/1", "2024", "speed=2"]) == 0
    assert capsys.readouterr().out == "here runs/1 2024\n"
    assert main(["toy", "here"]) == 0


def test_version_and_empty_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("vidda 0.")


def test_arguments_reach_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text("speed: 5\nout: there\n")
    for arguments, printed in [
        (["2024"], "2024 1 False False False"),
        (["on", "speed=2", "--verify"], "on 2 True False False"),
        ([str(file)], "there 5 False False False"),
        ([str(file), "here", "--resume", "--dry-run"], "here 5 False True True"),
    ]:
        assert main(["toy", *arguments]) == 3
        assert capsys.readouterr().out.strip() == printed


def test_the_help_of_a_command_lists_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: vidda toy OUT ")
    for part in ("out  (str, required)", "speed  (int, 1)", "--dry-run", "--resume"):
        assert part in text


def test_mistakes_in_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors(capsys, "toi") == ["error: unknown command 'toi'; did you mean 'toy'?"]
    assert errors(capsys, "xyzzy")[0].startswith("error: unknown command 'xyzzy'; known are mini, ")
    assert errors(capsys, "toy", "a", "b", "--fast", "x.yaml", "y.yml", "--speed") == [
        "error: 'b' is neither CONFIG.yaml nor key=value nor a flag",
        "error: unknown flag '--fast'; see --help",
        "error: two config files: x.yaml and y.yml; give one",
        "error: unknown flag '--speed'; see --help",
    ]
    assert errors(capsys, "toy", "spead=1") == [
        "error: out: missing; give it in the file or as out=VALUE",
        "error: spead: unknown key; did you mean 'speed'?",
    ]


def test_problems_of_a_command_are_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert errors(capsys, "toy", "a", "speed=404") == [
        "error: first problem",
        "error: second problem",
    ]
    assert errors(capsys, "toy", "a", "speed=13") == [
        "error: [Errno 13] Permission denied: '/there'"
    ]
    for speed in (28, 128):
        assert errors(capsys, "toy", "a", f"speed={speed}") == [
            "error: [Errno 28] No space left on device: 'a'; free some space: what is done is kept,"
            " and the same command with --resume continues"
        ]
    assert main(["toy", "a", "speed=99"]) == 130
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):  # a mistake of vidda's own keeps its traceback
        main(["toy", "a", "speed=0"])


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vidda.cli", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_command_says_a_line(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    # These tests may run under nohup, which has them ignore SIGHUP.
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        status = main(["toy", "a", f"speed={1000 + number}"])
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, inherited)
    assert status == 128 + number
    said = f"ended by {number.name}; the same command with --resume continues from here\n"
    assert capsys.readouterr().err == said


def test_control_characters_of_a_name_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "a\x1b]0;x\x07\x1b[2Jb\u202e\x9b.mp4"
    shown = "a\\x1b]0;x\\x07\\x1b[2Jb\\u202e\\x9b.mp4\n"
    assert main(["toy", name, "speed=7"]) == 2
    output = capsys.readouterr()
    assert output.out == shown and output.err == f"{shown}error: {shown}"


def test_a_path_may_hold_an_equals_sign(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "lr=3" / "toy.yaml"
    file.parent.mkdir()
    file.write_text("speed: 5\n")
    assert main(["toy", str(file), "runs/lr=3"]) == 3
    assert capsys.readouterr().out.startswith("runs/lr=3 5 ")
