"""Which combinations of keys come next: every one of a grid, or what Optuna proposes."""

import sys

import pytest

from vidda.errors import ViddaError
from vidda.sweep.search import TriedPoint, propose_points, require_optuna
from vidda.sweep.sweep_config import GridSearch, OptunaSearch, Range, Values

KEYS: dict[str, Values] = {
    "optimizer.lr": Range(low=1e-4, high=1e-1, log=True),
    "batch_size": Range(low=2, high=8, whole=True),
    "method": ({"name": "dann"}, {"name": "coral"}),
}


def test_a_grid_is_every_combination_once() -> None:
    keys: dict[str, Values] = {"a": (1, 2), "b": ("x", None)}
    every = propose_points(GridSearch(), keys, [])
    assert every == [
        {"a": 1, "b": "x"}, {"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 2, "b": None},
    ]  # fmt: skip
    assert propose_points(GridSearch(), keys, [TriedPoint(every[1], 0.3)]) == [every[0], *every[2:]]
    assert propose_points(GridSearch(), keys, [TriedPoint(point, None) for point in every]) == []


@pytest.mark.parametrize("search", [GridSearch(), OptunaSearch(points=5)])
def test_without_keys_there_is_one_combination(search: GridSearch | OptunaSearch) -> None:
    assert propose_points(search, {}, []) == [{}]
    assert propose_points(search, {}, [TriedPoint({}, None)]) == []


def searched(search: OptunaSearch, points: int) -> list[TriedPoint]:
    """A whole search of a value that is best at a learning rate of 0.01 and by coral."""
    known: list[TriedPoint] = []
    while len(known) < points and (found := propose_points(search, KEYS, known)):
        for keys in found:
            rate = abs(keys["optimizer.lr"] - 0.01)
            known.append(TriedPoint(keys, -rate + (keys["method"]["name"] == "coral")))
    return known


def test_a_search_that_was_stopped_goes_on_as_it_would_have() -> None:
    pytest.importorskip("optuna")
    search = OptunaSearch(points=14, seed=3)
    whole = searched(search, 14)
    assert len(whole) == 14 and propose_points(search, KEYS, whole) == []
    for keys in (one.keys for one in whole):
        assert 1e-4 <= keys["optimizer.lr"] <= 1e-1 and keys["batch_size"] in range(2, 9)
        assert isinstance(keys["batch_size"], int)
    assert [propose_points(search, KEYS, whole[:n])[0] for n in (0, 5, 12)] == [
        whole[n].keys for n in (0, 5, 12)
    ]
    assert searched(OptunaSearch(points=3, seed=4), 3)[0] != whole[0]
    failed = [TriedPoint(one.keys, None) for one in whole[:12]]
    assert propose_points(search, KEYS, failed) != [whole[12].keys], (
        "what is known has a part in it"
    )


def test_several_are_proposed_at_once_and_none_twice() -> None:
    pytest.importorskip("optuna")
    first = propose_points(OptunaSearch(points=5, together=3), KEYS, [])
    assert len(first) == 3 and all(first.count(point) == 1 for point in first)
    known = [TriedPoint(point, 0.5) for point in first]
    assert len(propose_points(OptunaSearch(points=5, together=3), KEYS, known)) == 2
    few: dict[str, Values] = {"a": (1, 2)}
    both = propose_points(OptunaSearch(points=9, together=9), few, [])
    assert sorted(point["a"] for point in both) == [1, 2]
    assert (
        propose_points(OptunaSearch(points=9), few, [TriedPoint(point, 1.0) for point in both])
        == []
    )


def test_optuna_that_is_not_there_is_asked_for_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ViddaError, match=r"pip install 'vidda\[sweep\]'") as raised:
        require_optuna()
    assert len(str(raised.value).splitlines()) == 1
