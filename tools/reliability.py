"""Run the fault injections and write their counts to docs/reliability.md.

    .venv/bin/python tools/reliability.py

The page is written only when all checks pass.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"

HEAD = """# Reliability

What happens to a job when its process is killed, its disk fills up, a worker dies or a file of
its own is damaged. Each line is a check of `tests/faults` on tiny jobs with the real methods; a try
is one fault injected and the job resumed.

    .venv/bin/python tools/reliability.py

ran them on {date} with {machine}; `bash tools/test.sh deep` runs the checks alone.

| check | tries | of |
| --- | ---: | --- |
"""

TAIL = """
- **The same bytes**: every file but logs, times and the record of sessions equals that of a run
  that nothing disturbed: weights, metrics, predictions, videos, manifests.
- **Killed**: by SIGKILL, with all its processes, before a chosen change to its files. The changes
  are spread over the run, with the last of every kind (write, rename, delete, link) among them.
- **Named in a line**: `error: FILE: what is wrong; what to do`, exit status 2, no traceback.

The messages and their remedies: [faq.md](faq.md).
"""


def main() -> int:
    """Run the checks and write the page; return the exit status."""
    command = ["pytest", "-n", "2", "--dist", "loadgroup", "-m", "deep", *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        variables = os.environ | {"VIDDA_RELIABILITY": folder, "OMP_NUM_THREADS": "1"}
        ran = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=variables, check=False)
        counts = [json.loads(file.read_text()) for file in sorted(Path(folder).iterdir())]
    if ran.returncode:
        return ran.returncode
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(counts, datetime.now(UTC)), encoding="utf-8")
    print(f"written: {PAGE}")
    return 0


def page(counts: list[dict[str, object]], now: datetime) -> str:
    """Return the page's text: a table row for each check, with its tries and its jobs.

    counts: records with the keys check, case (the job) and tries.
    """
    gpu = "a GPU" if torch.cuda.is_available() else "no GPU"
    machine = f"{os.cpu_count()} cores, {gpu}"
    head = HEAD.format(date=f"{now:%Y-%m-%d}", machine=machine)
    lines = []
    for check in dict.fromkeys(str(one["check"]) for one in counts):
        own = [one for one in counts if one["check"] == check]
        tries = sum(int(str(one["tries"])) for one in own)
        jobs = ", ".join(f"{one['case']} {one['tries']}" for one in own)
        lines.append(f"| {check} | {tries} | {jobs} |\n")
    return head + "".join(lines) + TAIL


if __name__ == "__main__":
    sys.exit(main())
