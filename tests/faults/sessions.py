"""Sessions of a command, some of them killed before a chosen change to its files.

    python -m tests.faults.sessions COMMAND

Imports the command once and forks for every session, because the imports take longer than the
work. Reads a line of JSON for each session (`driving.SessionTask`) and prints one for its result
(`driving.SessionResult`).
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HOOK = Path(__file__).parent / "hook"

own_disks: set[str] = set()


def session(task: dict[str, Any]) -> dict[str, Any]:
    """Run a command in a fork, as a session of the operating system."""
    out, folder = Path(task["out"]), Path(task["folder"])
    if task["fresh"] and not out.is_mount():
        shutil.rmtree(out, ignore_errors=True)
    if task["start"]:
        Path(task["start"]).rename(out)
    if task["disk_kib"]:
        _resize(task["mount"] or task["out"], task["disk_kib"])
    journal, output = folder / "journal", folder / "output.txt"
    for file in (journal, output):
        file.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _work(task, journal, output)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if task["move_to"] and out.is_mount():
        shutil.copytree(out, task["move_to"], symlinks=True)
        subprocess.run(["umount", str(out)], check=True)
        own_disks.discard(str(out))
    elif task["move_to"] and out.exists():
        out.rename(task["move_to"])
    text = output.read_text(errors="replace")
    return {"status": status, "changes": journal.read_text(), "output": text}


def _work(task: dict[str, Any], journal: Path, output: Path) -> None:
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ |= {
        "FAULTS_UNDER": task["out"],
        "FAULTS_JOURNAL": str(journal),
        "FAULTS_AT": str(task["kill_at"]),
        "FAULTS_WORKER": str(int(task["worker_only"])),
        "PYTHONPATH": os.pathsep.join([str(HOOK), os.environ["PYTHONPATH"]]),
    }
    sys.path.insert(0, str(HOOK))
    import sitecustomize

    assert Path(sitecustomize.__file__).parent == HOOK
    from vidda.cli import main

    status = 1
    try:
        status = main(task["argv"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


def _resize(folder: str, kib: int) -> None:
    """Mount a separate disk at a folder, or change the size of the one that is there."""
    Path(folder).mkdir(exist_ok=True)
    options = ["-o", f"remount,size={kib}k"]
    if folder not in own_disks:
        own_disks.add(folder)
        options = ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs"]
    subprocess.run(["mount", *options, folder], check=True)


def main(command: str) -> None:
    """Run the sessions that standard input describes."""
    from vidda.command import COMMANDS

    # torch starts no threads by being imported, so that it may be forked.
    importlib.import_module(COMMANDS[command].target.partition(":")[0])
    for line in sys.stdin:
        print(json.dumps(session(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
