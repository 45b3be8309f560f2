"""`vidda filter`: the clips that are unlike the target go, by themselves or by group."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gap.gap_clips import files, write_set
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.gap.clip_filter import drop_clips, drop_groups, elbow
from vidda.gap.filter_job import FilterJobConfig, run


def test_the_elbow_is_where_values_begin_to_rise() -> None:
    values = np.concatenate([np.linspace(1, 1.2, 80), np.linspace(2, 9, 20)])
    np.random.default_rng(0).shuffle(values)
    assert elbow(values) == 80
    assert elbow(np.linspace(0, 1, 50)) == 50 == elbow(np.full(50, 3.0))
    assert elbow(np.sqrt(np.linspace(0, 1, 50))) == 50  # bends the other way
    assert elbow(np.array([1.0])) == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_most_unlike_clips_go_and_classes_keep_their_shares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(size=60).round(1), rng.integers(0, 3, 60).tolist()
    kept = drop_clips(values, 0.3, None)
    assert kept.sum() == 42 and values[kept].max() <= values[~kept].min()
    balanced = drop_clips(values, 0.3, labels)
    for label in range(3):
        own = np.array(labels) == label
        assert (own & ~balanced).sum() == int(0.3 * own.sum())
        assert values[own & balanced].max() <= values[own & ~balanced].min()
    assert (drop_clips(values, 0.3, labels) == balanced).all()
    assert drop_clips(values, 0.99, [None, 0, 1] * 20).sum() == 3  # none loses all


@pytest.mark.parametrize("seed", range(5))
def test_groups_go_whole_and_the_worst_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, groups = rng.normal(size=80), rng.choice([*"abcdefgh"], 80).tolist()
    kept = drop_groups(values, 0.4, groups)
    names = np.array(groups)
    averages = {name: values[names == name].mean() for name in set(groups)}
    gone = {name for name in averages if not kept[names == name].any()}
    assert all(kept[names == name].all() for name in averages.keys() - gone)
    assert 0 < (~kept).sum() <= 32
    assert min(averages[n] for n in gone) > max(averages[n] for n in averages.keys() - gone)
    assert drop_groups(values, 0.01, groups).all()


def test_groups_beyond_the_elbow_go() -> None:
    values = np.array([1, 1.1, 1.2, 1.3, 1.4, 9.0]).repeat(4)
    groups = np.array([*"abcdef"]).repeat(4).tolist()
    assert drop_groups(values, "elbow", groups).tolist() == [True] * 20 + [False] * 4


def config(folder: Path, out: Path, **more: Any) -> FilterJobConfig:
    content = {
        "input": str(folder / "source/manifest.csv"),
        "target": str(folder / "target/manifest.csv"),
        "out": str(out),
        "features": {"name": "attributes", "pairs": 1, "size": 40},
        "jobs": 1,
        **more,
    }
    return FilterJobConfig.model_validate_json(json.dumps(content), strict=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 source clips, of which the last 8 are dark, and 16 target clips."""
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder / "source", 32, dark=0.25)
    write_set(folder / "target", 16, labels=False)
    return folder


@pytest.mark.parametrize(
    "more",
    [
        {"drop": 0.25},
        {"drop": 0.25, "score": "density"},
        {"drop": 0.25, "balance": False},
        {"drop": "elbow"},
    ],
)
def test_dark_clips_are_left_out(folder: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    settings = config(folder, tmp_path / "out", **more)
    assert run(settings, dry_run=False, resume=False) == 0
    kept, dropped = load_manifest(tmp_path / "out"), load_manifest(tmp_path / "out/dropped.csv")
    before = load_manifest(settings.input)
    assert {c.id for c in kept.clips} | {c.id for c in dropped.clips} == {
        c.id for c in before.clips
    }
    dark = {f"c{n}" for n in range(24, 32)}
    gone = {clip.id for clip in dropped.clips}
    assert len(gone & dark) >= 7 and len(gone - dark) <= 2
    column = "target_log_density" if "score" in more else "target_distance"
    old = {clip.id: clip for clip in before.clips}
    for clip in kept.clips:
        assert np.isfinite(float(clip.meta[column])) and inside(kept.root, clip.path).is_file()
        same = {key: value for key, value in clip.meta.items() if key != column}
        assert (clip.label, same) == (old[clip.id].label, old[clip.id].meta)
    if more == {"drop": 0.25}:
        assert Counter(clip.label for clip in kept.clips) == {0: 12, 1: 12}
        found = json.loads((tmp_path / "out/filter.json").read_text())
        assert (found["kept"], found["classes"]["Halt"]) == (24, [12, 16])


def test_a_filtered_manifest_is_filtered_again_by_group(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.where(np.arange(32) // 4 % 4 == 1, 5.0, 0.0)  # scene b
    rng = np.random.default_rng(0)
    source = values[:, None] + rng.normal(0, 0.1, (32, 2))
    features = files(tmp_path, source, rng.normal(0, 0.1, (16, 2)))
    settings = config(folder, tmp_path / "out", features=features, group="scene", drop=0.3)
    assert run(settings, dry_run=True, resume=False) == 0
    assert not (tmp_path / "out").exists()
    assert run(settings, dry_run=False, resume=False) == 0
    kept = load_manifest(tmp_path / "out")
    assert {clip.meta["scene"] for clip in kept.clips} == {"a", "c", "d"}
    assert run(settings, dry_run=False, resume=True) == 0
    (tmp_path / "out/manifest.csv").write_text("id,path\n")  # damaged: made again
    assert run(settings, dry_run=False, resume=True) == 0
    assert load_manifest(tmp_path / "out") == kept
    said = capsys.readouterr().out
    assert said.count("already finished") == 1
    assert "kept 24 of 32 clips\n  Advance: 12 of 16\n  Halt: 12 of 16\n" in said
    again = config(folder, tmp_path / "two", features=features, group="scene", drop=0.1)
    again = again.model_copy(update={"input": tmp_path / "out"})
    assert run(again, dry_run=False, resume=False) == 0
    assert (
        "note: nothing was dropped: drop=0.1 is less than one group of scene"
        in capsys.readouterr().out
    )
    assert len(load_manifest(tmp_path / "two")) == 24


def test_mistakes_are_told_together(folder: Path, tmp_path: Path) -> None:
    features = files(tmp_path, np.zeros((2, 2)), np.zeros((16, 2)))
    settings = config(folder, tmp_path / "out", features=features, group="scenes")
    with pytest.raises(ViddaError) as error:
        run(settings, dry_run=True, resume=False)
    first, second = str(error.value).splitlines()
    assert "features: " in first and "has no features of 30 of 32 clips, first 'c2'" in first
    assert "has no column 'scenes'; known are view, domain, subject, scene, distance" in second
