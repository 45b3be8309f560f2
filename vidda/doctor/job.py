"""`vidda doctor`: run the checks, a process for each group, and print a table of the findings."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vidda.config import Config
from vidda.doctor.checks import GROUPS, Check
from vidda.doctor.findings import Finding, FindingState

COLORS: dict[FindingState, str] = {"ok": "green", "missing": "yellow", "broken": "red"}
TIMEOUT_S = 120.0


class DoctorConfig(Config):
    """Config of `vidda doctor`, which has no keys."""


def run(config: DoctorConfig, *, dry_run: bool, resume: bool) -> int:
    """Run all checks and print a table; return 1 if a required part does not work, else 0.

    dry_run: print the names of the parts instead. resume: without effect.
    """
    if dry_run:
        print("would check: " + ", ".join(c.part for group in GROUPS.values() for c in group))
        return 0
    # Two at a time: importing libraries, which takes longest, is bound by one core and the disk.
    with ThreadPoolExecutor(2) as pool:
        findings = dict(zip(GROUPS, pool.map(run_checks, GROUPS.values()), strict=True))
    table = Table("part", "state", "detail")
    broken = []
    for name, group in GROUPS.items():
        for check, finding in zip(group, findings[name], strict=True):
            color = COLORS[finding.state]
            table.add_row(check.part, f"[{color}]{finding.state}[/]", escape(finding.detail))
            if check.required and finding.state != "ok":
                broken.append(check.part)
        table.add_section()
    Console().print(table)
    print(
        f"required, but not working: {', '.join(broken)}" if broken else "all required parts work"
    )
    return 1 if broken else 0


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Return the findings of the checks, in order, with the remedy for parts that do not work.

    The checks share a process; one that crashes it or hangs is broken, and the rest run in a new
    process.
    """
    findings: list[Finding] = []
    while len(findings) < len(checks):
        findings += _in_process(checks[len(findings) :])
    return [
        finding
        if finding.state == "ok"
        else Finding(finding.state, f"{finding.detail}; {c.remedy}")
        for c, finding in zip(checks, findings, strict=True)
    ]


def _in_process(checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield the findings of a new process, and a broken one for the check that ended it early."""
    names = [f"{c.function.__module__}:{c.function.__qualname__}" for c in checks]
    command = [sys.executable, "-m", "vidda.doctor.check_worker", *names]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S)
        output, end = done.stdout, _ending(done.returncode)
    except subprocess.TimeoutExpired as error:
        output, end = (error.stdout or b"").decode(), f"no answer within {TIMEOUT_S:.0f} s"
    found = [Finding(**json.loads(line)) for line in output.splitlines()]
    yield from found
    if len(found) < len(checks):
        yield Finding("broken", end)


def _ending(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
