"""Who may import whom, which library is known where, and how long a file may be."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vidda"
FILES = sorted(PACKAGE.rglob("*.py"))

# The ground floor, then the packages, in their strict order: each may import those before it.
GROUND = {
    *("types", "errors", "schema", "config", "files", "progress", "console", "workers", "device"),
    *("provenance", "checkpoints", "training_state", "run", "weights", "plugins", "command"),
    *("guard", "run_log", "help", "lazy", "svg"),
    *("overrides", "yaml_data", "shared_memory", "cache_folder"),
}
ORDER = (
    *("video", "sidecar", "data", "mini", "control", "camera", "translate", "recognize"),
    *("evaluate", "gap", "adapt", "report", "experiment", "sweep", "doctor", "cli"),
)
TRANSLATES = {"translate", "experiment", "doctor", "cli"}
"""Who may import translate: what it makes is a manifest like any other."""

# Libraries that only these packages import.
KNOWN_BY = {
    "wandb": {"run"},
    "mmpose": {"control"},
    "mmengine": {"control"},
    "pycocotools": {"control"},
    "diffusers": {"translate", "doctor"},
    "sklearn": {"gap"},
}

# Read before any device is needed: these import torch inside functions at most.
WITHOUT_TORCH = GROUND - {"training_state", "cache_folder", "shared_memory"} | {"cli", "__init__"}

# What belongs to one diffusion model and is named nowhere above the seam.
OF_STABLE_DIFFUSION = re.compile(
    r"\bdiffusers\b|stable.?diffusion|\bcontrolnet|\bunet\b|dreambooth|\blora\b|textual.inversion",
    re.I,
)
BELOW_THE_SEAM = (
    *("translate/stable_diffusion/", "translate/animatediff/", "translate/wan_vace/"),
    "doctor/",
)
SEAM = {"translate/backbone.py", "translate/translate_config.py", "command.py", "provenance.py"}
"""They name the union, its default, where a command is, and the version of a library."""


def package_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path, *, at_load_only: bool = False) -> Iterator[str]:
    """The dotted names that a file imports; with `at_load_only` not those inside functions."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if at_load_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if at_load_only and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide which package is meant"
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
def test_a_package_imports_only_those_before_it(file: Path) -> None:
    if file == PACKAGE / "__init__.py":  # names the rest for type checkers, and loads none of it
        assert set(imports(file, at_load_only=True)) == {
            "typing.TYPE_CHECKING",
            "vidda.lazy.lazy_names",
        }
        return
    own = package_of(file)
    wanted = {name.split(".")[1] for name in imports(file) if name.startswith("vidda.")} - {own}
    before = GROUND if own in GROUND else GROUND | set(ORDER[: ORDER.index(own)])
    allowed = before | {"__version__"}
    if own not in TRANSLATES:
        allowed -= {"translate"}
    assert wanted <= allowed, f"{named(file)} must not import {sorted(wanted - allowed)}"


def test_no_file_imports_itself_in_a_circle() -> None:
    modules = {".".join(("vidda", *f.relative_to(PACKAGE).with_suffix("").parts)): f for f in FILES}
    graph = {name: _imported(name, file, modules) for name, file in modules.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def _imported(own: str, file: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that a file imports, with those inside functions."""
    found = set()
    for name in imports(file):
        package = name.rpartition(".")[0]
        found |= {one for one in (name, package) if one in modules}
    return found - {own}


@pytest.mark.parametrize("file", FILES, ids=named)
def test_only_the_backbone_knows_its_model(file: Path) -> None:
    if named(file).startswith(BELOW_THE_SEAM) or named(file) in SEAM:
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    told = {  # of papers, docstrings and comments may speak
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in told
    }
    found = [text for text in {*names, *texts, *imports(file)} if OF_STABLE_DIFFUSION.search(text)]
    assert not found, f"{named(file)} knows {found}"


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_library_is_known_where_it_belongs(file: Path) -> None:
    libraries = {name.split(".")[0] for name in imports(file)}
    for library, packages in KNOWN_BY.items():
        assert library not in libraries or package_of(file) in packages, (
            f"{named(file)} imports {library}"
        )


@pytest.mark.parametrize("file", [f for f in FILES if package_of(f) in WITHOUT_TORCH], ids=named)
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
