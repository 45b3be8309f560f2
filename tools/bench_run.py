"""Time of the default job, by command, beside that of an older checkout.

    python tools/bench_run.py OLD                          # the whole job, once by each checkout
    python tools/bench_run.py OLD --share 0.2 --turns 2    # a fifth of its clips and steps, twice

Both checkouts run their own configs/run/mini.yaml with this Python, in turns (old, new, new, old,
old, new, ...), so that a busy machine slows both alike. The table has, for each command, the
seconds and the CPU seconds that its stages took in both checkouts, new / old, and the command's
share of the job's CPU seconds; then the same of the whole job. Stages run side by side: their
seconds add up to more than the job's. On a machine that does other work too, CPU seconds are the
better measure. The transfer table of each run is printed as well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {"randomise": "randomize", "film": "camera"}
"""Names of commands in older checkouts, and their names now."""
COUNTS = {
    # key: (its value in the whole job, the least that all stages work with)
    "mini.syn_train": (45, 9),
    "mini.syn_val": (10, 2),
    "mini.real_train": (60, 20),
    "mini.real_test": (40, 6),
    "recognizers.biconvlstm.steps": (300, 10),
    "personalize.target look.change.method.steps": (80, 4),
    "personalize.target look.change.sample_every": (80, 4),
}
"""Keys of the job that a share of it changes."""


@dataclass(frozen=True)
class Usage:
    """Seconds on the clock, and CPU seconds of all processes."""

    seconds: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.seconds + other.seconds, self.cpu_s + other.cpu_s)


ALL = "whole job"
"""Name of the job's own row, besides those of its commands."""


def overrides(share: float) -> list[str]:
    """Return the overrides that leave a share of the job's clips and steps, in (0, 1]."""
    if share == 1:
        return []
    return [f"{key}={max(least, round(share * count))}" for key, (count, least) in COUNTS.items()]


def turns(count: int) -> list[str]:
    """Return whose turn it is: old, new, new, old, old, new, ... for `count` of each."""
    return [
        name for n in range(count) for name in (("old", "new") if n % 2 == 0 else ("new", "old"))
    ]


def run(checkout: Path, folder: Path, share: float) -> dict[str, Usage]:
    """Run the job of a checkout in a new folder; return its usage by command, and of ALL.

    Ends this program where the job fails.
    """
    folder.mkdir(parents=True)
    (folder / "configs").symlink_to(checkout / "configs")
    command = [sys.executable, "-m", "vidda.cli", "run", "configs/run/mini.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    with (folder / "log.txt").open("w") as log:
        ended = subprocess.run(
            [*command, *overrides(share)], cwd=folder, env=environment, stdout=log, stderr=log
        )
    if ended.returncode:
        sys.exit(f"{checkout}: vidda run failed; see {log.name}")
    return read_usage(folder / "runs" / "mini" / "stages.json")


def read_usage(stages: Path) -> dict[str, Usage]:
    """Return the usage of each command, and of ALL, of a job's stages.json."""
    content = json.loads(stages.read_text(encoding="utf-8"))
    found: defaultdict[str, Usage] = defaultdict(Usage)
    for stage in content["stages"]:
        name = COMMANDS.get(stage["command"], stage["command"])
        found[name] += Usage(stage["seconds"], stage["cpu_s"])
    total = sum(usage.cpu_s for usage in found.values())
    return {**found, ALL: Usage(content["seconds"], total)}


def rows(
    old: Sequence[Mapping[str, Usage]], new: Sequence[Mapping[str, Usage]]
) -> list[tuple[str, ...]]:
    """Return the table's rows: a command's mean seconds, CPU seconds and shares, and the ratios.

    old, new: the usage by command in each run of a checkout.
    """
    names = list(dict.fromkeys(name for usage in (*old, *new) for name in usage if name != ALL))
    found = []
    for name in (*names, ALL):
        cells = [name]
        for figure in ("seconds", "cpu_s"):
            before, after = (
                mean(getattr(usage.get(name, Usage()), figure) for usage in runs)
                for runs in (old, new)
            )
            cells += [f"{before:.1f}", f"{after:.1f}", f"{after / before:.2f}" if before else "-"]
        cells += [
            f"{mean(usage.get(name, Usage()).cpu_s / usage[ALL].cpu_s for usage in runs):.0%}"
            for runs in (old, new)
        ]
        found.append(tuple(cells))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=lambda text: Path(text).resolve(), help="the older checkout")
    parser.add_argument("--share", type=float, default=1.0, help="of the clips and steps, 0 to 1")
    parser.add_argument("--turns", type=int, default=1, help="runs of each checkout")
    parser.add_argument("--work", type=Path, help="an empty folder to keep what is made")
    given = parser.parse_args()
    used: dict[str, list[dict[str, Usage]]] = {"old": [], "new": []}
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        for number, name in enumerate(turns(given.turns), 1):
            folder = work / f"{number}-{name}"
            used[name].append(run(given.old if name == "old" else ROOT, folder, given.share))
            whole = used[name][-1][ALL]
            print(f"{name}: {whole.seconds:.0f} s, {whole.cpu_s:.0f} CPU s", flush=True)
            print((folder / "runs/mini/evaluated/biconvlstm/transfer.md").read_text())
    table = Table(
        "command",
        "s old",
        "s new",
        "ratio",
        "CPU s old",
        "CPU s new",
        "ratio",
        "share old",
        "share new",
    )
    for row in rows(used["old"], used["new"]):
        table.add_row(*row)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
