"""Packages beside vidda as pip leaves them, and commands that run with them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent


def installed(folder: Path, name: str, text: str, points: Mapping[str, Sequence[str]]) -> None:
    """Write a module and its entry points, by group, into a folder for the path of imports."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(text)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = ["\n".join([f"[{group}]", *lines]) for group, lines in points.items()]
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")


def commands(folder: Path | None, *lines: Sequence[str]) -> list[tuple[int, str]]:
    """Exit status and output of each command, all of them in one process of their own.

    folder: of packages besides those of this installation.
    """
    program = dedent(
        """
        import contextlib, io, json, sys
        from vidda.cli import main
        results = []
        for arguments in json.loads(sys.argv[1]):
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                status = main(arguments)
            results.append((status, said.getvalue()))
        print(json.dumps(results))
        """
    )
    root = Path(__file__).parents[1]
    path = os.pathsep.join([*([str(folder)] if folder else []), str(root)])
    ended = subprocess.run(
        [sys.executable, "-c", program, json.dumps(lines)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return [(status, said) for status, said in json.loads(ended.stdout.splitlines()[-1])]
