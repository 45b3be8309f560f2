"""What several tests of this folder start from."""

from pathlib import Path

import pytest

from tests.translate.target_clips import write_target
from tests.translate.translations import write_source


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of three clips with sidecars; see `write_source`."""
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of the target's clips; see `write_target`."""
    return write_target(tmp_path_factory.mktemp("target"))
