"""All trials of a sweep, planned from its config and checked before the first one starts."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import ConfigError
from vidda.errors import ViddaError
from vidda.evaluate.label_free_scores import NEED_FEATURES, SOURCE_VALIDATION
from vidda.experiment.experiment_config import TARGET, Keys, load
from vidda.experiment.name_checks import data_name_problems, folder_name, slug, unknown_data
from vidda.experiment.stage import Stage, training_title
from vidda.experiment.training_data import DataPlanner, TrainingLists
from vidda.recognize.train_config import LAST, TrainConfig
from vidda.sweep.search import propose_points
from vidda.sweep.sweep_config import AGREEMENT, GridSearch, Range, SweepConfig, Values

TEST = "test"
"""Name under which each trial watches the test clips."""
LONGEST_KEYS = 80
"""Characters of the searched keys in a trial's title."""


@dataclass(frozen=True, slots=True)
class SweepCell:
    """A method on a task, with the manifests that its trials read.

    target: clips without labels. test: labeled clips, used for the table alone.
    """

    method: str
    task: str
    lists: TrainingLists
    target: Path
    test: Path


@dataclass(frozen=True, slots=True)
class Trial:
    """A method on a task with a seed and a combination of keys. stage: runs it."""

    method: str
    task: str
    seed: int
    keys: Keys
    stage: Stage

    @property
    def name(self) -> str:
        """Return the name of its stage and its run."""
        return self.stage.name


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """The plan of a sweep.

    stages: those that make the data. cells: in the config's order. left_out: a line for each thing
    that is not done, and why.
    """

    config: SweepConfig
    stages: tuple[Stage, ...]
    cells: tuple[SweepCell, ...]
    left_out: tuple[str, ...]

    def trials(self, cell: SweepCell, keys: Keys) -> list[Trial]:
        """Return the trials of a combination of keys, one for each seed; raises ConfigError."""
        return [_trial(self.config, cell, seed, keys) for seed in self.config.seeds]


def make_plan(config: SweepConfig) -> SweepPlan:
    """Plan and check every trial of a sweep; ViddaError with a line for each mistake."""
    problems = [*data_name_problems(config, "methods"), *_problems(config)]
    planner = DataPlanner(config)
    planner.start()
    config = config.model_copy(update={"tasks": planner.tasks})
    found = [_cell(planner, config, name, task) for name in config.methods for task in config.tasks]
    cells = tuple(cell for cell in found if cell)
    left_out = tuple(dict.fromkeys(planner.left_out))
    plan = SweepPlan(config, tuple(planner.stages), cells, left_out)
    problems += planner.problems
    if not problems:
        problems += _config_problems(plan)
    if not problems and not plan.cells:
        problems.append(f"methods: none can be run: {'; '.join(left_out)}")
    if problems:
        raise ViddaError("\n".join(dict.fromkeys(problems)))
    return plan


def _problems(config: SweepConfig) -> Iterator[str]:
    """Yield a line for each mistake in the methods besides those of their configs."""
    for name, recipe in config.methods.items():
        where = f"methods.{name}"
        yield from unknown_data(config, f"{where}.data", recipe.data)
        if recipe.command == "adapt" and TARGET in recipe.data:
            yield f"{where}.data: only command: train may use the target's labels; leave target out"
        if recipe.command == "train" and (recipe.start or recipe.stream):
            yield f"{where}: start and stream have no effect with command: train; leave them out"
        if (
            recipe.command == "train"
            and config.searched_keys(name)
            and config.select_point != SOURCE_VALIDATION
        ):
            yield (
                f"{where}: vidda train computes no {config.select_point} to choose keys by; search"
                " no keys for it"
            )
        if recipe.stream and recipe.select_epoch:
            yield f"{where}.select_epoch: a stream has one epoch; leave it out"
        if recipe.command == "train" and recipe.select_epoch not in (None, SOURCE_VALIDATION, LAST):
            yield (
                f"{where}.select_epoch: vidda train computes no {recipe.select_epoch}; use"
                f" {SOURCE_VALIDATION} or {LAST}"
            )
        if recipe.start is not None:
            yield from _start_problems(config, where, recipe.start)
        for key, values in config.searched_keys(name).items():
            if isinstance(values, Range) and isinstance(config.search, GridSearch):
                yield f"keys.{key}: a range needs search.name=optuna; a grid needs a list"
    if config.baseline is not None and config.baseline not in config.methods:
        yield f"baseline: {config.baseline!r} is not one of {', '.join(config.methods)}"
    if config.select_point == AGREEMENT and len(config.seeds) < 2:
        yield "select_point: agreement needs two or more seeds"


def _start_problems(config: SweepConfig, where: str, start: str) -> Iterator[str]:
    if start not in config.methods:
        yield f"{where}.start: {start!r} is not one of {', '.join(config.methods)}"
    elif config.methods[start].start is not None:
        yield f"{where}.start: {start!r} itself starts from another; name one that does not"
    elif config.searched_keys(start):
        yield f"{where}.start: {start!r} is searched; name a method without searched keys"


def _cell(planner: DataPlanner, config: SweepConfig, method: str, task: str) -> SweepCell | None:
    """Return the cell of a method and task; None without such a training, or run to start from."""
    recipe = config.methods[method]
    start = config.methods.get(recipe.start) if recipe.start else None
    data = [recipe.data, *([start.data] if start else [])]
    lists = [planner.training_lists(names, task) for names in data]
    target, split = planner.target(task), planner.find_split(task, "source_only")
    if None in lists or target is None or split is None:
        return None
    if not split.test:
        planner.left_out.append(f"{task}: no labeled test clips, which a sweep compares on")
        return None
    assert lists[0]
    return SweepCell(method, task, lists[0], target, split.folder / "test.csv")


def _config_problems(plan: SweepPlan) -> Iterator[str]:
    """Yield mistakes of the trials' configs: every combination of a grid, or one of Optuna."""
    for cell in plan.cells:
        keys = plan.config.searched_keys(cell.method)
        if isinstance(plan.config.search, GridSearch):
            points: Sequence[Keys] = propose_points(plan.config.search, keys, [])
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
        own["select"] = LAST if config.epoch_score(cell.method) == LAST else SOURCE_VALIDATION
        settings = load(TrainConfig, recipe.file, *layers, own)
        steps = recipe.steps or config.steps
    else:
        own |= _adapt_keys(config, cell, start)
        settings = load(AdaptConfig, recipe.file, *layers, own)
        steps = None if settings.method.source_free else recipe.steps or config.steps
        read += [settings.target, *([start / "DONE"] if start else [])]
    kind, command = cell_kind(config, cell)
    title = training_title(command, cell.method, cell.task, seed) + describe_keys(keys)
    stage = Stage(name, kind, command, settings, run, run / "DONE", tuple(read), steps, title=title)
    return Trial(cell.method, cell.task, seed, keys, stage)


def cell_kind(config: SweepConfig, cell: SweepCell) -> tuple[str, str]:
    """Return the kind and command of the stages of a cell's trials."""
    command = config.methods[cell.method].command
    return f"{command} {cell.method}", command


def _adapt_keys(config: SweepConfig, cell: SweepCell, start: Path | None) -> dict[str, Any]:
    """Return the keys of vidda adapt that the sweep sets."""
    stream = config.methods[cell.method].stream
    select = config.epoch_score(cell.method)
    kept = {select, config.select_point} & NEED_FEATURES
    return {
        "target": str(cell.test if stream else cell.target),
        # As the target, the test clips are predicted after each epoch anyway.
        "watch": {} if stream else {TEST: str(cell.test)},
        # A stream has one epoch, which nothing needs to choose.
        "select": SOURCE_VALIDATION if stream else select,
        **({"features": True} if kept else {}),
        **({"start": str(start)} if start else {}),
    }


def trial_name(method: str, task: str, seed: int, keys: Keys) -> str:
    """Return the name of a trial and its folder; a combination of keys is named by its digest."""
    name = f"{slug(method)}-{task}-{seed}"
    if keys:
        text = json.dumps(keys, sort_keys=True)
        name += f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return folder_name(name)


def describe_keys(keys: Keys) -> str:
    """Describe a combination of keys at the end of a title, "" without keys."""
    text = "".join(f", {key}={json.dumps(value)}" for key, value in keys.items())
    return text if len(text) <= LONGEST_KEYS else f"{text[: LONGEST_KEYS - 3]}..."
