"""The page of a whole report: well formed, self-contained, escaped, accessible, and its figures."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from pages import Node, read_page, table_of
from reported import EVIL, TASKS

from vidda import video
from vidda.data.saved_predictions import load_predictions
from vidda.evaluate.summary import Intervals, summarize
from vidda.evaluate.transfer_tables import legend
from vidda.report.found_runs import read_transfer
from vidda.report.page import FOLDER

ROWS = ("source only", "per frame", "target only")
"""The upper bound stands apart, below the others."""


@pytest.fixture(scope="module")
def page(whole: Path) -> Node:
    return read_page(whole / "report" / "index.html")


def test_the_page_is_well_formed_and_no_id_stands_twice(page: Node) -> None:
    ids = [node.attributes["id"] for node in page.nodes() if "id" in node.attributes]
    assert len(ids) == len(set(ids)) and "result" in ids
    for node in page.nodes():
        for name in node.attributes.get("aria-labelledby", "").split():
            assert name in ids
        if node.attributes.get("href", "").startswith("#"):
            assert node.attributes["href"][1:] in ids


def test_the_page_needs_nothing_but_its_folder(page: Node, whole: Path) -> None:
    for node in page.nodes():
        assert node.tag not in ("iframe", "object", "embed", "base", "form")
        assert not [name for name in node.attributes if name.startswith("on")]
        for name in ("src", "href", "poster", "srcset", "action", "data"):
            place = node.attributes.get(name, "#")
            if not place.startswith(("#", "data:,")):
                assert (whole / "report" / place).is_file(), place
    styles = "".join(node.text() for node in page.all("style"))
    scripts = "".join(node.text() for node in page.all("script"))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", styles)
    assert not re.search(r"https?:|fetch|import\(|XMLHttp|eval", scripts)
    policy = [n.attributes["content"] for n in page.all("meta") if "http-equiv" in n.attributes]
    assert "default-src 'none'" in policy[0]


def test_text_from_files_cannot_become_elements(page: Node, whole: Path) -> None:
    assert not list(page.all("img"))
    assert len(list(page.all("script"))) == 1
    (heading,) = page.all("h1")
    assert heading.text() == EVIL
    names = [node.text() for node in page.all("h3")]
    assert EVIL in names and f"{EVIL}: the worst clips first" in names
    assert f"rejected because {EVIL}" in page.text()
    assert any("</pre><script>alert(2)" in node.text() for node in page.all("pre"))


def test_tables_can_be_read_aloud(page: Node) -> None:
    for table in page.all("table"):
        assert list(table.all("caption")) or table.attributes["aria-label"]
        assert all(
            head.attributes.get("scope") in ("col", "row", "colgroup") for head in table.all("th")
        )
        assert list(table.all("th"))
    for chart in page.all("svg"):
        assert chart.attributes["role"] == "img" and chart.attributes["aria-label"]
    for element in (*page.all("video"), *page.all("input")):
        assert element.attributes["aria-label"]


def test_the_transfer_table_is_that_of_evaluate(page: Node, whole: Path) -> None:
    stored = json.loads((whole / "table" / "transfer.json").read_text())
    cells = {(c["row"], c["task"]): c for c in stored["cells"] if c["part"] == "all"}
    rows = table_of(page, "Accuracy in % on the test clips")
    assert [row[0].text() for row in rows] == list(ROWS)
    for row in rows:
        for task, shown in zip(TASKS, row[1:], strict=True):
            cell = cells.get((row[0].text(), task))
            if cell is None:
                assert shown.text() == "\N{EN DASH}"
                continue
            assert float(shown.attributes["data-v"]) == cell["mean"]
            fair = [c for (row, on), c in cells.items() if on == task and row != "target only"]
            best = max(c["mean"] for c in fair)
            marked = "best" in next(shown.all("span")).attributes["class"].split()
            assert marked == (cell in fair and cell["mean"] == best)
            spread = "" if cell["deviation"] is None else f" ± {100 * cell['deviation']:.1f}"
            ends = cell["bootstrap"]
            interval = f"[{100 * ends['low']:.1f}, {100 * ends['high']:.1f}]"
            assert shown.text() == f"{100 * cell['mean']:.1f}{spread} {interval}"
    found = read_transfer(whole / "table")
    for line in legend(found.cells, found.epochs, 0.95):
        assert line in page.text()
    assert table_of(page, "Accuracy in % of the selected")[0][1].text() == "30.0 / 25.0 / 40.0"


def test_the_breakdown_is_that_of_evaluate(page: Node, whole: Path) -> None:
    files = [whole / f"table/predictions/source only/as2ar_{seed}.npz" for seed in range(2)]
    both = [summarize(load_predictions(file), Intervals()) for file in files]
    rows = table_of(page, "Accuracy in % on as2ar")
    assert {row[1].text() for row in rows} == {"altitude, m", "view", "class", "subject"}
    for row, first, second in zip(rows, both[0].strata, both[1].strata, strict=True):
        assert (row[0].text(), row[2].text()) == (first.value, str(first.clips))
        mean = (first.accuracy + second.accuracy) / 2
        assert float(row[3].attributes["data-v"]) == pytest.approx(mean)
    matrices = [t for t in page.all("table") if t.attributes.get("class") == "confusion"]
    (body,) = matrices[3].all("tbody")
    counts = [[int(cell.text()) for cell in row.all("td")] for row in body.all("tr")]
    assert counts == np.add(both[0].confusion, both[1].confusion).tolist()


def test_the_share_of_the_gap(page: Node, whole: Path) -> None:
    stored = json.loads((whole / "table" / "transfer.json").read_text())["cells"]
    mean = {(c["row"], c["task"]): c["mean"] for c in stored if c["part"] == "all"}
    source, own, target = (mean[row, "gs2gr"] for row in ROWS)
    assert source < own < target
    name = "Share of the gap on gs2gr"
    (first,) = [t for t in page.all("table") if t.attributes.get("aria-label") == name]
    assert f"{100 * (own - source) / (target - source):.0f}%" in first.text()
    assert f"{100 * (own - source):+.1f}" in first.text()
    assert "No share: no row besides these two." in page.text()


def test_the_gallery_shows_each_form_of_a_clip(page: Node, whole: Path) -> None:
    shown = [node for node in page.all("div") if node.attributes.get("class") == "clip"]
    # Two of an even choice, two with the worst figures of the last translation.
    assert [next(c.all("h3")).text() for c in shown] == [EVIL, "clip/6", "clip/1", "clip/7"]
    names = ["source", "edges", "pose", "per frame", EVIL]
    for clip in shown:
        assert [node.text() for node in clip.all("figcaption")] == names
    assert len(list(shown[3].all("video"))) == 4 and "file not found" in shown[3].text()
    for clip in shown:
        infos = [
            video.probe(whole / "report" / node.attributes["src"]) for node in clip.all("video")
        ]
        # The translations have six of the eight frames: all end there.
        assert {(i.codec, i.pixel_format, i.frames) for i in infos} == {("h264", "yuv420p", 6)}


def test_quality_and_the_worst_clips_first(page: Node, whole: Path) -> None:
    rows = table_of(page, "Median of each figure")
    assert [[cell.text() for cell in row[:4]] for row in rows] == [
        ["per frame", "6", "1", "1"],
        [EVIL, "6", "1", "1"],
    ]
    assert rows[0][4].text() == "4 2 to 5.5"
    tables = [t for t in page.all("table") if "8 of 8 clips" in t.text()]
    assert len(tables) == 2
    status = [node.text() for node in tables[0].all("span")]
    assert status == ["failed", "rejected"] + ["kept"] * 6
    with (whole / "report/tables/quality.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 16
    assert {line["translation"] for line in lines} == {"per frame", EVIL}
    assert EVIL in {line["clip"] for line in lines}


def test_how_to_do_it_again(page: Node, whole: Path) -> None:
    configs = [
        node for node in page.all("details") if next(node.all("summary")).text().startswith("/")
    ]
    assert len(configs) == 8 + 2 + 1
    (one,) = [c for c in configs if "source_only_gs2gr_0" in next(c.all("summary")).text()]
    stored = (whole / "source_only_gs2gr_0/config.yaml").read_text()
    assert next(one.all("pre")).text() == " ".join(stored.split())
    versions = {
        row[0].text(): row[1].text() for row in table_of(page, "Versions in the newest session")
    }
    assert versions["numpy"] == np.__version__


def test_tables_for_papers(whole: Path) -> None:
    folder = whole / "report" / "tables"
    for name in ("transfer.md", "transfer.csv", "transfer.json"):
        assert (folder / name).read_text() == (whole / "table" / name).read_text()
    text = (folder / "transfer.tex").read_text()
    stored = json.loads((folder / "transfer.json").read_text())["cells"]
    for cell in (c for c in stored if c["part"] == "all"):
        assert f"{100 * cell['mean']:.1f}" in text
        low, high = (100 * cell["bootstrap"][end] for end in ("low", "high"))
        assert f"[{low:.1f}, {high:.1f}]" in text
        # As many clips as there are cannot know better.
        assert low <= 100 * cell["wilson"]["low"] and high >= 100 * cell["wilson"]["high"]
    assert text.count("\\mathbf") == 2 and text.count(" & --") == 1


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(number: int) -> None:
    style = (FOLDER / "style.css").read_text()
    root = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)[number]
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", root))
    pairs = [(name, "page") for name in ("ink", "soft", "warn", *(f"s{i}" for i in range(6)))]
    for name, ground in [*pairs, ("ink", "warn-page"), ("warn", "warn-page"), ("soft", "card")]:
        high, low = sorted((luminance(colors[name]), luminance(colors[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)
