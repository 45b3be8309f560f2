"""Tasks and arms in words, paired differences, examples and hidden sections of a small report."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import moving
from pages import Node, read_page, table_of
from reported import CLASSES, clips, prepared, report, trained, transfer

from vidda.config import Config
from vidda.data import load_manifest, save_manifest
from vidda.data.manifest import csv_header, csv_lines, write_csv
from vidda.data.saved_predictions import load_predictions
from vidda.evaluate.metrics import is_correct
from vidda.report.derived_manifests import derivation, kind_of
from vidda.report.example_clips import made_of
from vidda.report.target_label_use import Manifests
from vidda.run import RunFolder
from vidda.translate.outputs import ClipResult
from vidda.types import Manifest
from vidda.video import write


class ArmLike(Config):
    """The keys of an adaptation's config that define an arm."""

    train: tuple[Path, ...]
    val: Path
    target: Path | None = None
    seed: int = 0
    weights: tuple[float, ...] | None = None
    transform: dict[str, object]
    model: dict[str, str]
    method: dict[str, str] | None = None


def derived(
    folder: Path, origin: Path, source: Manifest, domain: str, *, cameras: bool = False
) -> Manifest:
    """Clips made of others; of translated ones the figures get worse from clip to clip."""
    content = {"input": str(origin)} | ({"match": "true"} if cameras else {})
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("".join(f"{k}: {v}\n" for k, v in content.items()))
    records = []
    for number, clip in enumerate(source.clips):
        path = f"videos/{clip.path}"
        write(folder / path, moving(6, 32, 40, seed=number), 8)
        name = f"{clip.id}@{domain}{'@camera' if cameras else ''}"
        records.append(replace(clip, id=name, path=path, domain=domain, parent_id=clip.id))
        if domain == "translated" and not cameras:
            figures = {"flow_epe": float(number)}
            result = ClipResult(id=clip.id, status="kept", path=path, quality=figures)
            result.write((folder / path).with_suffix(".json"))
    manifest = Manifest(folder.absolute(), CLASSES, tuple(records))
    save_manifest(manifest, folder / "manifest.csv")
    return manifest


def arm(path: Path, config: ArmLike) -> Path:
    with RunFolder.open(path, config, {}, resume=False) as folder:
        for epoch in range(3):
            folder.record(epoch * 10 + 5, {"train/loss": 2.0 / (epoch + 1)})
            folder.record(epoch * 10 + 10, {"epoch/val_accuracy": 0.5, "epoch/val_loss": 1.0})
        (path / "selection.json").write_text(json.dumps({"selected": 2, "last": 2}))
        folder.finish()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs on the source, on translated and camera-matched clips, and on the target."""
    folder = tmp_path_factory.mktemp("defined")
    data = prepared(folder / "prepared")
    for number in range(24):
        write(folder / "media" / f"{number}.mp4", moving(8, 48, 60, seed=number), 8)
    place = data / "splits/gs2gr"
    target = [replace(clip, label=None) for clip in clips(6, "real", "ground", "real_train")]
    write_csv(place / "adapted/target.csv", csv_header([]), csv_lines(target, CLASSES, []))
    source = load_manifest(place / "source_only/train.csv")
    ours = derived(folder / "ours-1", place / "source_only/train.csv", source, "translated")
    origin = folder / "ours-1/manifest.csv"
    derived(folder / "matched-1", origin, ours, "translated", cameras=True)
    plain = ArmLike(
        train=(place / "source_only/train.csv",), val=place / "source_only/val.csv",
        transform={"size": 48}, model={"name": "biconvlstm"},
    )  # fmt: skip
    mixed = ArmLike(
        train=(*plain.train, folder / "matched-1/manifest.csv"), val=plain.val,
        target=place / "adapted/target.csv", weights=(1.0, 2.0), model=plain.model,
        transform={"size": 48, "blur": {}, "noise": None}, method={"name": "feature_similarity"},
    )  # fmt: skip
    rows: dict[str, dict[str, list[Path]]] = {"source only": {}, "ours": {}, "target only": {}}
    for seed in (0, 1):
        for name, config in (("source only", plain), ("ours", mixed)):
            run = arm(folder / f"{name}_{seed}", config.model_copy(update={"seed": seed}))
            rows[name].setdefault("gs2gr", []).append(run)
    real = place / "target_only"
    rows["target only"]["gs2gr"] = [
        trained(folder / "oracle", real / "train.csv", real / "val.csv")
    ]
    # The seeds of one row are listed the other way round.
    rows["ours"]["gs2gr"].reverse()
    table = transfer(folder / "table", data, rows)
    assert report(runs=[table], out=folder / "report") == 0
    yield folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Node:
    return read_page(folder / "report/index.html")


def test_tasks_and_arms_are_defined_by_their_lists_and_runs(page: Node) -> None:
    found = {
        next(one.all("dt")).text(): next(one.all("dd")).text()
        for part in page.all("dl")
        for one in part.all("div")
    }
    assert found["gs2gr"] == (
        "Trained on 6 synthetic ground clips, tested on 24 real ground clips of 3 subjects."
        " Adaptation may use 6 real ground clips without labels."
        " Target-only training uses 6 real ground clips with labels."
    )
    assert "24 real air clips of 3 subjects from 15 and 30 m" in found["as2ar"]
    assert found["source only"] == "6 synthetic clips."
    assert found["ours"] == (
        "6 synthetic clips and 6 translated, camera-matched clips, drawn 1:2; augmented by blur;"
        " then adapted by feature similarity to 6 real clips without labels in 30 steps."
    )
    assert found["target only"] == "6 real clips."
    assert "All arms: biconvlstm, 48 pixels, 30 to 60 steps of training." in page.text()


def test_the_page_opens_with_the_main_result(page: Node, folder: Path) -> None:
    (lead,) = [node for node in page.all("p") if node.attributes.get("class") == "lead"]
    stored = json.loads((folder / "report/report.json").read_text())
    assert lead.text() == stored["main_result"].replace("  ", " ")
    assert lead.text().startswith("“ours” closes ") and "(1 to 2 seeds)." in lead.text()
    bodies = [node for node in page.all("tbody") if node.attributes.get("class") == "oracle"]
    assert len(bodies) == 1 and "target only" in bodies[0].text()


def test_an_example_of_median_quality_is_shown_in_all_its_forms(page: Node) -> None:
    shown, air = [node for node in page.all("div") if node.attributes.get("class") == "clip"]
    assert [node.text() for node in air.all("figcaption")] == ["source", "real target"]
    heads = ["source", "translated", "translated, camera-matched", "real target"]
    assert [node.text() for node in shown.all("figcaption")] == heads
    assert len(list(shown.all("video"))) == 4
    # Of six clips whose figures get worse one by one, the fourth.
    assert "clip synthetic/ground/3 of median quality" in shown.text()
    assert next(shown.all("h3")).text() == "gs2gr: 6 synthetic ground clips to 24 real ground clips"


def test_what_was_made_of_which_clip_is_followed_to_the_source(folder: Path) -> None:
    steps = derivation(folder / "matched-1/manifest.csv")
    assert [step.folder.name for step in steps] == ["ours-1", "matched-1"]
    manifests = Manifests()
    assert kind_of(steps[:1], manifests) == "translated"
    assert kind_of(steps, manifests) == "translated, camera-matched"
    made = made_of(steps, manifests)
    assert made["synthetic/ground/2"].id == "synthetic/ground/2@translated@translated@camera"
    assert derivation(folder / "prepared/splits/gs2gr/source_only/train.csv") == []


def test_differences_are_paired_by_seed(page: Node, folder: Path) -> None:
    right = {}
    for row in ("ours", "source only"):
        for number in range(2):
            saved = load_predictions(folder / f"table/predictions/{row}/gs2gr_{number}.npz")
            assert saved.predictions.labels is not None
            right[row, number] = is_correct(saved.predictions.logits, saved.predictions.labels)
    gained = [right["ours", n].mean() - right["source only", 1 - n].mean() for n in range(2)]
    rows = {row[0].text(): row[1] for row in table_of(page, "Points over “source only”")}
    assert float(rows["ours"].attributes["data-v"]) == pytest.approx(np.mean(gained))
    assert set(rows) == {"ours", "target only"}
    pairs = {row[0].text(): row[1:] for row in table_of(page, "Row minus column on gs2gr")}
    there, back = pairs["ours"][0], pairs["source only"][1]
    assert float(there.attributes["data-v"]) == -float(back.attributes["data-v"])
    assert pairs["ours"][1].text() == "\N{EN DASH}"


def test_curves_of_all_arms_share_their_charts(page: Node) -> None:
    (section,) = [node for node in page.all("section") if node.attributes["id"] == "training"]
    figures = list(section.all("figure"))
    assert [next(one.all("figcaption")).text() for one in figures] == ["gs2gr"]
    assert len(list(figures[0].all("svg"))) == 3
    for chart in figures[0].all("svg"):
        lines = [line.attributes["class"] for line in chart.all("polyline")]
        assert [line.split()[1] for line in lines] == ["s0", "s1", "s2"], "a color for each arm"
    (keys,) = [n for n in figures[0].all("p") if n.attributes.get("class") == "keys"]
    assert keys.text() == "source only ours target only"


def test_empty_sections_are_hidden(page: Node) -> None:
    ids = [node.attributes["id"] for node in page.all("section")]
    assert "gallery" not in ids and "quality" not in ids and "choosing" not in ids
    links = [node.attributes["href"][1:] for node in next(page.all("nav")).all("a")]
    assert links == ids


def test_clips_of_one_form_without_a_source_are_no_example(tmp_path: Path) -> None:
    data = prepared(tmp_path / "prepared")
    place = data / "splits/gs2gr/source_only"
    run = trained(tmp_path / "run", place / "train.csv", place / "val.csv")
    table = transfer(tmp_path / "table", data, {"source only": {"gs2gr": [run]}})
    assert report(runs=[table], out=tmp_path / "report") == 0
    page = read_page(tmp_path / "report/index.html")
    assert "examples" not in [node.attributes["id"] for node in page.all("section")]
    assert not list(page.all("video"))
