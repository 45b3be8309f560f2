"""Who may import whom, which library is known where, and how long a file may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vidda"
FILES = sorted(PACKAGE.rglob("*.py"))

CORE = {"types", "config", "schema", "errors", "files", "progress", "screen", "workers"} | {
    "overrides",
    "yaml_data",
}
RUN = CORE | {"provenance", "checkpoints", "training_state", "run", "video"}
RUN |= {"shared_memory", "cache_folder"}
DATA = RUN | {"data", "mini", "control"}

# The rooms of vidda, and of which others each may know.
MAY_IMPORT = {
    **dict.fromkeys(CORE, CORE),
    **dict.fromkeys(RUN - CORE, RUN),
    **dict.fromkeys(("data", "mini", "control"), DATA),
    "doctor": DATA | {"translate", "recognize", "doctor"},
    "translate": DATA | {"translate"},
    "recognize": DATA | {"recognize"},
    "adapt": DATA | {"recognize", "evaluate", "adapt"},
    "evaluate": CORE | {"run", "data", "recognize", "evaluate"},
    "report": CORE | {"run", "provenance", "video", "data", "evaluate", "report"},
    "experiment": DATA
    | {"translate", "recognize", "adapt", "evaluate", "report", "experiment", "cli"},
    "sweep": DATA | {"recognize", "adapt", "evaluate", "report", "experiment", "sweep"},
    "cli": {"config", "schema", "errors", "files"},
}

# Libraries that only these rooms import.
KNOWN_BY = {
    "wandb": {"run"},
    "mmpose": {"control"},
    "mmengine": {"control"},
    "pycocotools": {"control"},
    "diffusers": {"translate", "doctor"},
}

# Read before any device is needed: these import torch inside functions at most.
WITHOUT_TORCH = CORE | {"run", "provenance", "checkpoints", "cli", "__init__"}


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path, *, at_load_only: bool = False) -> Iterator[str]:
    """The dotted names that a file imports; with `at_load_only` not those inside functions."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if at_load_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide which room is meant"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def test_the_reader_of_imports_sees_all_kinds(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "import a.b\nfrom c import d as e\ndef f():\n    import g\nif a:\n    import h\n"
    )
    assert set(imports(file)) == {"a.b", "c.d", "g", "h"}
    assert set(imports(file, at_load_only=True)) == {"a.b", "c.d", "h"}


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_room_imports_only_what_it_may(file: Path) -> None:
    if file == PACKAGE / "__init__.py":
        assert list(imports(file)) == []
        return
    wanted = {name.split(".")[1] for name in imports(file) if name.startswith("vidda.")}
    allowed = MAY_IMPORT[room(file)] | {"__version__"}
    assert wanted <= allowed, f"{named(file)} must not import {sorted(wanted - allowed)}"


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_library_is_known_where_it_belongs(file: Path) -> None:
    libraries = {name.split(".")[0] for name in imports(file)}
    for library, rooms in KNOWN_BY.items():
        assert library not in libraries or room(file) in rooms, f"{named(file)} imports {library}"


@pytest.mark.parametrize("file", [f for f in FILES if room(f) in WITHOUT_TORCH], ids=named)
def test_the_core_loads_without_torch(file: Path) -> None:
    libraries = {name.split(".")[0] for name in imports(file, at_load_only=True)}
    assert not libraries & {"torch", "torchvision", "wandb"}


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_file_has_one_job_and_says_which(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not {f.stem for f in FILES} & {"utils", "util", "helpers", "misc", "common"}
