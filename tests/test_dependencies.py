"""The dependencies of pyproject.toml are those that vidda's files import, and each serves a job."""

import ast
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "ruamel.yaml": "ruamel",
    "huggingface-hub": "huggingface_hub",
    "ai-edge-litert": "ai_edge_litert",
    "scikit-learn": "sklearn",
}
"""Modules whose name is not that of their package."""
BESIDES = {"mmengine", "mmpose", "bitsandbytes", "pydantic_core"}
"""Installed by tools/venv.sh alone; by who wants 8-bit optimizers; with pydantic."""


def named(*groups: list[str]) -> set[str]:
    """The modules of the packages that these requirements name."""
    names = [Requirement(text).name for group in groups for text in group]
    return {MODULES.get(name, name) for name in names}


def imported(file: Path) -> set[str]:
    """The libraries that a file imports anywhere, besides Python's own and this project."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"vidda"}


BY_FILE = {file: imported(file) for file in (ROOT / "vidda").rglob("*.py")}


def test_every_dependency_serves_another_part_than_the_doctor() -> None:
    used = set().union(*(found for file, found in BY_FILE.items() if file.parent.name != "doctor"))
    assert named(PROJECT["dependencies"]) - used == set()


def test_whatever_vidda_imports_is_a_dependency_or_of_an_extra_for_users() -> None:
    extras = PROJECT["optional-dependencies"]
    known = named(PROJECT["dependencies"], *(extras[name] for name in extras if name != "test"))
    assert set().union(*BY_FILE.values()) - known - BESIDES == set()
