"""Every block of code of README.md, docs and data_prep works as it is printed; see `doc_pages`."""

import shutil
import subprocess
import sys
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from doc_pages import LANGUAGES, PAGES, ROOT, Block, blocks, lines_of

from tests.doc_commands import PageError
from tests.doc_inputs import environment, make_inputs
from tests.doc_runner import PageRunner


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of made inputs, which parallel test processes share."""
    if worker_id == "master":
        return make_inputs(tmp_path_factory.mktemp("made") / "inputs")
    folder = tmp_path_factory.getbasetemp().parent / "doc_inputs"
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        done = folder / "RUN" / "DONE"  # written last
        return folder if done.exists() else make_inputs(folder)


@pytest.mark.deep
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=named)
def test_the_blocks_of_a_page_work(page: Path, made: Path, tmp_path: Path) -> None:
    status, said = run_page(page, made, tmp_path / "page")
    assert status == 0, said[-5000:]


def run_page(page: Path, made: Path, folder: Path) -> tuple[int, str]:
    """Exit status and output of a page's blocks in a copy of the made inputs."""
    shutil.copytree(made, folder, symlinks=True)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.doc_runner", str(page)],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_has_a_language_that_is_checked(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


def problem(tmp_path: Path, text: str) -> str:
    """What is wrong with a page, "" for nothing; its blocks run in `tmp_path`."""
    page = tmp_path / "page.md"
    page.write_text(text)
    try:
        PageRunner(page).run()
    except PageError as error:
        return str(error)
    return ""


def fenced(language: str, *lines: str) -> str:
    return "\n".join(["Some text:", "", f"```{language}", *lines, "```", ""])


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (fenced("rust", "x"), "page.md:4: language 'rust'; known are bash, "),
        (fenced("bash", "make it"), "the tests do not know the program 'make'"),
        (fenced("", "vidda evaluate modle=RUN"), "exit status 2"),
        ("Indented:\n\n    vidda trian x.yaml\n", "vidda trian x.yaml: exit status 2"),
        (fenced("", "vidda help train \\", "  epoch"), "exit status 2"),
        (fenced("", "bash tools/nothing.sh"), "tools/nothing.sh"),
        (fenced("", "python tools/constraints.py --no-such"), "has no --no-such"),
        (fenced("", "pip install 'vidda[nothing]'"), "vidda has no extra 'nothing'"),
        (fenced("yaml", "epochs: 3"), "first line has to be # NAME.yaml or # vidda COMMAND"),
        (fenced("yaml", "# vidda train", "epoch: 3"), "did you mean 'epochs'?"),
        (fenced("yaml", "# vidda train", "epochs: many"), "epochs: "),
        (fenced("yaml", "# my.yaml", "epochs: 3"), "no command or block reads ['my.yaml']"),
        (fenced("csv", "clip,label"), "its first line has to name the file"),
        (fenced("text", "error: the moon is down"), "vidda prints no line like"),
    ],
)
def test_a_block_that_does_not_work_is_found(
    block: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert said in problem(tmp_path, block)


def test_python_blocks_share_names_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    page = [
        fenced("python", "# page_module_of_a_test.py", "answer = 42"),
        fenced("csv", "# table.csv", "a,b", "1,2"),
        fenced("python", "from page_module_of_a_test import answer", "once = answer"),
        fenced(
            "python", 'found = open("table.csv").read()', 'assert (once, found[0]) == (42, "a")'
        ),
    ]
    assert problem(tmp_path, "\n".join(page)) == ""
    with pytest.raises(AssertionError) as raised:
        problem(tmp_path, fenced("python", "x = 1", "assert x == 2"))
    assert raised.traceback[-1].lineno == 4  # counted from 0: the page's own line


def test_a_tree_of_files_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"video")
    lines = (
        "rendered/",
        "  wave/  one.mp4 two.mp4 ...",
        "  halt/",
        "    three.mp4",
        "real/x/4.mp4",
    )
    assert problem(tmp_path, fenced("text", *lines)) == ""
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*/*.mp4")}
    names = ("wave/one.mp4", "wave/two.mp4", "halt/three.mp4")
    assert found == {*(f"rendered/{name}" for name in names), "real/x/4.mp4"}


def test_keys_and_printed_lines_that_are_there_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = [
        fenced("yaml", "# vidda train", "epochs: 3", "model: {name: biconvlstm}"),
        fenced(
            "text", "error: DIR: no trained recognizer; name a run of vidda train or one of its"
        ),
        fenced(
            "bash", "# a comment", "$ OMP_NUM_THREADS=1 vidda help train \\", "    epochs  # why"
        ),
        fenced("sh", "pip install 'vidda[ray]'"),
    ]
    assert problem(tmp_path, "\n".join(page)) == ""


def test_the_lines_of_a_block() -> None:
    block = Block(Path("page.md"), 7, "", "vidda a \\\n  b  # c\n\n# d\n$ vidda e\n")
    assert list(lines_of(block)) == [(7, "vidda a b"), (11, "vidda e")]
