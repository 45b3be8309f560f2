"""Shares of clips, by groups and by clip."""

import random

import pytest

from vidda.data.group_splits import clip_value, find_group, hold_out_clips, hold_out_groups
from vidda.types import ClipRecord


def made(seed: int) -> tuple[dict[str, int | None], dict[str, str]]:
    """Clips of groups of unequal size, each with some of the classes."""
    rng = random.Random(seed)
    labels: dict[str, int | None] = {}
    groups: dict[str, str] = {}
    for group in range(rng.randint(2, 12)):
        classes = rng.sample(range(4), rng.randint(1, 4))
        for number in range(rng.randint(1, 9)):
            name = f"{group}/{number}"
            labels[name], groups[name] = rng.choice([*classes, None]), f"S{group}"
    return labels, groups


@pytest.mark.parametrize("seed", range(40))
def test_groups_are_whole_and_the_order_is_nothing(seed: int) -> None:
    labels, groups = made(seed)
    held = hold_out_groups(labels, groups, 0.3, seed)
    here, there = ({groups[n] for n in labels if (n in held) is one} for one in (True, False))
    assert here
    assert there
    assert not here & there
    names = list(labels)
    random.Random(1).shuffle(names)
    shuffled = {name: labels[name] for name in names}, {name: groups[name] for name in names}
    assert hold_out_groups(*shuffled, 0.3, seed) == held


@pytest.mark.parametrize("seed", range(20))
def test_every_class_is_on_both_sides_and_the_share_is_near(seed: int) -> None:
    """Ten groups of all classes but one, which two of them have."""
    labels: dict[str, int | None] = {}
    for group in range(10):
        for label in range(4 if group in (2, 7) else 3):
            labels |= {f"{group}/{label}{n}": label for n in range(3)}
    groups = {name: name.partition("/")[0] for name in labels}
    held = hold_out_groups(labels, groups, 0.3, seed)
    assert {labels[name] for name in held} == {labels[name] for name in labels.keys() - held}
    assert 0.2 <= len(held) / len(labels) <= 0.4
    assert len({groups[name] for name in held} & {"2", "7"}) == 1


def test_a_group_of_most_clips_is_not_held_out_for_a_small_share() -> None:
    sizes = {"large": 80, "a": 10, "b": 10}
    labels = {f"{group}/{n}": n % 2 for group, size in sizes.items() for n in range(size)}
    groups = {name: name.partition("/")[0] for name in labels}
    for seed in range(10):
        held = hold_out_groups(labels, groups, 0.1, seed)
        assert len(held) == 10


def test_the_seed_decides() -> None:
    labels = {f"{group}/{n}": n for group in range(9) for n in range(3)}
    groups = {name: name.partition("/")[0] for name in labels}
    found = {tuple(sorted(hold_out_groups(labels, groups, 0.2, seed))) for seed in range(20)}
    assert len(found) > 5
    assert len({tuple(sorted(hold_out_clips(labels, 0.2, seed))) for seed in range(20)}) > 5


def test_by_clip_each_class_is_shared_out() -> None:
    labels = {
        f"{label}/{n}": label for label, count in enumerate((20, 5, 2, 1)) for n in range(count)
    }
    held = hold_out_clips(labels, 0.25)
    assert [sum(labels[name] == label for name in held) for label in range(4)] == [5, 1, 1, 0]
    assert hold_out_clips(dict(reversed(labels.items())), 0.25) == held


def test_the_column_of_groups() -> None:
    clip = ClipRecord("a", "a", 0, "real", "air", "S1", 2.5, None, {"scene": "x", "blank": ""})
    other = ClipRecord("b", "b", 0, "real", "air", None, None, None, {"scene": "y"})
    columns = ("subject", "altitude_m", "scene", "blank", "none", "parent_id")
    assert [clip_value(clip, name) for name in columns] == ["S1", "2.5", "x", None, None, None]
    assert find_group([other, clip]) == "subject"
    assert find_group([other]) == "scene"
    assert find_group([ClipRecord("c", "c", 0, "real", "air")]) is None
