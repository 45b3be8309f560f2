"""A driver for a job of every command, shared by all checks of the job."""

from collections.abc import Iterator

import pytest

from tests.faults.driving import Driver
from tests.faults.jobs import JOBS


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in JOBS],
)
def driver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """Yield a driver of each job in turn; the name of the job is its command."""
    folder = tmp_path_factory.mktemp(request.param)
    with Driver(JOBS[request.param](folder, folder / "out"), folder / "out", folder) as driver:
        yield driver
