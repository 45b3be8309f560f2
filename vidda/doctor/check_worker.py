"""A process that runs checks and prints a line of JSON for each, without output of libraries."""

import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict

from vidda.doctor.findings import Finding, MissingPart


def run_check(function: Callable[[], str]) -> Finding:
    """Call a check, which returns a detail, and return its finding.

    `MissingPart` and ModuleNotFoundError mean missing, any other exception means broken.
    """
    try:
        return Finding("ok", function())
    except (MissingPart, ModuleNotFoundError) as error:
        return Finding("missing", _one_line(error))
    except Exception as error:
        return Finding("broken", f"{type(error).__name__}: {_one_line(error)[:160]}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def main(names: list[str]) -> None:
    """Run the checks named `module:function` in order, print their findings and exit."""
    out = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    # The descriptors, not sys.stdout: libraries in C and child processes write to them too.
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    for name in names:
        module, _, attribute = name.partition(":")
        finding = run_check(getattr(importlib.import_module(module), attribute))
        print(json.dumps(asdict(finding)), file=out, flush=True)
    out.flush()
    os._exit(0)  # libraries that crash or hang while Python shuts down do not count as broken


if __name__ == "__main__":
    main(sys.argv[1:])
