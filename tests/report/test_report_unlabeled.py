"""A report of a target without labels: no accuracy anywhere, the scores instead, and it says so."""

from dataclasses import replace
from pathlib import Path

import pytest
from pages import read_page, table_of
from reported import CLASSES, EvaluateLike, clips, report, trained

from vidda.data.manifest import csv_header, csv_lines, write_csv, write_dataset
from vidda.evaluate.transfer import Transfer, TransferRow
from vidda.evaluate.transfer_tables import write_tables
from vidda.evaluate.unlabeled_targets import SCORES, LabelFreeCell
from vidda.run import RunFolder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The results of two arms on one task whose target has no labels."""
    data = tmp_path / "prepared"
    (tmp_path / "media").mkdir()
    write_dataset(data, tmp_path / "media", CLASSES, {})
    place = data / "splits/own/adapted"
    parts = {
        "train": clips(6, "synthetic", "ground"),
        "val": clips(3, "synthetic", "ground", "val"),
        "target": [replace(clip, label=None) for clip in clips(5, "real", "ground")],
    }
    for name, records in parts.items():
        write_csv(place / f"{name}.csv", csv_header([]), csv_lines(records, CLASSES, []))
    runs = [trained(tmp_path / f"run_{n}", place / "train.csv", place / "val.csv") for n in "ab"]
    rows = tuple(
        TransferRow(name=name, runs={"own": (run,)})
        for name, run in zip(("source only", "adapted"), runs, strict=True)
    )
    config = EvaluateLike(transfer=Transfer(data=data, tasks=("own",), rows=rows))
    cells = [
        LabelFreeCell(row.name, "own", 5, 1, dict.fromkeys(SCORES, number / 10))
        for number, row in enumerate(rows)
    ]
    with RunFolder.open(tmp_path / "table", config, {}, resume=False) as folder:
        write_tables(tmp_path / "table", [], [], ("own",), 0.95, cells)
        folder.finish()
    return tmp_path / "table"


def test_scores_stand_where_accuracies_would(table: Path, tmp_path: Path) -> None:
    assert report(runs=[table], out=tmp_path / "report") == 0
    page = read_page(tmp_path / "report/index.html")
    (lead,) = [node for node in page.all("p") if node.attributes.get("class") == "lead"]
    assert lead.text() == "No accuracy is known: own has no test labels."
    ids = [node.attributes["id"] for node in page.all("section")]
    assert ids == ["result", "label_free", "training", "reproduce"]
    rows = table_of(page, "Label-free scores on own, 5 target clips without labels")
    assert [[cell.text() for cell in row[:2]] for row in rows] == [
        ["source only", "0.000"],
        ["adapted", "0.100"],
    ]
    text = page.text()
    assert "Trained on 6 synthetic ground clips; the target has no test labels." in text
    assert "Adaptation may use 5 real ground clips without labels." in text
    assert "The target has no labels, so there is no accuracy." in text
    assert (tmp_path / "report/tables/transfer.csv").is_file()
