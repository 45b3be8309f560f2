"""One name for one thing: classes and modules are found by a search, words are the field's."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "vidda").rglob("*.py"))

# A package with one command keeps it in `job.py`.
SHARED_MODULE_NAMES = {"__init__", "job"}
RIDDLES = re.compile(r"(What|How|Which|Where|Whether|When|Who|Why)\b")
IMAGE = re.compile(r'"image/png": "[^"]*"')
BRITISH = re.compile(
    r"\w*(colour|grey|centre(?!d)|behaviour|neighbour|favour|labelled(?!by)|(random|normal|optim|"
    r"recogn|personal|general|summar|minim|maxim|quant|serial|initial|standard)is(e|ing|ation))\w*",
    re.I,
)
SEEDS_DRAWS = {("vidda/data/randomize.py", "randomise")}
"""Files, and old spellings in them that must stay for outputs to stay."""


def test_every_class_and_type_has_a_name_of_its_own() -> None:
    found = defaultdict(set)
    for file, node in _nodes():
        if isinstance(node, ast.ClassDef):
            found[node.name].add(file)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id].add(file)
    types = {name: files for name, files in found.items() if re.match("[A-Z]+[a-z]", name)}
    assert {name: files for name, files in types.items() if len(files) > 1} == {}


def test_every_module_has_a_name_of_its_own() -> None:
    found = defaultdict(list)
    for file in FILES:
        if file.stem not in SHARED_MODULE_NAMES:
            found[file.stem].append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_docstrings_are_no_riddles() -> None:
    found = [
        f"{file}: {docstring.splitlines()[0]}"
        for file, node in _nodes()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and (docstring := ast.get_docstring(node))
        and RIDDLES.match(docstring)
    ]
    assert found == []


def test_spelling_is_american() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "vidda", "configs", "docs", "data_prep", "README.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = {
        (name, match.group())
        for name in listed
        if not name.startswith("vidda/assets/") and not name.endswith((".jpg", ".png"))
        # A notebook's images are text too.
        for match in BRITISH.finditer(IMAGE.sub("", (ROOT / name).read_text(encoding="utf-8")))
    }
    assert found == SEEDS_DRAWS


def _nodes() -> Iterator[tuple[str, ast.AST]]:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            yield str(file.relative_to(ROOT)), node
