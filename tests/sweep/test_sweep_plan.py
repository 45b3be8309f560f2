"""The trials of a sweep: all methods alike but for their own keys, checked all at once."""

from pathlib import Path

import pytest

from tests.sweep.sweeps import loaded, method, sweep
from vidda.adapt.adapt_config import AdaptConfig
from vidda.errors import ViddaError
from vidda.recognize.train_config import TrainConfig
from vidda.sweep.sweep_plan import SweepPlan, Trial, describe_keys, make_plan, trial_name


def trials(plan: SweepPlan, name: str, task: str) -> list[Trial]:
    (cell,) = (cell for cell in plan.cells if (cell.method, cell.task) == (name, task))
    return plan.trials(cell, {})


def test_a_trial_is_a_run_on_the_official_lists_of_its_task(tmp_path: Path) -> None:
    out = tmp_path / "out"
    content = sweep(out, tasks=["gs2gr", "gr2ar"], seeds=[0, 1], select_epoch="entropy")
    content["methods"]["target only"] = {"command": "train", "data": ["target"]}
    content["methods"]["masks"] = method("feature_similarity", data=["source", "masks"])
    content["variants"] = {"masks": {"name": "randomized"}}
    plan = make_plan(loaded(content))
    assert [stage.command for stage in plan.stages] == ["mini", "prepare", "randomize"]
    splits = out / "prepared" / "splits"
    first, second = trials(plan, "coral", "gr2ar")
    assert (first.name, second.name) == ("coral-gr2ar-0", "coral-gr2ar-1")
    settings = first.stage.config
    assert isinstance(settings, AdaptConfig) and settings.run == out / "trials" / first.name
    assert settings.train == (splits / "gr2ar" / "source_only" / "train.csv",)
    assert settings.val == splits / "gr2ar" / "source_only" / "val.csv"
    assert settings.watch == {"test": splits / "gr2ar" / "source_only" / "test.csv"}
    assert "target.csv" in settings.target.name and settings.select == "entropy"
    assert not settings.features and first.stage.steps == 6
    other = trials(plan, "source only", "gr2ar")[0].stage.config
    changed = {k for k, v in settings.model_dump().items() if v != other.model_dump()[k]}
    assert changed == {"run", "method"}, "methods differ in themselves alone"
    ceiling = trials(plan, "target only", "gr2ar")[0].stage
    assert ceiling.command == "train" and isinstance(ceiling.config, TrainConfig)
    assert ceiling.config.select == "source_validation", "it has no target to know the entropy of"
    assert ceiling.config.train == (splits / "gr2ar" / "target_only" / "train.csv",)
    assert [cell.task for cell in plan.cells if cell.method == "masks"] == ["gs2gr"]
    assert plan.left_out == ("masks in gr2ar: its source clips are not synthetic",)
    content["methods"]["source only"]["select_epoch"] = "last"
    blind = make_plan(loaded(content))
    chosen = [trials(blind, name, "gs2gr")[0].stage.config for name in ("source only", "coral")]
    assert [getattr(config, "select", None) for config in chosen] == ["last", "entropy"]
    last = make_plan(loaded(content | {"select_epoch": "last"}))
    for name in ("coral", "target only"):
        settings = trials(last, name, "gr2ar")[0].stage.config
        assert isinstance(settings, TrainConfig) and settings.select == "last"


def test_what_begins_with_another_run_comes_after_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    content = sweep(out, select_point="dev", seeds=[0, 3])
    content["methods"] |= {
        "atcon": method("atcon", start="source only", keys={"epochs": [1, 2]}),
        "vitta": method("vitta", start="source only", stream=True),
    }
    content["methods"]["source only"]["steps"] = 30
    plan = make_plan(loaded(content))
    early, late = plan.cells[:2], plan.cells[2:]
    assert [plan.trials(cell, {})[0].stage.steps for cell in early] == [30, 6]
    assert [c.method for c in early] == ["source only", "coral"]
    assert [c.method for c in late] == ["atcon", "vitta"]
    one, other = (plan.trials(late[0], {"epochs": count}) for count in (1, 2))
    assert len({trial.name for trial in one + other}) == 4
    assert one[1].stage.title == "adapt: atcon, gs2gr, seed 3, epochs=1"
    settings = one[1].stage.config
    assert isinstance(settings, AdaptConfig)
    assert settings.start == out / "trials" / "source_only-gs2gr-3"
    assert settings.start / "DONE" in one[1].stage.inputs
    assert settings.epochs == 1 and settings.features
    assert one[1].stage.steps is None, "without the source's clips the file's epochs count"
    stream = plan.trials(late[1], {})[0].stage.config
    assert isinstance(stream, AdaptConfig)
    assert stream.target.name == "test.csv" and stream.watch == {}


def test_names_of_trials_are_short(tmp_path: Path) -> None:
    assert trial_name("my method", "gs2gr", 0, {}) == "my_method-gs2gr-0"
    long = [trial_name("m" * 190, "gs2gr", seed, {"a": 1}) for seed in (0, 1)]
    assert len(set(long)) == 2 and all(len(name) == 100 for name in long)
    keys = {"method.head": {"layers": [512] * 40}}
    plan = make_plan(loaded(sweep(tmp_path / "out")))
    title = plan.trials(plan.cells[0], {"batch_size": 2})[0].stage.title
    assert title == "adapt: source only, gs2gr, seed 0, batch_size=2"
    assert describe_keys(keys).endswith("...") and len(describe_keys(keys)) == 80


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    content = sweep(tmp_path / "out", select_point="agreement", tasks=["gs2gr", "gs2gr"])
    content["keys"] = {"optimizer.lr": {"low": 0.1, "high": 1.0}}
    content["baseline"] = "source"
    content["methods"] |= {
        "a": method("dann", data=["target", "maskz"], start="b"),
        "c": {"command": "train", "stream": True, "select_epoch": "entropy"},
        "d": method("atcon", start="source only"),
    }
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    lines = str(raised.value).splitlines()
    assert lines == [
        "tasks: 'gs2gr' is duplicated",
        "keys.optimizer.lr: a range needs search.name=optuna; a grid needs a list",
        "methods.a.data: 'maskz' is not one of source, target",
        "methods.a.data: only command: train may use the target's labels; leave target out",
        "methods.a.start: 'b' is not one of source only, coral, a, c, d",
        "methods.c: start and stream have no effect with command: train; leave them out",
        "methods.c: vidda train computes no agreement to choose keys by; search no keys for it",
        "methods.c.select_epoch: a stream has one epoch; leave it out",
        "methods.c.select_epoch: vidda train computes no entropy; use source_validation or last",
        "methods.d.start: 'source only' is searched; name a method without searched keys",
        "baseline: 'source' is not one of source only, coral, a, c, d",
        "select_point: agreement needs two or more seeds",
    ]
    content = sweep(tmp_path / "out", keys={"batch_sise": [2, 3]})
    with pytest.raises(ViddaError) as raised:
        make_plan(loaded(content))
    assert str(raised.value).splitlines() == [
        f"methods.{name}: batch_sise: unknown key; did you mean 'batch_size'?"
        for name in ("source only", "coral")
    ]
    alone = {"masks": method("feature_similarity", data=["source", "masks"])}
    content = sweep(tmp_path / "out", methods=alone, tasks=["gr2ar"])
    content["variants"] = {"masks": {"name": "randomized"}}
    with pytest.raises(ViddaError, match="none can be run: masks in gr2ar: its source clips are"):
        make_plan(loaded(content))
    with pytest.raises(ValueError, match="must be below"):
        loaded(sweep(tmp_path / "out", keys={"a": {"low": 2, "high": 1}}))
