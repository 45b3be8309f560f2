"""All trials of a sweep from its config, checked before the first starts."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import ConfigError
from vidda.errors import ViddaError
from vidda.evaluate.label_free_scores import NEED_FEATURES, VALIDATION
from vidda.experiment.experiment_config import TARGET, Keys, load
from vidda.experiment.names import data_problems, slug, unknown_data
from vidda.experiment.stage import Stage
from vidda.experiment.training_data import Maker, TrainingLists
from vidda.recognize.train_config import LAST, TrainConfig
from vidda.sweep.search import more
from vidda.sweep.sweep_config import AGREEMENT, GridSearch, Range, SweepConfig, Values

TEST = "test"
"""Under which name the test clips are predicted after each epoch."""


@dataclass(frozen=True, slots=True)
class SweepCell:
    """A method on a task. target: its clips without labels. test: labeled, for the table alone."""

    method: str
    task: str
    lists: TrainingLists
    target: Path
    test: Path


@dataclass(frozen=True, slots=True)
class Trial:
    """A method on a task with a seed and a combination of keys; the stage's name is its own."""

    method: str
    task: str
    seed: int
    keys: Keys
    stage: Stage

    @property
    def name(self) -> str:
        return self.stage.name


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """The stages that make the data, and the cells; those that begin with others come second.

    left_out: what is not done, and why, a line each.
    """

    config: SweepConfig
    stages: tuple[Stage, ...]
    waves: tuple[tuple[SweepCell, ...], tuple[SweepCell, ...]]
    left_out: tuple[str, ...]

    def cells(self) -> tuple[SweepCell, ...]:
        """Of both waves, in the config's order."""
        order = list(self.config.methods)
        return tuple(sorted(self.waves[0] + self.waves[1], key=lambda c: order.index(c.method)))

    def trials(self, cell: SweepCell, keys: Keys) -> list[Trial]:
        """Return the trials of one combination, one a seed; raises ConfigError."""
        return [_trial(self.config, cell, seed, keys) for seed in self.config.seeds]


def make(config: SweepConfig) -> SweepPlan:
    """Build and check everything; ViddaError with a line for each mistake."""
    problems = [*data_problems(config, "methods"), *_problems(config)]
    maker = Maker(config)
    maker.start()
    waves: tuple[list[SweepCell], list[SweepCell]] = ([], [])
    for name, recipe in config.methods.items():
        for task in config.tasks:
            cell = _cell(maker, config, name, task)
            if cell:
                waves[recipe.start is not None].append(cell)
    left_out = tuple(dict.fromkeys(maker.left_out))
    plan = SweepPlan(config, tuple(maker.stages), (tuple(waves[0]), tuple(waves[1])), left_out)
    problems += maker.problems
    if not problems:
        problems += _mistakes(plan)
    if not problems and not plan.cells():
        problems.append(f"methods: none can be run: {'; '.join(left_out)}")
    if problems:
        raise ViddaError("\n".join(dict.fromkeys(problems)))
    return plan


def _problems(config: SweepConfig) -> Iterator[str]:
    """What is wrong with the methods besides their configs."""
    for name, recipe in config.methods.items():
        where = f"methods.{name}"
        yield from unknown_data(config, f"{where}.data", recipe.data)
        if recipe.command == "adapt" and TARGET in recipe.data:
            yield f"{where}.data: the target's labels are for command: train alone"
        if recipe.command == "train" and (recipe.start or recipe.stream):
            yield f"{where}: start and stream are for command: adapt alone"
        if (
            recipe.command == "train"
            and config.searched(name)
            and config.select_point != VALIDATION
        ):
            yield (
                f"{where}: vidda train has no {config.select_point} to choose keys by; search none"
            )
        if recipe.stream and recipe.select_epoch:
            yield f"{where}.select_epoch: a stream has one epoch; leave it out"
        if recipe.command == "train" and recipe.select_epoch not in (None, VALIDATION, LAST):
            yield (
                f"{where}.select_epoch: vidda train has no {recipe.select_epoch} to choose by; take"
                f" {VALIDATION} or {LAST}"
            )
        if recipe.start is not None:
            yield from _start(config, where, recipe.start)
        for key, values in config.searched(name).items():
            if isinstance(values, Range) and isinstance(config.search, GridSearch):
                yield f"keys.{key}: a range needs search.name=optuna; a grid needs a list"
    if config.baseline is not None and config.baseline not in config.methods:
        yield f"baseline: {config.baseline!r} is not one of {', '.join(config.methods)}"
    if config.select_point == AGREEMENT and len(config.seeds) < 2:
        yield "select_point: agreement is between seeds; give two or more"


def _start(config: SweepConfig, where: str, start: str) -> Iterator[str]:
    if start not in config.methods:
        yield f"{where}.start: {start!r} is not one of {', '.join(config.methods)}"
    elif config.methods[start].start is not None:
        yield f"{where}.start: {start!r} begins with another itself; name one that does not"
    elif config.searched(start):
        yield f"{where}.start: {start!r} is searched; name a method of one combination"


def _cell(maker: Maker, config: SweepConfig, method: str, task: str) -> SweepCell | None:
    """None where there is no such training, or no run to begin with."""
    recipe = config.methods[method]
    begun = config.methods.get(recipe.start) if recipe.start else None
    data = [recipe.data, *([begun.data] if begun else [])]
    lists = [maker.lists(names, task) for names in data]
    target, place = maker.target(task), maker.experiment(task, "source_only")
    if None in lists or target is None or place is None:
        return None
    assert lists[0]
    return SweepCell(method, task, lists[0], target, place.folder / "test.csv")


def _mistakes(plan: SweepPlan) -> Iterator[str]:
    """Mistakes of the trials' configs, each combination of a grid, or one of an endless search."""
    for cell in plan.cells():
        keys = plan.config.searched(cell.method)
        if isinstance(plan.config.search, GridSearch):
            points: Sequence[Keys] = more(plan.config.search, keys, [])
        else:
            points = [{name: _first(values) for name, values in keys.items()}]
        for point in points:
            try:
                plan.trials(cell, point)
            except ConfigError as error:
                yield from (f"methods.{cell.method}: {problem}" for problem in error.problems)


def _first(values: Values) -> Any:
    if not isinstance(values, Range):
        return values[0]
    return int(values.low) if values.whole else values.low


def _trial(config: SweepConfig, cell: SweepCell, seed: int, keys: Keys) -> Trial:
    """Return one trial; raises ConfigError."""
    recipe = config.methods[cell.method]
    name = trial_name(cell.method, cell.task, seed, keys)
    run = config.out / "trials" / name
    start = None
    if recipe.start is not None:
        start = config.out / "trials" / trial_name(recipe.start, cell.task, seed, {})
    own: dict[str, Any] = {
        "run": str(run),
        "train": [str(path) for path in cell.lists.train],
        "val": str(cell.lists.val),
        "seed": seed,
    }
    read = [*cell.lists.train, cell.lists.val, cell.test]
    layers: tuple[Mapping[str, Any], ...] = (config.change, recipe.change, keys)
    settings: TrainConfig
    if recipe.command == "train":
        own["watch"] = {TEST: str(cell.test)}
        own["select"] = LAST if config.selects(cell.method) == LAST else VALIDATION
        settings = load(TrainConfig, recipe.file, *layers, own)
        steps = recipe.steps or config.steps
    else:
        own |= _adapting(config, cell, start)
        settings = load(AdaptConfig, recipe.file, *layers, own)
        steps = None if settings.method.source_free else recipe.steps or config.steps
        read += [settings.target, *([start / "DONE"] if start else [])]
    kind = f"{recipe.command} {cell.method}"
    stage = Stage(name, kind, recipe.command, settings, run, run / "DONE", tuple(read), steps)
    return Trial(cell.method, cell.task, seed, keys, stage)


def _adapting(config: SweepConfig, cell: SweepCell, start: Path | None) -> dict[str, Any]:
    """Return the keys of vidda adapt that are the sweep's."""
    stream = config.methods[cell.method].stream
    select = config.selects(cell.method)
    kept = {select, config.select_point} & NEED_FEATURES
    return {
        "target": str(cell.test if stream else cell.target),
        # As the target they are predicted after each epoch anyway.
        "watch": {} if stream else {TEST: str(cell.test)},
        # A stream has one epoch, which nothing needs to choose.
        "select": VALIDATION if stream else select,
        **({"features": True} if kept else {}),
        **({"start": str(start)} if start else {}),
    }


def trial_name(method: str, task: str, seed: int, keys: Keys) -> str:
    """Of its folder; a combination of keys is told by its digest."""
    name = f"{slug(method)}-{task}-{seed}"
    if not keys:
        return name
    text = json.dumps(keys, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
