"""The table of tools/bench_run.py: the default job beside an older checkout's."""

import json
from pathlib import Path

from tools.bench_run import ALL, COUNTS, Usage, overrides, read_usage, rows, turns
from vidda.config import load
from vidda.experiment.experiment_config import ExperimentConfig

JOB = Path(__file__).resolve().parents[1] / "configs/run/mini.yaml"


def test_a_share_changes_keys_that_the_default_job_has() -> None:
    assert overrides(1) == []
    whole, part = (load(ExperimentConfig, JOB, overrides(share)) for share in (1, 0.5))
    assert part.mini is not None
    assert [part.mini[key] for key in ("syn_train", "syn_val", "real_train", "real_test")] == [
        22,
        5,
        30,
        20,
    ]
    assert (whole.recognizers["biconvlstm"].steps, part.recognizers["biconvlstm"].steps) == (
        300,
        150,
    )
    change = part.personalize["target look"].change
    assert (change["method"]["steps"], change["sample_every"]) == (40, 40)
    assert [int(one.partition("=")[2]) for one in overrides(0.01)] == [
        least for _, least in COUNTS.values()
    ]


def test_checkouts_take_turns_that_favor_neither() -> None:
    assert turns(1) == ["old", "new"]
    assert turns(3) == ["old", "new", "new", "old", "old", "new"]


def test_stages_are_added_up_by_command_and_compared(tmp_path: Path) -> None:
    def job(seconds: float, *stages: tuple[str, float, float]) -> dict[str, Usage]:
        names = ("command", "seconds", "cpu_s")
        content = {"seconds": seconds, "stages": [dict(zip(names, s, strict=True)) for s in stages]}
        (tmp_path / "stages.json").write_text(json.dumps(content))
        return read_usage(tmp_path / "stages.json")

    old = job(40.0, ("mini", 20.0, 30.0), ("randomise", 10.0, 10.0), ("train", 10.0, 20.0))
    new = job(20.0, ("mini", 8.0, 15.0), ("randomize", 10.0, 5.0), ("train", 4.0, 6.0),
              ("train", 4.0, 4.0))  # fmt: skip
    assert new["train"] == Usage(8.0, 10.0)
    assert new[ALL] == Usage(20.0, 30.0)
    found = {row[0]: row[1:] for row in rows([old, old], [new, new])}
    assert list(found) == ["mini", "randomize", "train", ALL]
    assert found["mini"] == ("20.0", "8.0", "0.40", "30.0", "15.0", "0.50", "50%", "50%")
    assert found[ALL] == ("40.0", "20.0", "0.50", "60.0", "30.0", "0.50", "100%", "100%")
