#!/usr/bin/env bash
# Checks style, types and behaviour: bash tools/test.sh [pytest arguments ...]
source "$(dirname "$0")/venv.sh"

.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy

# One thread in each of the parallel test processes, or they fight for the cores.
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 8 -m "not slow" "$@"
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 2 -m slow "$@" || [ $? -eq 5 ] # 5: there is no slow test among those asked for
