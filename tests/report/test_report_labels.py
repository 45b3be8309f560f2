"""Which row is marked as the best: never one that has seen labels of the target."""

from pathlib import Path

import pytest
from pages import read_page, table_of
from reported import prepared, report, trained, transfer

from vidda.config import Config
from vidda.evaluate.intervals import Interval
from vidda.evaluate.transfer import TransferCell
from vidda.report.latex import latex_table
from vidda.report.target_label_use import best_rows
from vidda.run import RunFolder


class StartLike(Config):
    """The keys of a run that goes on from another."""

    train: tuple[Path, ...]
    start: Path


def cell(row: str, mean: float) -> TransferCell:
    return TransferCell(row, "gs2gr", "all", (mean,), mean, None, 9, 3, Interval(0, 1), None)


def test_the_best_of_rows_without_target_labels() -> None:
    cells = [cell("a", 0.4), cell("oracle", 0.9), cell("b", 0.6), cell("c", 0.6)]
    informed = {("oracle", "gs2gr"), ("b", "as2ar")}
    assert best_rows(cells, informed) == {("b", "gs2gr"), ("c", "gs2gr")}
    assert best_rows(cells[1:2], informed) == frozenset()
    text = latex_table(cells, ["gs2gr"], 0.95, informed)
    assert text.count(r"\mathbf{60.0}") == 2 and r"\mathbf{90.0}" not in text
    assert "Bold: the best that saw no label of the target." in text


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The marked rows on gs2gr among a fair one and four that learned from target labels."""
    folder = tmp_path_factory.mktemp("labels")
    data = prepared(folder / "prepared", 60)
    place = data / "splits/gs2gr"
    source, target = place / "source_only", place / "target_only"
    fair = trained(folder / "fair", source / "train.csv", source / "val.csv")
    real = trained(folder / "real", target / "train.csv", target / "val.csv")
    chosen = trained(folder / "chosen", source / "train.csv", target / "val.csv")
    later = folder / "later"
    checkpoint = real / "checkpoints" / "000010"
    settings = StartLike(train=(source / "train.csv",), start=checkpoint)
    with RunFolder.open(later, settings, {}, resume=False) as opened:
        opened.record(1, {"train/loss": 1.0})
        opened.finish()
    # By the row's name alone: the run is not there any more.
    gone = folder / "gone"
    rows = {"source only": fair, "a": real, "b": chosen, "c": later, "upper bound": gone}
    made = transfer(
        folder / "table", data, {name: {"gs2gr": [run]} for name, run in rows.items()}, 60
    )
    out = folder / "report"
    assert report(runs=[made], out=out, gap={"target": "upper bound"}) == 0
    shown = table_of(read_page(out / "index.html"), "Accuracy in % on the test clips")
    lowest = min(shown, key=lambda row: float(row[1].attributes["data-v"]))
    assert lowest[0].text() == "source only", "the fair row is the worst, or this tests nothing"
    bold = [line for line in (out / "tables/transfer.tex").read_text().splitlines() if "bf" in line]
    found = {
        row[0].text()
        for row in shown
        if "best" in next(row[1].all("span")).attributes["class"].split()
    }
    assert [line.split("&")[0].strip() for line in bold] == sorted(found)
    return found


def test_rows_that_learned_from_target_labels_are_not_marked(marked: set[str]) -> None:
    assert marked == {"source only"}
