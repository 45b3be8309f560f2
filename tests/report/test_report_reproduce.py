"""What the page says of doing everything again: the one command first, then every stage."""

from pathlib import Path

import pytest
from pages import read_page
from reported import prepared, report, trained, transfer

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.experiment.process import ProcessUsage
from vidda.experiment.stage import Stage
from vidda.experiment.stage_records import StageRecords
from vidda.files import write_text
from vidda.report.reproduce import reproduce_commands
from vidda.report.run_records import RunRecord, Session, read_record

STAGES = {
    "mini": "mini", "prepare": "prepare", "target_look-gs2gr": "personalize",
    "masks-syn_ground_train": "randomize", "matched-gs2gr": "camera",
    "biconvlstm-source_only-0": "train", "evaluate-biconvlstm": "evaluate",
}  # fmt: skip
"""Commands by the stage's name."""


def job(folder: Path) -> Path:
    """What a finished job leaves of its stages, and a transfer table in it."""
    data = prepared(folder / "prepared")
    place = data / "splits/gs2gr/source_only"
    run = trained(folder / "trained/biconvlstm/0", place / "train.csv", place / "val.csv")
    transfer(folder / "evaluated/biconvlstm", data, {"source only": {"gs2gr": [run]}})
    write_text(folder / "config.yaml", "seeds: [0]\n")
    records = StageRecords(folder)
    for name, command in STAGES.items():
        stage = Stage(name, command, command, Config(), folder, folder / "DONE", (), title=name)
        records.add(stage, ProcessUsage(0, 1.0, 1.0, 1.0), 1.0)
    return folder


def test_a_job_is_one_command_and_all_its_stages(tmp_path: Path) -> None:
    folder = job(tmp_path / "a job")
    out = folder / "report"
    assert report(runs=[folder / "evaluated/biconvlstm"], out=out) == 0
    blocks = [
        [line.text() for line in node.all("span")]
        for node in read_page(out / "index.html").all("pre")
        if node.attributes.get("class") == "commands"
    ]
    assert blocks[0] == [f"vidda run '{folder}/config.yaml'"]
    wanted = [f"vidda {kind} '{folder}/stages/{name}.yaml'" for name, kind in STAGES.items()]
    assert blocks[1][:-1] == wanted and len(blocks) == 2


def session(command: str, started: str = "2026") -> Session:
    return Session(started, command, "cpu", None, {})


def record(path: Path, *sessions: Session) -> RunRecord:
    return RunRecord(path, {}, "", sessions, True)


def test_the_commands_of_a_sweep_and_of_folders_without_a_job(tmp_path: Path) -> None:
    folder = job(tmp_path / "job")
    write_text(folder / "trials.json", "{}")
    results = read_record(folder / "evaluated/biconvlstm")
    found = reproduce_commands([results], "vidda sweep a.yaml --resume")
    assert found.whole == f"vidda sweep {folder}/config.yaml"
    assert len(found.each) == len(STAGES) and found.complete
    alone = record(tmp_path / "b", session("vidda train b.yaml --resume", "2"), session("x", "1"))
    found = reproduce_commands([alone], "vidda report b")
    assert found.whole is None and not found.complete
    assert found.each == ("x", "vidda train b.yaml", "vidda report b")
    both = reproduce_commands([alone, results], "vidda report b c")
    assert both.whole is None and len(both.each) == len(STAGES) + 3
    test = record(folder / "trained/biconvlstm/0/evaluations/x", session("vidda evaluate y"))
    tested = reproduce_commands([results, test], "vidda report z")
    assert tested.whole is None and "vidda evaluate y" in tested.each
    write_text(folder / "stages.json", '{"stages": [{}]}')
    with pytest.raises(ViddaError, match=r"stages\.json: not written by vidda run"):
        reproduce_commands([results], "")
