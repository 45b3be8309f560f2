"""Sessions of a command, some of them killed before a chosen change to its files.

    python -m tests.faults.sessions COMMAND

Imports the command once and forks for every session, because the imports take longer than the
work. Reads a line of JSON for each session (see `driving.Task`) and prints one when it has ended.
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
    """Run a command in a fork, a session of its own."""
    out, place = Path(task["out"]), Path(task["place"])
    if task["anew"] and not out.is_mount():
        shutil.rmtree(out, ignore_errors=True)
    if task["start"]:
        Path(task["start"]).rename(out)
    if task["disk"]:
        _resize(task["mount"] or task["out"], task["disk"])
    journal, said = place / "journal", place / "said.txt"
    for file in (journal, said):
        file.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _work(task, journal, said)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if task["to"] and out.is_mount():
        shutil.copytree(out, task["to"], symlinks=True)
        subprocess.run(["umount", str(out)], check=True)
        own_disks.discard(str(out))
    elif task["to"] and out.exists():
        out.rename(task["to"])
    text = said.read_text(errors="replace")
    return {"status": status, "changes": journal.read_text(), "said": text}


def _work(task: dict[str, Any], journal: Path, said: Path) -> None:
    os.setsid()
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ |= {
        "FAULTS_UNDER": task["out"],
        "FAULTS_JOURNAL": str(journal),
        "FAULTS_AT": str(task["at"]),
        "FAULTS_WORKER": str(int(task["worker"])),
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


def _resize(place: str, kib: int) -> None:
    """Give a folder a disk of its own, or the one that it has another size."""
    Path(place).mkdir(exist_ok=True)
    how = ["-o", f"remount,size={kib}k"]
    if place not in own_disks:
        own_disks.add(place)
        how = ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs"]
    subprocess.run(["mount", *how, place], check=True)


def main(command: str) -> None:
    """Do what standard input asks for."""
    from vidda.command import COMMANDS

    # torch starts no threads by being imported, so that it may be forked.
    importlib.import_module(COMMANDS[command].target.partition(":")[0])
    for line in sys.stdin:
        print(json.dumps(session(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
