"""Sessions of a command, some of them killed before a chosen change to its files.

    python -m tests.faults.killing TASKS.json

Imports the command once and forks for every session, because the imports take longer than the
work. TASKS.json: argv of `vidda`; out, its folder; sessions, a list of
    at        before which change to kill, 0 for never; below 1 a share of the first one's changes
    start     a folder to move to OUT first; null begins without one, "" goes on with what is there
    resume    whether to give --resume
    to        where OUT is moved afterwards, null to leave it
    worker    whether only what workers change counts, and the worker alone is killed
    disk      KiB of a disk of its own at `mount`, which a later session may enlarge; 0 for none
Prints a line of JSON for each: status (minus the signal), changes (a letter each), said, out.
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

own_disks: set[Path] = set()


def session(argv: list[str], out: Path, place: Path, at: int, worker: bool) -> dict[str, Any]:
    """Run a command in a fork, a session of its own."""
    journal, said = place / "journal", place / "said.txt"
    for file in (journal, said):
        file.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _work(argv, out, journal, said, at, worker)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = said.read_text(errors="replace")
    return {"status": status, "changes": journal.read_text(), "said": text}


def _work(argv: list[str], out: Path, journal: Path, said: Path, at: int, worker: bool) -> None:
    os.setsid()
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ |= {
        "FAULTS_UNDER": str(out),
        "FAULTS_JOURNAL": str(journal),
        "FAULTS_AT": str(at),
        "FAULTS_WORKER": str(int(worker)),
        "PYTHONPATH": os.pathsep.join([str(HOOK), os.environ.get("PYTHONPATH", "")]),
    }
    sys.path.insert(0, str(HOOK))
    import sitecustomize

    assert Path(sitecustomize.__file__).parent == HOOK
    from vidda.cli import main

    status = 1
    try:
        status = main(argv)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


def main(tasks: Path) -> None:
    """Do what TASKS.json asks for."""
    from vidda.cli import COMMANDS

    content = json.loads(tasks.read_text(encoding="utf-8"))
    argv, out = content["argv"], Path(content["out"])
    # torch starts no threads by being imported, so that it may be forked.
    importlib.import_module(COMMANDS[argv[0]].target.partition(":")[0])
    total = 0
    for task in content["sessions"]:
        at = task["at"] if task["at"] >= 1 else round(task["at"] * total)
        if task["start"] != "" and not out.is_mount():
            shutil.rmtree(out, ignore_errors=True)
        if task["start"]:
            Path(task["start"]).rename(out)
        flags = ["--resume"] if task["resume"] else []
        if task["disk"]:
            resize(Path(task["mount"]), task["disk"])
        ended = session([*argv, *flags], out, tasks.parent, at, task["worker"])
        total = total or len(ended["changes"])
        if task["to"] and out.is_mount():
            shutil.copytree(out, task["to"], symlinks=True)
            subprocess.run(["umount", str(out)], check=True)
            own_disks.discard(out)
        elif task["to"] and out.exists():
            out.rename(task["to"])
        print(json.dumps(ended | {"out": task["to"]}), flush=True)


def resize(place: Path, kib: int) -> None:
    """Give a folder a disk of its own, or the one that it has another size."""
    place.mkdir(exist_ok=True)
    how = ["-o", f"remount,size={kib}k"]
    if place not in own_disks:
        own_disks.add(place)
        how = ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs"]
    subprocess.run(["mount", *how, str(place)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
