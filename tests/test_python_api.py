"""vidda from Python: names that load when used, documented and typed, and what they give."""

import ast
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import vidda

ROOT = Path(__file__).parents[1]
PACKAGES = (vidda, vidda.adapt, vidda.data, vidda.evaluate, vidda.recognize, vidda.translate)


def loaded_after(*lines: str) -> set[str]:
    """The modules of a process that has run these lines."""
    code = "\n".join([*lines, "import json, sys", "print(json.dumps(list(sys.modules)))"])
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_vidda_loads_nothing_of_weight() -> None:
    added = loaded_after("import vidda") - loaded_after("import typing, importlib")
    assert added <= {"vidda", "vidda.lazy"}


@pytest.mark.slow
def test_parts_load_when_they_are_used() -> None:
    heavy = {"torch", "diffusers", "transformers"}
    light = loaded_after(
        "import vidda",
        "vidda.load_manifest, vidda.load_shift, vidda.Manifest, vidda.data, vidda.adapt",
        "vidda.recognize, vidda.translate, vidda.video.read",
        "vidda.evaluate.accuracy, vidda.evaluate.scores.entropy, vidda.evaluate.intervals.wilson",
    )
    assert not light & heavy
    used = loaded_after(
        "import vidda",
        "vidda.recognize.load, vidda.translate.load",
        "vidda.data.ClipDataset, vidda.adapt.losses.mmd",
    )
    assert "torch" in used and "diffusers" not in used


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'vidda' has no attribute 'vdieo'"):
        vidda.vdieo  # noqa: B018
    with pytest.raises(ImportError):
        exec("from vidda.data import ClipDatasets")
    for package in PACKAGES:
        assert set(package.__all__) <= set(dir(package))


def public() -> list[tuple[str, Any]]:
    found = [(f"{p.__name__}.{name}", getattr(p, name)) for p in PACKAGES for name in p.__all__]
    modules = (vidda.video, vidda.adapt.losses)
    found += [(f"{m.__name__}.{name}", getattr(m, name)) for m in modules for name in m.__all__]
    return [(name, one) for name, one in found if not isinstance(one, ModuleType | int)]


@pytest.mark.parametrize(("name", "item"), public(), ids=[name for name, _ in public()])
def test_a_public_name_is_typed_and_documented(name: str, item: Any) -> None:
    assert inspect.getdoc(item), name
    functions = [item] if inspect.isfunction(item) else []
    if inspect.isclass(item) and item.__module__.startswith("vidda"):
        own = vars(item).items()
        functions = [f for n, f in own if inspect.isfunction(f) and not n.startswith("_")]
    for function in functions:
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        parameters = [one for one in signature.parameters.values() if one.name != "self"]
        assert all(one.annotation is not inspect.Parameter.empty for one in parameters), function
        text = f"{inspect.getdoc(item)}\n{inspect.getdoc(function)}"
        lacking = [p.name for p in parameters if not re.search(rf"\b{p.name}\b", text)]
        assert not lacking, f"{function.__qualname__} does not document {lacking}"


def test_every_loss_is_named_and_stays_a_function() -> None:
    import vidda.adapt.methods  # the methods import modules of the same names as some losses

    files = [
        file
        for file in (ROOT / "vidda/adapt/losses").glob("*.py")
        if file.stem not in ("__init__", "full_precision")
    ]
    names = {
        node.name
        for file in files
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert names == set(vidda.adapt.losses.__all__)
    assert all(inspect.isfunction(getattr(vidda.adapt.losses, name)) for name in names)


def test_accuracy() -> None:
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    assert vidda.evaluate.accuracy(logits, np.array([0, 1, 1])) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_a_user_s_program_passes_mypy(tmp_path: Path) -> None:
    program = Path(__file__).with_name("typing_example.py")
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nstrict = True\nfollow_imports = silent\nignore_missing_imports = True\n"
    )
    mypy = [sys.executable, "-m", "mypy", f"--config-file={config}", f"--cache-dir={tmp_path}"]

    def checked(file: Path) -> str:
        return subprocess.run([*mypy, str(file)], capture_output=True, text=True, cwd=ROOT).stdout

    assert checked(program).startswith("Success")
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import vidda\n\nvidda.vdieo\nvidda.video.read(3)\n")
    said = checked(wrong)
    assert '"vdieo"' in said and 'incompatible type "int"' in said


@pytest.mark.slow
def test_the_wheel_says_that_vidda_is_typed(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["vidda"]
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(
        ROOT / "vidda", tmp_path / "vidda", ignore=shutil.ignore_patterns("assets", "__pycache__")
    )
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-build-isolation", "--no-deps"]
    built = subprocess.run([*pip, "-w", "dist", "."], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("vidda-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"vidda/py.typed", "vidda/report/template/index.html.jinja"} <= {*names}
