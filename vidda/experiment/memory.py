"""How much memory a process and all that it has started take now."""

from pathlib import Path

PROC = Path("/proc")


def tree_mib(pid: int) -> float:
    """MiB of a process and its descendants together; 0 where only Linux would know.

    Pages that several of them share are counted once (PSS). wait4's ru_maxrss would not do: it is
    of one process, and never less than what the one that started it had when it did so.
    """
    total = 0.0
    waiting = [pid]
    while waiting:
        place = PROC / str(waiting.pop())
        try:
            lines = (place / "smaps_rollup").read_text().splitlines()
            for task in (place / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # ended meanwhile, or no Linux
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total
