"""What several tests of this folder start from; a file may have other fixtures of its own."""

from pathlib import Path

import pytest

from tests.tiny_diffusion import write_tiny
from tests.translate.target_clips import SIZE, write_target
from tests.translate.translations import settings, start, write_models, write_source


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and two ControlNets; see `write_models`."""
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of three clips with sidecars; see `write_source`."""
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def translated(models: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of their translation."""
    out = tmp_path_factory.mktemp("translated") / "run"
    assert start(settings(models, source, out)) == 0
    return out


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base for `vidda personalize`."""
    return write_tiny(tmp_path_factory.mktemp("base") / "base", size=SIZE)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of the target's clips; see `write_target`."""
    return write_target(tmp_path_factory.mktemp("target"))
