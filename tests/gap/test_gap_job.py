"""`vidda gap`: what it finds in sets whose differences are known, its files, resume, mistakes."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gap.gap_clips import files, write_set
from tests.trained import checkpoint
from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.gap import clip_parts, feature_distances
from vidda.gap.attribute_table import MeasureConfig, attribute_table, numeric_columns
from vidda.gap.clip_parts import values_in_parts
from vidda.gap.job import GapJobConfig, run
from vidda.types import ClipRecord, Manifest

SMALL = {"permutations": 99, "bootstrap": 20, "jobs": 1, "shown": 2}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """32 source clips, a quarter of them dark, and 16 target clips without people or labels."""
    folder = tmp_path_factory.mktemp("sets")
    target = write_set(folder / "target", 16, person=False)
    return write_set(folder / "source", 32, dark=0.25), target


def config(sets: tuple[Path, Path], out: Path, **more: Any) -> GapJobConfig:
    content = {
        "source": str(sets[0]),
        "target": str(sets[1]),
        "out": str(out),
        "attributes": {"pairs": 2, "size": 40},
        **SMALL,
        **more,
    }
    return GapJobConfig.model_validate_json(json.dumps(content), strict=True)


def test_differences_are_found_and_written(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    # The first feature tells the width of a box, which the target's sidecars do not have.
    widths = 10 + np.arange(32) % 5
    source = np.stack([widths, rng.normal(size=32), rng.normal(3, 1, 32)], axis=1)
    target = np.stack([np.full(16, 14.0), rng.normal(size=16), rng.normal(0, 1, 16)], axis=1)
    features = {"own": files(tmp_path, source, target)}
    settings = config(sets, tmp_path / "out", features=features, predict=["scene"])
    assert run(settings, dry_run=True, resume=False) == 0
    assert not (tmp_path / "out").exists()
    assert run(settings, dry_run=False, resume=False) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "out/gap.json").read_text())

    attributes = found["attributes"]
    assert attributes["brightness"]["standardized"] > 0.4 and not attributes["fps"]["wasserstein"]
    assert attributes["distance"]["unit"] == "" and attributes["distance"]["p_value"] > 0.01
    assert attributes["box_area"]["predicted"] and not attributes["brightness"]["predicted"]
    heads = {head["attribute"]: head for head in found["heads"]}
    assert heads["box_area"]["score"] > 0.95 and heads["box_area"]["on_target"] is None
    assert heads["brightness"]["on_target"] is not None  # the target has it too
    assert heads["scene"]["measure"] == "accuracy" and heads["scene"]["chance"] == 0.25

    own = found["features"]["own"]
    assert own["proxy_a_distance"] > 1.5 and own["neighbors_source"] > own["neighbors_target"]
    assert own["log_density_source"] < own["log_density_target"]
    score = found["score"]
    assert score["value"] == pytest.approx((score["attributes"] + score["neighbors"]) / 2)
    assert score["neighbors"] == own["neighbor_shift"] and score["spread"] > 0
    assert f"score {score['value']:.3f} ± {score['spread']:.3f}" in said

    with (tmp_path / "out/source.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"c{n}" for n in range(32)]
    assert {"brightness", "box_area", "own.neighbors", "attributes.log_density"} <= set(rows[0])
    with (tmp_path / "out/target.csv").open() as file:
        assert "predicted.box_area" in next(csv.reader(file))

    page = (tmp_path / "out/index.html").read_text()
    assert page.count("<svg") == len(attributes) and page.count("<video") == 6
    assert page.count('src="data:video/mp4;base64,') == 6
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(link.startswith("data:") for link in links)


def test_a_source_like_its_target_has_a_lower_score(
    sets: tuple[Path, Path], tmp_path: Path
) -> None:
    scores = {}
    for name, source in (("other", sets[0]), ("same", sets[1])):
        assert run(config((source, sets[1]), tmp_path / name), dry_run=False, resume=False) == 0
        content = json.loads((tmp_path / name / "gap.json").read_text())
        scores[name] = content["score"]["value"]
    assert scores["same"] < 0.1 < scores["other"]


def test_features_of_a_model_are_kept_and_a_killed_job_goes_on(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model = {"name": "recognizer", "model": str(checkpoint(tmp_path / "model"))}
    model["inference"] = {"device": "cpu", "workers": 0}  # type: ignore[assignment]
    settings = config(sets, tmp_path / "out", features={"own": model}, shown=0)
    monkeypatch.setattr(clip_parts, "PART", 12)
    monkeypatch.setattr("vidda.gap.job.measure_space", stop)
    with pytest.raises(KeyboardInterrupt):
        run(settings, dry_run=False, resume=False)
    monkeypatch.undo()
    monkeypatch.setattr(clip_parts, "PART", 12)
    parts = tmp_path / "out/parts"
    assert len(list(parts.rglob("*.npz"))) == 2 * (3 + 2)
    (parts / "source-own/00001.npz").write_bytes(b"cut")
    kept = {file: file.stat().st_mtime_ns for file in parts.rglob("*.npz")}
    assert run(settings, dry_run=False, resume=True) == 0
    changed = [file for file, time in kept.items() if file.stat().st_mtime_ns != time]
    assert changed == [parts / "source-own/00001.npz"]
    found = json.loads((tmp_path / "out/gap.json").read_text())
    assert found["features"]["own"]["dimensions"] > 1
    assert run(settings, dry_run=False, resume=True) == 0
    assert "already finished" in capsys.readouterr().out


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_several_processes_measure_the_same(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_parts, "PART", 20)
    manifest, measure = load_manifest(sets[0]), MeasureConfig(pairs=1, size=40)
    one, two = (
        attribute_table(manifest, measure, tmp_path / str(jobs), jobs=jobs, label="x")
        for jobs in (1, 2)
    )
    assert one.names == two.names
    np.testing.assert_array_equal(one.values, two.values)


def test_columns_of_numbers_are_attributes() -> None:
    rows = [
        {"yaw": "1.5", "scene": "a", "brightness": "3", "box_x0": "1"},
        {"scene": "b"},
        {"yaw": "-2e1"},
    ]
    clips = [
        ClipRecord(str(n), str(n), None, "", "", altitude_m=15.0 if n else None, meta=meta)
        for n, meta in enumerate(rows)
    ]
    manifest = Manifest(Path("/"), (), tuple(clips))
    found = numeric_columns(manifest, None)
    assert list(found) == ["altitude_m", "yaw"]
    np.testing.assert_array_equal(found["yaw"], [1.5, np.nan, -20])
    assert list(numeric_columns(manifest, ["yaw", "speed"])) == ["yaw"]
    with pytest.raises(ViddaError, match=r"columns: scene 'a' is not a number; leave it out"):
        numeric_columns(manifest, ["scene"])
    with pytest.raises(ViddaError, match=r"'brightness' is also the name of what is measured"):
        numeric_columns(manifest, ["brightness"])


def test_mistakes_are_told_before_a_clip_is_decoded(
    sets: tuple[Path, Path], tmp_path: Path
) -> None:
    def wrong(**more: Any) -> str:
        with pytest.raises(ViddaError) as error:
            run(config(sets, tmp_path / "out", **more), dry_run=True, resume=False)
        return str(error.value)

    good = files(tmp_path, np.zeros((32, 2)), np.zeros((16, 2)))
    assert f"{sets[1]}: 16 clips; at least 20 are needed for neighbors=9" in wrong(neighbors=9)
    assert "predict: a head needs features" in wrong(predict=["scene"])
    assert "column 'distance' of" in wrong(predict=["distance"], features={"own": good})
    assert "the attributes have this name" in wrong(features={"attributes": good})
    bad = {"name": "files", "source": str(tmp_path / "no.npz"), "target": str(tmp_path / "x.npz")}
    (tmp_path / "x.npz").write_bytes(b"text")
    lines = wrong(features={"own": bad}).splitlines()
    assert lines[0] == f"features.own: {tmp_path / 'no.npz'}: no such file of features"
    assert "x.npz: cannot be read as an .npz of features" in lines[1]
    few = files(tmp_path, np.zeros((30, 2)), np.full((16, 2), np.nan))
    lines = wrong(features={"own": few}).splitlines()
    assert "has no features of 2 of 32 clips, first 'c30'; extract them" in lines[0]
    assert "features of 16 of 16 clips are nan or inf, first of 'c0'" in lines[1]
    np.savez(tmp_path / "source.npz", ids=np.array(["c0"]), features=np.zeros(3))
    assert "ids of shape (1,) and features of shape (3,)" in wrong(features={"own": few})
    np.savez(tmp_path / "source.npz", features=np.zeros(3))
    assert "has no arrays 'ids' (N,) and 'features' (N, D)" in wrong(features={"own": few})
    model = {"name": "recognizer", "model": str(tmp_path)}
    assert "features.own: " in wrong(features={"own": model})


def test_scikit_learn_is_asked_for(
    sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(
        ViddaError, match=r"scikit-learn is not installed: pip install 'vidda\[gap\]'"
    ):
        run(config(sets, tmp_path / "out"), dry_run=True, resume=False)
    feature_distances.standardize(np.zeros((3, 1)), np.ones((3, 1)))  # needs none


def test_a_part_of_other_clips_is_computed_again(tmp_path: Path) -> None:
    clips = [ClipRecord(str(n), str(n), None, "", "") for n in range(3)]

    def compute(value: float) -> Any:
        return lambda part: np.full((len(part), 2), value)

    first = values_in_parts(tmp_path, clips, compute(1), jobs=1, label="x")
    again = values_in_parts(tmp_path, clips, compute(2), jobs=1, label="x")
    other = values_in_parts(tmp_path, clips[::-1], compute(3), jobs=1, label="x")
    assert (first == 1).all() and (again == 1).all() and (other == 3).all()
