"""Unions on the command line: another name drops the old choice's keys, and only those."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from vidda import config
from vidda.config import Config, ConfigError
from vidda.data.frame_sampling import UniformSampling
from vidda.data.transforms import RandomResizedCrop
from vidda.recognize.train_config import TrainConfig


class Hub(Config):
    name: Literal["hub"] = "hub"
    repo: str
    revision: str | None = None
    tries: int = 1


class Folder(Config):
    name: Literal["folder"] = "folder"
    path: Path
    revision: str | None = None
    tries: Literal["one", "many"] = "one"


Source = Annotated[Folder | Hub, Field(discriminator="name")]


class Fast(Config):
    kind: Literal["fast"] = "fast"
    steps: int = 4
    source: Source = Hub(repo="fast")
    eta: float = Field(0.5, lt=1)


class Slow(Config):
    kind: Literal["slow"] = "slow"
    steps: int = 50
    source: Folder | None = None
    eta: float = Field(2.0, ge=1)


class Warm(Config):
    kind: Literal["warm"] = "warm"
    steps: int = 9
    heat: int = 1
    eta: float = 0.0


Sampler = Annotated[Fast | Slow | Warm, Field(discriminator="kind")]


class Job(Config):
    base: Source = Hub(repo="base", revision="r1")
    need: Source | None = None
    sampler: Sampler = Fast(steps=6)
    stages: tuple[Sampler, ...] = ()
    arms: dict[str, Sampler] = Field(default_factory=dict)


def load(tmp_path: Path, text: str, *layers: list[str] | str) -> Job:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    one = [item for item in layers if isinstance(item, str)]
    return config.load(Job, file, *(layers if not one else (one,)))  # type: ignore[arg-type]


def problems(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, text, *overrides)
    return wrong.value.problems


HUB = "base: {name: hub, repo: a, revision: r2}\n"


def test_another_name_drops_the_keys_of_the_old_choice_and_keeps_common_ones(
    tmp_path: Path,
) -> None:
    for overrides in (["base.name=folder", "base.path=p"], ["base.path=p", "base.name=folder"]):
        assert load(tmp_path, HUB, *overrides).base == Folder(path=Path("p"), revision="r2")
    assert load(tmp_path, "{}", "base.name=folder", "base.path=p").base == Folder(path=Path("p"))


def test_the_same_name_drops_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, HUB, "base.name=hub").base == Hub(repo="a", revision="r2")
    assert load(tmp_path, "sampler: {steps: 7}", "sampler.kind=fast").sampler == Fast(steps=7)


def test_keys_of_the_command_line_stay_and_are_told(tmp_path: Path) -> None:
    given = ("base.name=folder", "base.path=p", "base.repo=x")
    for overrides in (given, given[::-1]):
        (line,) = problems(tmp_path, HUB, *overrides)
        assert line.startswith("base.repo: folder has no such key; take it out; known are name, ")
        assert line.endswith("it is a key of hub")
    (line,) = problems(
        tmp_path, HUB, "base={name: hub, repo: b}", "base.name=folder", "base.path=p"
    )
    assert line.startswith("base.repo: folder has no such key")


def test_a_key_that_overrides_make_is_not_the_file_s(tmp_path: Path) -> None:
    text = "sampler: {kind: fast, source: {name: hub, repo: p}}"
    (line,) = problems(tmp_path, text, "sampler.kind=warm", "sampler.source.name=folder")
    assert line.startswith("sampler.source: warm has no such key; take it out; known are eta, ")


def test_a_file_alone_and_its_mistakes_are_told_as_before(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "base: {name: hub, repo: a, path: b}")
    assert "base.path: hub has no such key; take it out" in line
    # Neither choice has it, so it is no other choice's.
    (line,) = problems(tmp_path, HUB[:-2] + ", revison: x}", "base.name=folder", "base.path=p")
    assert line.endswith("base.revison: unknown key; did you mean 'revision'?")
    # Fits neither choice.
    (line,) = problems(tmp_path, "sampler: {eta: much}", "sampler.kind=warm")
    assert line.endswith('sampler.eta: "much" is not a number')
    (line,) = problems(tmp_path, HUB, "base.name=foldr")
    assert line == "base.name: 'foldr' is not one of 'folder', 'hub'; did you mean 'folder'?"


def test_an_unknown_name_in_the_file_is_mended_by_another(tmp_path: Path) -> None:
    text = "base: {name: hubb, repo: a, revision: r2}"
    assert load(tmp_path, text, "base.name=folder", "base.path=p").base.revision == "r2"


def test_a_common_key_whose_value_means_something_else_is_dropped(tmp_path: Path) -> None:
    text = "base: {name: hub, repo: a, tries: 3}"
    assert load(tmp_path, text, "base.name=folder", "base.path=p").base == Folder(path=Path("p"))
    text = "sampler: {kind: fast, eta: 0.7, steps: 5, source: {name: folder, path: p}}"
    assert load(tmp_path, text, "sampler.kind=slow").sampler == Slow(
        steps=5, source=Folder(path="p")
    )
    assert load(tmp_path, text, "sampler.kind=warm").sampler == Warm(steps=5, eta=0.7)
    text = "sampler: {kind: fast, source: {name: hub, repo: p}}"
    assert load(tmp_path, text, "sampler.kind=slow").sampler == Slow()


def test_it_works_in_lists_in_mappings_and_within_another_switch(tmp_path: Path) -> None:
    text = "stages: [{kind: warm, heat: 3, steps: 2}]\narms: {a: {kind: warm, heat: 3, steps: 2}}"
    job = load(tmp_path, text, "stages.0.kind=slow", "arms.a.kind=slow", "stages.1.kind=warm")
    assert job.stages == (Slow(steps=2), Warm()) and job.arms == {"a": Slow(steps=2)}
    text = "sampler: {kind: warm, heat: 1}"
    job = load(
        tmp_path, text, "sampler.source.path=p", "sampler.source.name=folder", "sampler.kind=fast"
    )
    assert job.sampler == Fast(steps=6, source=Folder(path=Path("p")))


def test_a_key_of_the_default_choice_needs_no_name(tmp_path: Path) -> None:
    file, line = load(tmp_path, "base: {revision: r3}"), load(tmp_path, "{}", "base.revision=r3")
    whole = load(tmp_path, "{}", "base={revision: r3}")
    assert file.base == line.base == whole.base == Hub(repo="base", revision="r3")
    assert load(tmp_path, "sampler: {eta: 0.1}", "sampler.steps=3").sampler == Fast(
        steps=3, eta=0.1
    )
    # What stands there by default is not the other choice's.
    assert load(tmp_path, "sampler: {eta: 0.1}", "sampler.kind=warm").sampler == Warm(eta=0.1)


@pytest.mark.parametrize("key", ["transform: {size: 64}", "test_sampling: {name: uniform}"])
def test_a_file_and_the_command_line_leave_the_same_defaults(tmp_path: Path, key: str) -> None:
    needed = {"run": "r", "train": ["t.csv"], "val": "v.csv", "model": {"name": "biconvlstm"}}
    file = tmp_path / "train.yaml"
    file.write_text(json.dumps(needed))
    name, _, value = key.partition(": ")
    line = config.load(TrainConfig, file, [f"{name}={value}"])
    file.write_text("\n".join([*(f"{k}: {json.dumps(v)}" for k, v in needed.items()), key]))
    assert config.load(TrainConfig, file) == line
    # As the help says, and not as the class alone would have it.
    assert isinstance(line.transform.crop, RandomResizedCrop)
    assert isinstance(line.test_sampling, UniformSampling) and not line.test_sampling.jitter


def test_keys_of_one_other_choice_ask_for_its_name(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "sampler: {heat: 3, steps: 1}")
    assert line.endswith(
        "sampler.kind: missing; choose one of fast, slow, warm; only warm has heat, steps: add"
        " sampler.kind=warm"
    )
    (line,) = problems(tmp_path, "{}", "sampler.heat=3")
    start = "sampler.kind: missing; choose one of fast, slow, warm; only warm has heat: add "
    assert line == start + "sampler.kind=warm"
    (line,) = problems(tmp_path, "sampler: {hot: 3}")
    assert line.endswith("sampler.hot: unknown key; known are eta, kind, source, steps")
    (line,) = problems(tmp_path, "need: {}")
    assert line.endswith("need.name: missing; choose one of folder, hub")


def test_null_is_replaced_by_what_an_override_puts_there(tmp_path: Path) -> None:
    job = load(tmp_path, "need: null", "need.name=folder", "need.path=p")
    assert job.need == Folder(path=Path("p"))


def test_a_key_and_one_below_it_may_come_in_any_order(tmp_path: Path) -> None:
    whole, below = "sampler={kind: warm, heat: 3}", "sampler.steps=1"
    for overrides in ([whole, below], [below, whole]):
        assert load(tmp_path, HUB, *overrides).sampler == Warm(steps=1, heat=3)
    stages = ["stages.0.kind=slow", "stages.1={kind: fast}", "stages.0.steps=2"]
    assert load(tmp_path, HUB, *stages).stages == (Slow(steps=2), Fast())


def test_a_later_layer_switches_what_an_earlier_one_has_set(tmp_path: Path) -> None:
    first: list[Any] = ["sampler.kind=warm", "sampler.heat=3", "sampler.steps=2"]
    job = load(tmp_path, HUB, first, ["sampler.kind=slow"], ["base.name=folder", "base.path=p"])
    assert job == Job(sampler=Slow(steps=2), base=Folder(path=Path("p"), revision="r2"))
    assert load(tmp_path, HUB, first, ["sampler={steps: 3}"]).sampler == Fast(steps=3)
    assert load(tmp_path, HUB, ["sampler.steps=3"], ["sampler.eta=0.1"]).sampler == Fast(
        steps=3, eta=0.1
    )
    assert load(tmp_path, HUB, ["sampler.eta=0.1"], ["sampler={kind: fast}"]).sampler == Fast(
        steps=6
    )
