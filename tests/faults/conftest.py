"""A job of every command, with what it leaves undisturbed; shared by all checks of it."""

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
    """A driver of each job in turn; the name of the job is its command."""
    place = tmp_path_factory.mktemp(request.param)
    with Driver(JOBS[request.param](place, place / "out"), place / "out", place) as made:
        yield made
