#!/usr/bin/env bash
# Checks style, types and behavior: bash tools/test.sh [pytest arguments ...]
# Injects faults for minutes, and nothing else: bash tools/test.sh deep [pytest arguments ...]
source "$(dirname "$0")/venv.sh"

if [ "${1:-}" = deep ]; then
    shift
    OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest -n auto --maxprocesses 2 --dist loadgroup -m deep "$@"
fi

.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy

# One thread in each of the parallel test processes, or they fight for the cores.
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 8 -m "not slow and not deep" "$@"
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 2 -m "slow and not deep" "$@" || [ $? -eq 5 ] # 5: there is no slow test among those asked for
