"""The notebook of docs/: committed with its outputs, small, and run from first to last cell."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "tour.ipynb"
LARGEST = 1_500_000
"""Bytes of the notebook with its pictures."""


def code_cells(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def outputs(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in code_cells(content) for output in cell["outputs"]]


def pictures(content: dict[str, Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(content))


def test_it_is_committed_with_the_outputs_of_one_run() -> None:
    assert TOUR.stat().st_size < LARGEST
    content = json.loads(TOUR.read_text(encoding="utf-8"))
    counts = [cell["execution_count"] for cell in code_cells(content)]
    assert counts == list(range(1, len(counts) + 1))
    assert pictures(content) >= 5
    assert not [one for one in outputs(content) if one["output_type"] == "error"]
    # Neither warnings nor paths of the machine that it ran on.
    assert not [one for one in outputs(content) if one.get("name") == "stderr"]
    told = json.dumps(outputs(content))
    assert "/tmp" not in told and str(ROOT) not in told
    for cell in code_cells(content):
        ast.parse("".join(cell["source"]))


def test_it_says_that_the_data_are_simulated() -> None:
    content = json.loads(TOUR.read_text(encoding="utf-8"))
    first = "".join(content["cells"][0]["source"])
    assert "**The data are simulated**" in first


@pytest.mark.deep
def test_it_runs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    (tmp_path / "docs").mkdir()
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    notebook = nbformat.read(TOUR, as_version=4)
    committed = json.loads(TOUR.read_text(encoding="utf-8"))
    where = {"metadata": {"path": str(tmp_path / "docs")}}
    # A cell that fails raises, with its error.
    NotebookClient(notebook, timeout=1800, resources=where).execute()
    assert pictures(notebook) == pictures(committed)
    assert [cell.execution_count for cell in code_cells(notebook)] == [
        cell["execution_count"] for cell in code_cells(committed)
    ]
