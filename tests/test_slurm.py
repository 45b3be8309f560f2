"""The Slurm example: each task of an array translates its own shard."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import encode, moving

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "slurm_translate.sh"


def task(number: int, first: int, count: int, *arguments: str, path: str = "") -> str:
    """Run the script as a task of an array and return what it prints."""
    variables = {
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_COUNT": str(count),
        "PATH": f"{path or Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = ["bash", str(SCRIPT), *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_tasks_of_an_array_are_the_shards_from_one(tmp_path: Path) -> None:
    command = tmp_path / "vidda"
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    command.chmod(0o755)
    for number, first, shard in ((1, 1, "1/3"), (3, 1, "3/3"), (0, 0, "1/3"), (7, 5, "3/3")):
        said = task(number, first, 3, "a b.yaml", "seed=1", path=str(tmp_path))
        added = [f"shard={shard}", "--resume"]
        assert said.splitlines() == ["translate", "a b.yaml", "seed=1", *added]
    # Slurm reads no directive below the first command.
    text = SCRIPT.read_text()
    assert max(m.start() for m in re.finditer("^#SBATCH", text, re.M)) < text.index("\nset -euo")


@pytest.mark.slow
def test_a_dry_run_of_two_tasks(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        encode(tmp_path / "videos" / f"{name}.mp4", moving(4))
    arguments = ["configs/translate/builtin.yaml", f"input={tmp_path / 'videos'}"]
    arguments += [f"out={tmp_path / 'out'}", "--dry-run"]
    said = [task(number, 1, 2, *arguments) for number in (1, 2)]
    assert [re.findall(r"\d+ clips", text)[:1] for text in said] == [["2 clips"], ["1 clips"]]
    assert not (tmp_path / "out").exists()
