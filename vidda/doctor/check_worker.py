"""Run checks in this process and print a line of JSON about each, without the libraries' noise."""

import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict

from vidda.doctor.findings import Finding, Missing


def find_out(function: Callable[[], str]) -> Finding:
    """Call a check, which returns its detail, and turn what it raises into a finding."""
    try:
        return Finding("ok", function())
    except (Missing, ModuleNotFoundError) as error:
        return Finding("missing", _one_line(error))
    except Exception as error:
        return Finding("broken", f"{type(error).__name__}: {_one_line(error)[:160]}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def main(names: list[str]) -> None:
    """Run the checks named `module:function`, in order."""
    out = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    # The descriptors, not sys.stdout: libraries in C and child processes write to them too.
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    for name in names:
        module, _, attribute = name.partition(":")
        finding = find_out(getattr(importlib.import_module(module), attribute))
        print(json.dumps(asdict(finding)), file=out, flush=True)
    out.flush()
    os._exit(0)  # a library that crashes or hangs while Python shuts down is not what is asked


if __name__ == "__main__":
    main(sys.argv[1:])
