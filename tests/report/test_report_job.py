"""`vidda report`: from the real `vidda evaluate`, what it refuses, what it warns of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pages import read_page, table_of
from reported import (
    CLASSES,
    clips,
    controlled,
    prepared,
    report,
    source_clips,
    trained,
    transfer,
    translated,
)

from vidda import config
from vidda.data import save_manifest
from vidda.data.manifest import csv_header, csv_lines, write_csv
from vidda.errors import ViddaError
from vidda.report.report_config import ReportConfig
from vidda.types import Manifest

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "report").glob("*.yaml"))


def page_text(folder: Path) -> str:
    """The text of a report's page."""
    return read_page(folder / "index.html").text()


def one_run(folder: Path, setting: str = "source_only", val: str = "") -> tuple[Path, Path]:
    """A folder of prepared data, and a run on its gs2gr."""
    data = prepared(folder / "prepared")
    place = data / "splits" / "gs2gr"
    train = place / setting / "train.csv"
    return data, trained(folder / "run", train, place / (val or f"{setting}/val.csv"))


def test_the_results_of_vidda_evaluate(tmp_path: Path) -> None:
    from trained import checkpoint, saved_manifest
    from trained import prepared as prepared_clips

    from vidda.cli import main

    file, manifest = saved_manifest(tmp_path, 6)
    data = prepared_clips(tmp_path / "prepared", manifest, ("gs2gr",))
    runs = [checkpoint(tmp_path / f"run_{seed}", seed) for seed in range(2)]
    rows = [{"name": "source only", "runs": {"gs2gr": [str(run) for run in runs]}}]
    table = {"data": str(data), "tasks": ["gs2gr"], "rows": rows}
    quick = ("workers=0", "device=cpu")
    arguments = [f"transfer={json.dumps(table)}", f"out={tmp_path / 'table'}", *quick]
    assert main(["evaluate", *arguments]) == 0
    arguments = [f"model={runs[0]}", f"manifest={file}", f"out={tmp_path / 'tested'}", *quick]
    assert main(["evaluate", *arguments]) == 0
    out = tmp_path / "report"
    assert report(runs=[tmp_path / "table", tmp_path / "tested"], out=out) == 0
    page = read_page(out / "index.html")
    stored = json.loads((tmp_path / "table" / "transfer.json").read_text())["cells"][0]
    (row,) = table_of(page, "Accuracy in % on the test clips")
    assert float(row[1].attributes["data-v"]) == stored["mean"]
    metrics = json.loads((tmp_path / "tested" / "metrics.json").read_text())
    (line,) = table_of(page, "Models tested on one list")
    assert [cell.text() for cell in line[:2]] == ["tested", "6"]
    assert float(line[2].attributes["data-v"]) == metrics["accuracy"]
    # The checkpoints are there, but no training is.
    assert f"missing or damaged: {runs[0]}: nothing to report in it" in page.text()


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_its_configs_load(file: Path) -> None:
    config.load(ReportConfig, file)


def test_missing_parts_are_told(tmp_path: Path) -> None:
    _, run = one_run(tmp_path)
    assert report(runs=[run], out=tmp_path / "report") == 0
    text = page_text(tmp_path / "report")
    for sentence in (
        "No folder of this report has a transfer table",
        "The gap needs a transfer table.",
        "No folder of this report has predictions",
        "No gallery was requested",
        "No folder of this report is of vidda translate",
    ):
        assert sentence in text
    assert not (tmp_path / "report" / "tables").exists()


def test_a_run_that_is_gone_is_told(tmp_path: Path) -> None:
    data, run = one_run(tmp_path)
    table = transfer(tmp_path / "table", data, {"source only": {"gs2gr": [run, tmp_path / "gone"]}})
    assert report(runs=[table], out=tmp_path / "report") == 0
    assert f"missing or damaged: {tmp_path / 'gone'}: no such folder" in page_text(
        tmp_path / "report"
    )


def test_translations_without_a_gallery(tmp_path: Path) -> None:
    _, source = source_clips(tmp_path / "source", 4)
    folder = translated(tmp_path / "translated", source, videos=False)
    assert report(runs=[folder], out=tmp_path / "report") == 0
    text = page_text(tmp_path / "report")
    assert "4 of 4 clips: failed, then rejected" in text and "No gallery was requested" in text
    assert "Translation “translated”: 1 of 4 clips failed." in text


def test_named_clips_are_shown_and_what_they_lack_is_told(tmp_path: Path) -> None:
    file, source = source_clips(tmp_path / "source", 4)
    folder = translated(tmp_path / "translated", source)
    gallery = {"source": str(file), "clips": ["clip/1", "clip/2"]}
    assert report(
        runs=[folder], out=tmp_path / "report", translations={}, gallery=gallery
    ) == 0  # fmt: skip
    page = read_page(tmp_path / "report" / "index.html")
    assert len(list(page.all("video"))) == 3
    assert "failed; failed because" in page.text()


@pytest.mark.parametrize(
    "setting,val,warning",
    [
        ("source_only", "", ""),
        ("target_only", "", ""),
        ("source_only", "target_only/val.csv", "selected on labeled clips of the target"),
        ("source_only", "source_only/test.csv", "selected on 24 test clips"),
    ],
)
def test_selection_on_the_target_is_told(
    tmp_path: Path, setting: str, val: str, warning: str
) -> None:
    data, run = one_run(tmp_path, setting, val)
    table = transfer(tmp_path / "table", data, {"a row": {"gs2gr": [run]}})
    assert report(runs=[table], out=tmp_path / "report") == 0
    text = page_text(tmp_path / "report")
    assert ("“a row” on gs2gr: its epoch was" in text) == bool(warning)
    assert warning in text


def test_test_clips_that_were_trained_on_are_told(tmp_path: Path) -> None:
    data, run = one_run(tmp_path)
    learned = (*clips(6, "synthetic", "ground"), *clips(3, "real", "ground"))
    file = data / "splits/gs2gr/source_only/train.csv"
    write_csv(file, csv_header([]), csv_lines(learned, CLASSES, []))
    table = transfer(tmp_path / "table", data, {"a row": {"gs2gr": [run]}})
    assert report(runs=[table], out=tmp_path / "report") == 0
    assert "“a row” on gs2gr: it was trained on 3 test clips" in page_text(tmp_path / "report")


def test_what_makes_figures_doubtful_is_told(tmp_path: Path) -> None:
    data, run = one_run(tmp_path)
    place = data / "splits/gs2gr/source_only"
    fixed = trained(
        tmp_path / "fixed", place / "train.csv", place / "test.csv", epochs=3, select="last"
    )
    going = trained(tmp_path / "going", place / "train.csv", place / "val.csv", finish=False)
    rising = [
        trained(tmp_path / f"rising-{n}", place / "train.csv", place / "val.csv", epochs=3)
        for n in range(4)
    ]
    once = trained(tmp_path / "once", place / "train.csv", place / "test.csv")
    (tmp_path / "media" / "mini.json").write_text("{}")
    rows = {
        "source only": {"gs2gr": [run, going]},
        "b": {"gs2gr": rising},
        "c": {"gs2gr": [fixed]},
        "d": {"gs2gr": [once]},
    }
    table = transfer(tmp_path / "table", data, rows)
    assert report(runs=[table], out=tmp_path / "report") == 0
    text = page_text(tmp_path / "report")
    for warning in (
        "The test clips are MiniRoCoG's: its real clips are rendered too.",
        "gs2gr: 24 test clips; an accuracy of 50% is known to within ±19 points at best.",
        "gs2gr: 3 test subjects; how far the results hold for other subjects is hardly known.",
        "3 of 4 results are of fewer than 3 seeds",
        "Results are of 1 to 4 seeds",
        "“b” has no result on as2ar.",
        "going is not finished.",
        "rising-0, rising-1, rising-2 and 1 more of 8 runs: the last epoch is the best one;",
    ):
        assert warning in text
    for wrong in ("“c” on gs2gr: its epoch was", "fixed: the last epoch"):
        assert wrong not in text, "its epoch was not chosen"
    save_manifest(Manifest(tmp_path, (), ()), tmp_path / "x.csv")
    (data / "splits").rename(data / "moved")
    assert report(runs=[table], out=tmp_path / "report", resume=True) == 0
    assert "The test clips were moved or deleted" in page_text(tmp_path / "report")


def test_many_classes_are_shown_by_their_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidda.report.page_data.MATRIX_CLASSES", 2)
    data, run = one_run(tmp_path)
    table = transfer(tmp_path / "table", data, {"source only": {"gs2gr": [run]}})
    assert report(runs=[table], out=tmp_path / "report") == 0
    page = read_page(tmp_path / "report" / "index.html")
    counts = [int(row[2].text()) for row in table_of(page, "source only: the most frequent")]
    assert counts == sorted(counts, reverse=True) and counts[-1] > 0


def test_an_old_report_is_replaced_only_when_asked(tmp_path: Path) -> None:
    _, run = one_run(tmp_path)
    out = tmp_path / "report"
    assert report(runs=[run], out=out, dry_run=True) == 0
    assert not out.exists()
    assert report(runs=[run], out=out, title="first") == 0
    with pytest.raises(ViddaError, match="another folder, or --resume replaces it"):
        report(runs=[run], out=out)
    (out / "stale").write_text("")
    assert report(runs=[run], out=out, title="second", resume=True) == 0
    assert "second" in page_text(out) and not (out / "stale").exists()
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_nothing_else_is_ever_replaced(tmp_path: Path) -> None:
    _, run = one_run(tmp_path)
    for resume in (False, True):
        with pytest.raises(ViddaError, match="holds something other than a report"):
            report(runs=[run], out=tmp_path / "run", resume=resume)
    assert (run / "DONE").exists()


def test_all_that_cannot_be_reported_is_named_at_once(tmp_path: Path) -> None:
    data, run = one_run(tmp_path)
    rows = {"source only": {"gs2gr": [run]}}
    tables = [transfer(tmp_path / name, data, rows) for name in ("one", "two", "bad")]
    (tables[2] / "transfer.json").write_text('{"cells": [{"row": 3}]}')
    (tmp_path / "empty").mkdir()
    folders = [*tables, tmp_path / "none", tmp_path / "empty"]
    with pytest.raises(ViddaError) as caught:
        report(runs=folders, out=tmp_path / "report")
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "transfer.json: not written by this version of vidda evaluate" in lines[0]
    assert "none: no such folder" in lines[1] and "empty: nothing to report" in lines[2]
    assert "2 transfer tables" in lines[3]
    with pytest.raises(ViddaError, match=r"translations\.x: .* is no folder of vidda translate"):
        report(runs=[run], out=tmp_path / "report", translations={"x": str(run)})


def test_a_damaged_result_and_a_wrong_folder_of_controls(tmp_path: Path) -> None:
    file, source = source_clips(tmp_path / "source", 3)
    folder = translated(tmp_path / "translated", source, videos=False)
    gallery = {"source": str(file), "control": str(tmp_path)}
    with pytest.raises(ViddaError, match="has no folder clips"):
        report(runs=[folder], out=tmp_path / "report", gallery=gallery)
    (folder / "videos" / "1.json").write_text("{")
    with pytest.raises(ViddaError, match=r"1\.json: not the result of a clip"):
        report(runs=[folder], out=tmp_path / "report")


def test_a_gallery_that_would_be_empty_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    _, source = source_clips(tmp_path / "source", 3)
    other, _ = source_clips(tmp_path / "other", 3)
    other.write_text(other.read_text().replace("clip/", "another/").replace("img", "x"))
    folder = translated(tmp_path / "translated", source, videos=False)
    for gallery, problem in (
        ({"source": str(other)}, r"0 of its 3 clips are in every translation"),
        ({"source": str(other), "clips": ["nobody*"]}, "no clip's id matches 'nobody"),
        ({"source": str(tmp_path / "gone")}, "gone: no such file or folder"),
    ):
        with pytest.raises(ViddaError, match=problem):
            report(runs=[folder], out=tmp_path / "report", gallery=gallery, dry_run=True)


def test_flow_is_shown_where_vidda_control_made_it(tmp_path: Path) -> None:
    file, source = source_clips(tmp_path / "source", 2)
    folder = translated(tmp_path / "translated", source)
    made = controlled(tmp_path / "control", source)
    edges = made / "clips" / source.clips[0].path / "edges.mp4"
    shutil.copy(edges, edges.with_name("flow.mp4"))
    gallery = {"source": str(file), "control": str(made), "clips": ["*"]}
    assert report(runs=[folder], out=tmp_path / "report", gallery=gallery) == 0
    page = read_page(tmp_path / "report" / "index.html")
    shown = [node for node in page.all("div") if node.attributes.get("class") == "reel"]
    heads = [[node.text() for node in one.all("figcaption")] for one in shown]
    assert heads[0] == ["source", "edges", "pose", "flow", "translated"]
    assert heads[1] == ["source", "edges", "pose", "translated"]


def test_a_translation_of_another_source_has_no_column_in_the_gallery(tmp_path: Path) -> None:
    file, source = source_clips(tmp_path / "source", 3)
    _, clips = source_clips(tmp_path / "randomized", 3)
    renamed = [replace(clip, id=f"{clip.id}@randomized") for clip in clips.clips]
    ours = translated(tmp_path / "ours", source)
    other = translated(tmp_path / "other", replace(clips, clips=tuple(renamed)))
    named = {"ours": str(ours), "other": str(other)}
    gallery = {"source": str(file), "worst": 1, "spread": 1}
    out = tmp_path / "report"
    assert report(runs=[ours], out=out, translations=named, gallery=gallery) == 0
    page = (out / "index.html").read_text()
    assert "among the worst of “ours”" in page and "not translated" not in page
    heads = {node.text() for node in read_page(out / "index.html").all("figcaption")}
    assert heads == {"source", "ours"}


def test_two_translations_of_one_name_need_other_names(tmp_path: Path) -> None:
    _, source = source_clips(tmp_path / "source", 3)
    folders = [translated(tmp_path / name / "out", source, videos=False) for name in "ab"]
    with pytest.raises(ViddaError, match=r"is called 'out' too; name them: translations\.NAME"):
        report(runs=folders, out=tmp_path / "report")
    named = {name: str(folder) for name, folder in zip("ab", folders, strict=True)}
    assert report(runs=[folders[0]], out=tmp_path / "report", translations=named) == 0
