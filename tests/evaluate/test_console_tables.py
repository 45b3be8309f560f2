"""The printed transfer tables: within 100 columns, whatever the number of tasks."""

from io import StringIO

import pytest
from rich.console import Console

from vidda.evaluate.console_tables import WIDTH, print_grids
from vidda.evaluate.intervals import Interval
from vidda.evaluate.transfer import TransferCell
from vidda.evaluate.transfer_tables import TransferGrid, legend


@pytest.mark.parametrize("tasks", [1, 2, 4, 9])
def test_tables_fit_and_lose_nothing(tasks: int) -> None:
    names = [f"task{number}" for number in range(tasks)]
    long = "source + randomized + translated, both with the cameras of the target"
    rows = tuple(
        (name, *(f"{10 + n}.5 ± 2.7 [{n}.6, 40.5]" for n in range(tasks)))
        for name in ("source only", long)
    )
    grid = TransferGrid("Accuracy in %", ("trained on", *names), rows)
    printed = StringIO()
    console = Console(file=printed, width=200, highlight=False, markup=False)
    print_grids(console, [grid], ["a legend of many words " * 9])
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= WIDTH
    text = " ".join(printed.getvalue().split())
    for number, name in enumerate(names):
        assert name in text and f"{10 + number}.5 ± 2.7" in text and f"[{number}.6, 40.5]" in text
    assert all(word in text for word in long.split())


@pytest.mark.parametrize(
    "seeds,start",
    [
        ([1], "1 seed, [95% interval"),
        ([2], "Mean over 2 seeds, ± standard deviation between them, [95% interval"),
        ([1, 3], "Mean over 1 to 3 seeds, ±"),
    ],
)
def test_seeds_are_counted_in_words(seeds: list[int], start: str) -> None:
    cells = [
        TransferCell("a", "t", "all", (0.5,) * n, 0.5, None, 9, 3, Interval(0, 1), Interval(0, 1))
        for n in seeds
    ]
    assert legend(cells, [], 0.95)[0].startswith(start)
