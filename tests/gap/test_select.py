"""`vidda select`: as many clips as asked for, like the components of the target."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gap.gap_clips import files, write_set
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.gap.clip_selection import (
    TargetMixture,
    principal_points,
    select_by_mixture,
    select_k_center,
    select_random,
    shares_of,
    source_clusters,
    target_mixture,
)
from vidda.gap.select_job import SelectJobConfig, run


@pytest.mark.parametrize("seed", range(20))
def test_shares_sum_and_are_in_proportion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, count = rng.dirichlet(np.ones(5)), int(rng.integers(0, 60))
    found = shares_of(count, weights)
    assert found.sum() == count and (np.abs(found - count * weights) < 1).all()
    limits = rng.integers(0, 10, 5)
    count = int(rng.integers(0, limits.sum() + 1))
    found = shares_of(count, weights * rng.integers(0, 2, 5), limits)
    assert found.sum() == count and (found <= limits).all()


def two_places(count: int, first: float, seed: int = 0) -> np.ndarray:
    """Points (N, 2) of which the first share is at 0, and the rest at 8."""
    rng = np.random.default_rng(seed)
    far = (np.arange(count) >= first * count)[:, None] * 8.0
    return far + rng.normal(0, 1, (count, 2))


def test_the_target_has_as_many_components_as_places() -> None:
    found = target_mixture(two_places(80, 0.75), None, 8, 0)
    assert sorted(found.weights) == pytest.approx([0.25, 0.75], abs=1e-3)
    assert found.silhouette > 0.7
    assert len(target_mixture(two_places(80, 0.75), 3, 8, 0).weights) == 3
    assert len(target_mixture(two_places(7, 0.5), None, 8, 0).weights) == 1


def test_components_take_the_nearest_groups_in_proportion() -> None:
    target = two_places(80, 0.75)
    mixture = target_mixture(target, None, 8, 0)
    # Groups at 0, at 8, at 8 with another spread, and far away; each of 30 clips.
    rng = np.random.default_rng(1)
    places = [(0, 1), (8, 1), (8, 4), (30, 1)]
    source = np.concatenate([rng.normal(at, spread, (30, 2)) for at, spread in places])
    groups = [f"g{n // 30}" for n in range(120)]
    chosen = select_by_mixture(source, groups, mixture, 40, 0)
    counts = [int((chosen[n : n + 30] >= 0).sum()) for n in range(0, 120, 30)]
    assert counts == [30, 10, 0, 0]
    heavy = int(mixture.weights.argmax())
    assert (chosen[:30] == heavy).all() and set(chosen[30:60]) == {-1, 1 - heavy}
    more = select_by_mixture(source, groups, mixture, 56, 0)
    assert [int((more[n : n + 30] >= 0).sum()) for n in range(0, 120, 30)] == [30, 26, 0, 0]
    assert (select_by_mixture(source, groups, mixture, 120, 0) >= 0).all()
    again = select_by_mixture(source, groups, mixture, 40, 0)
    assert (again == chosen).all()
    other = select_by_mixture(source, groups, mixture, 40, 1)
    assert ((other >= 0) != (chosen >= 0)).any() and (other >= 0).sum() == 40


def test_k_center_is_the_greedy_choice() -> None:
    source, target = two_places(60, 0.5), two_places(20, 1.0, seed=1)
    chosen = [int(np.linalg.norm(source - target.mean(0), axis=1).argmin())]
    while len(chosen) < 12:
        distances = [min(np.linalg.norm(point - source[c]) for c in chosen) for point in source]
        chosen.append(int(np.argmax(distances)))
    assert np.flatnonzero(select_k_center(source, target, 12)).tolist() == sorted(chosen)
    assert select_k_center(np.zeros((5, 2)), target, 5).all()


def test_random_choices_are_of_the_seed() -> None:
    first, second = select_random(100, 30, 0), select_random(100, 30, 1)
    assert first.sum() == second.sum() == 30 and (first != second).any()
    assert (select_random(100, 30, 0) == first).all()


def test_clusters_and_components_are_few() -> None:
    names = source_clusters(two_places(200, 0.5), 0)
    assert len(names) == 200 and len(set(names)) == 4
    source, target = np.random.default_rng(0).normal(size=(2, 50, 30))
    first, second = principal_points(source, target)
    assert first.shape == second.shape == (50, 10)
    assert second.mean(0) == pytest.approx(np.zeros(10), abs=1e-9)
    single = TargetMixture(np.ones(1), np.zeros((1, 10)), np.ones((1, 10)), float("nan"))
    assert (select_by_mixture(first, ["x"] * 50, single, 7, 0) >= 0).sum() == 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 source clips in four scenes and two classes, and 16 target clips."""
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder / "source", 48, person=False)
    write_set(folder / "target", 16, person=False, labels=False)
    return folder


def config(folder: Path, out: Path, **more: Any) -> SelectJobConfig:
    # Scene b is like three quarters of the target, scene d like the others.
    rng = np.random.default_rng(0)
    at = np.array([20.0, 0.0, 40.0, 8.0])[np.arange(48) // 4 % 4]
    source = at[:, None] + rng.normal(0, 1, (48, 2))
    content = {
        "input": str(folder / "source/manifest.csv"),
        "target": str(folder / "target/manifest.csv"),
        "out": str(out),
        "n": 16,
        "features": files(folder, source, two_places(16, 0.75, seed=2)),
        **more,
    }
    return SelectJobConfig.model_validate_json(json.dumps(content), strict=True)


def test_scenes_like_the_target_are_chosen(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = {"name": "mixture", "group": "scene", "components": 2}
    settings = config(folder, tmp_path / "out", method=method)
    assert run(settings, dry_run=True, resume=False) == 0
    assert not (tmp_path / "out").exists()
    assert run(settings, dry_run=False, resume=False) == 0
    found = load_manifest(tmp_path / "out")
    assert Counter(clip.meta["scene"] for clip in found.clips) == {"b": 12, "d": 4}
    assert Counter(clip.label for clip in found.clips) == {0: 8, 1: 8}
    assert {clip.meta["target_component"] for clip in found.clips} == {"0", "1"}
    ids = [int(clip.id[1:]) for clip in found.clips]
    assert ids == sorted(ids) and all(float(c.meta["target_distance"]) > 0 for c in found.clips)
    content = json.loads((tmp_path / "out/select.json").read_text())
    assert content["chosen"] == 16 and content["classes"]["Halt"] == [8, 24]
    assert content["mean_distance_chosen"] < content["mean_distance"]
    assert run(settings, dry_run=False, resume=True) == 0
    assert "already finished" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["mixture", "k_center", "random"])
@pytest.mark.parametrize("balance", [True, False])
def test_every_method_chooses_as_many_and_the_same_again(
    folder: Path, tmp_path: Path, name: str, balance: bool
) -> None:
    chosen = []
    for out in ("one", "two"):
        settings = config(folder, tmp_path / out, method={"name": name}, balance=balance, n=17)
        assert run(settings, dry_run=False, resume=False) == 0
        chosen.append([clip.id for clip in load_manifest(tmp_path / out).clips])
    assert chosen[0] == chosen[1] and len(set(chosen[0])) == 17
    classes = Counter(int(one[1:]) % 2 for one in chosen[0])
    assert not balance or sorted(classes.values()) == [8, 9]


def test_measured_attributes_choose_too(folder: Path, tmp_path: Path) -> None:
    features = {"name": "attributes", "pairs": 1, "size": 40}
    settings = config(folder, tmp_path / "out", features=features, jobs=1, n=9)
    assert run(settings, dry_run=False, resume=False) == 0
    assert len(load_manifest(tmp_path / "out")) == 9


def test_mistakes_are_told_together(folder: Path, tmp_path: Path) -> None:
    method = {"name": "mixture", "group": "scenes", "components": 17}
    with pytest.raises(ViddaError) as error:
        run(config(folder, tmp_path / "out", n=49, method=method), dry_run=True, resume=False)
    first, second, third = str(error.value).splitlines()
    assert first.startswith("n=49: ") and "has only 48 clips; choose fewer" in first
    assert second == "method.components=17: the target has 16 clips"
    assert third.startswith("method.group: ") and "has no column 'scenes'" in third
