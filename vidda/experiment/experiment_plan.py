"""All stages of a job, planned from its config and checked before the first one starts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import Config, ConfigError
from vidda.data.prepare import PrepareConfig
from vidda.data.survey import Survey
from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.experiment.experiment_config import (
    Adaptation,
    Arm,
    ExperimentConfig,
    RecognizerRecipe,
    load,
)
from vidda.experiment.name_checks import folder_name, name_problems, slug
from vidda.experiment.stage import Stage, training_title
from vidda.experiment.training_data import DataPlanner
from vidda.recognize.train_config import TrainConfig
from vidda.report.report_config import ReportConfig

C = TypeVar("C", bound=Config)
GALLERY = "gallery"
REPORT_STAMP = "report.json"
"""The file that vidda report writes last."""


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """Inputs of one training. key: its name; equal keys are one training.

    manifests: training clips. val: manifest of the validation clips. start: for an adaptation, the
    training that it starts from, else None.
    """

    key: str
    manifests: tuple[Path, ...]
    val: Path
    start: "AdaptationStart | None" = None

    @property
    def chain(self) -> "tuple[TrainingStage, ...]":
        """Return the training that it starts from, if any, and itself, in order."""
        return (self.start.training, self) if self.start else (self,)


@dataclass(frozen=True, slots=True)
class AdaptationStart:
    """Start of an adaptation: a training. target: manifest of the unlabeled target clips."""

    training: TrainingStage
    target: Path
    recipe: Adaptation


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """The stages of a job in order. left_out: a line for each thing that is not done, and why.

    arms, tasks: the job's, without those left out. prepare: config of vidda prepare. known: the
    experiments of its data. tables: the transfer table's file of each recognizer. reports: the
    report's page of each.
    """

    stages: tuple[Stage, ...]
    left_out: tuple[str, ...]
    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    prepare: PrepareConfig
    known: Survey
    tables: Mapping[str, Path]
    reports: Mapping[str, Path]


def make_plan(config: ExperimentConfig) -> ExperimentPlan:
    """Plan and check every stage of a job; ViddaError with a line for each mistake."""
    planner = _Planner(config)
    planner.plan()
    problems = list(dict.fromkeys(planner.problems + planner.data.problems))
    if problems:
        raise ViddaError("\n".join(problems))
    assert planner.data.prepare
    return ExperimentPlan(
        tuple(planner.stages),
        tuple(dict.fromkeys(planner.data.left_out + planner.left_out)),
        planner.arms,
        planner.data.tasks,
        planner.data.prepare,
        planner.data.known,
        planner.tables,
        planner.reports,
    )


class _Planner:
    """Collects stages, and mistakes so that all are reported together."""

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config
        self.prepared = config.prepared
        self.stages: list[Stage] = []
        self.problems: list[str] = name_problems(config)
        self.left_out: list[str] = []
        self.arms: tuple[str, ...] = ()
        self.tables: dict[str, Path] = {}
        self.reports: dict[str, Path] = {}
        self.data = DataPlanner(config)

    def plan(self) -> None:
        """Plan every stage; later ones are checked even where earlier ones have mistakes."""
        self.data.start()
        wanted = self._wanted()
        self.arms = tuple(wanted)
        self.stages += self.data.stages
        if not wanted:
            return
        own = {
            name: {arm: wanted[arm] for arm in wanted if recipe.arms is None or arm in recipe.arms}
            for name, recipe in self.config.recognizers.items()
        }
        for name, recipe in self.config.recognizers.items():
            self._trainings(name, recipe, own[name])
        for name, arms in own.items():
            if arms:
                self._results(name, arms)
            else:
                self.left_out.append(f"recognizer {name!r}: none of its arms can be trained")

    def _wanted(self) -> dict[str, dict[str, TrainingStage]]:
        """Return the training of each arm and task; arms that cannot be trained are left out."""
        wanted: dict[str, dict[str, TrainingStage]] = {}
        taken = [recipe.arms for recipe in self.config.recognizers.values()]
        asked = {arm for arms in taken for arm in (self.config.arms if arms is None else arms)}
        for name, arm in self.config.arms.items():
            if name not in asked:
                self.left_out.append(f"arm {name!r}: no recognizer names it in its arms")
                continue
            found = {task: self._training(name, arm, task) for task in self.data.tasks}
            wanted[name] = {task: one for task, one in found.items() if one}
            if not wanted[name]:
                self.left_out.append(f"arm {name!r}: nothing to train it on")
        if not any(wanted.values()) and not self.problems and not self.data.problems:
            reasons = dict.fromkeys(self.data.left_out + self.left_out)
            self.problems.append(f"arms: none can be trained: {'; '.join(reasons)}")
        return {name: tasks for name, tasks in wanted.items() if tasks}

    def _training(self, name: str, arm: Arm, task: str) -> TrainingStage | None:
        lists = self.data.training_lists(arm.data, task)
        if lists is None:
            return None
        key = lists.key
        if arm.weights:
            key += "-weights_" + "_".join(f"{weight:g}" for weight in arm.weights)
        training = TrainingStage(
            f"{key}{'-augmented' if arm.augment else ''}", lists.train, lists.val
        )
        if arm.adapt is None:
            return training
        split, target = self.data.find_split(task, "adapted"), self.data.target(task)
        if split is None or target is None:
            self.left_out.append(f"{name} in {self.data.why_none(task, 'adapted')}")
            return None
        # An arm may have the name of a variant: the last word separates the two.
        key = f"{slug(name)}-{split.train}-{split.target}-adapted"
        return replace(training, key=key, start=AdaptationStart(training, target, arm.adapt))

    def _trainings(
        self, name: str, recipe: RecognizerRecipe, wanted: Mapping[str, Mapping[str, TrainingStage]]
    ) -> None:
        """Plan the trainings of one recognizer, seed by seed."""
        arms: dict[str, tuple[str, TrainingStage, list[str]]] = {}
        for arm, tasks in wanted.items():
            for task, training in tasks.items():
                for one in training.chain:
                    entry = arms.setdefault(one.key, (arm, one, []))
                    entry[2].append(task)
        for seed in self.config.seeds:
            for arm, training, tasks_of in arms.values():
                self._train(name, recipe, seed, arm, training, tasks_of)

    def _train(
        self,
        name: str,
        recipe: RecognizerRecipe,
        seed: int,
        arm_name: str,
        training: TrainingStage,
        tasks: list[str],
    ) -> None:
        arm = self.config.arms[arm_name]
        run = self._run(name, training, seed)
        augmentation = recipe.augmentation
        if augmentation is None:
            shared = self.config.augmentation
            augmentation = {f"transform.{key}": value for key, value in shared.items()}
        own = {
            "run": str(run),
            "train": [str(path) for path in training.manifests],
            "val": str(training.val),
            "weights": arm.weights,
            "watch": self._watched(tasks) if self.config.watch else {},
            "seed": seed,
        }
        where, layers = f"recognizers.{name}", [recipe.change, augmentation if arm.augment else {}]
        command, steps, inputs = "train", recipe.steps, [*training.manifests, training.val]
        schema: type[TrainConfig] = TrainConfig
        if (start := training.start) is not None:
            start_run = self._run(name, start.training, seed)
            own |= {"target": str(start.target), "start": str(start_run)}
            where, layers = f"{where} adapted", [*layers, start.recipe.change]
            command, steps, schema = "adapt", start.recipe.steps, AdaptConfig
            inputs += [start.target, start_run / "DONE"]
        config = self._load(where, schema, recipe.file, *layers, own)
        if config is None:
            return
        if config.patience is not None:
            self.problems.append(
                f"{where}: patience would train arms for different numbers of steps; leave it out"
            )
        stage = folder_name(f"{command}-{slug(name)}-{training.key}-{seed}")
        kind, done = f"{command} {name}", run / "DONE"
        title = training_title(
            self._titled(command, name), arm_name, ", ".join(dict.fromkeys(tasks)), seed
        )
        self.stages.append(
            Stage(stage, kind, command, config, run, done, tuple(inputs), steps, title=title)
        )

    def _titled(self, command: str, name: str) -> str:
        """Return the start of a stage's title: its recognizer is named where there are several."""
        return f"{command} {name}" if len(self.config.recognizers) > 1 else command

    def _watched(self, tasks: list[str]) -> dict[str, str]:
        """Return the manifests of the tasks' test clips by the list's name, each list once."""
        splits = (self.data.find_split(task, "source_only") for task in tasks)
        tested = [split for split in splits if split and split.test]
        return {split.test: str(split.folder / "test.csv") for split in tested}

    def _run(self, name: str, training: TrainingStage, seed: int) -> Path:
        return self.config.out / "trained" / slug(name) / folder_name(f"{training.key}-{seed}")

    def _results(self, name: str, wanted: Mapping[str, Mapping[str, TrainingStage]]) -> None:
        """Plan the transfer table and the report of one recognizer."""
        out = self.config.out / "evaluated" / slug(name)
        report_out = self.config.out / "report" / slug(name)
        trained = {
            arm: {task: self._runs(name, training) for task, training in tasks.items()}
            for arm, tasks in wanted.items()
        }
        rows = [
            {
                "name": arm,
                "runs": {task: [str(run) for run in runs] for task, runs in tasks.items()},
            }
            for arm, tasks in trained.items()
        ]
        transfer = {"data": str(self.prepared), "tasks": self.data.tasks, "rows": rows}
        keys = {"out": str(out), "transfer": transfer}
        evaluate = self._load("evaluate", EvaluateConfig, None, self.config.evaluate, keys)
        report = self._load("report", ReportConfig, None, *self._report_keys(out, report_out))
        if evaluate is None or report is None:
            return
        runs = [run for tasks in trained.values() for runs in tasks.values() for run in runs]
        inputs = tuple(run / "DONE" for run in dict.fromkeys(runs))
        kind, done = f"evaluate {name}", out / "DONE"
        self.stages += [
            Stage(
                f"evaluate-{slug(name)}", kind, "evaluate", evaluate, out, done, inputs,
                derived=True, title=self._titled("evaluate", name),
            ),
            Stage(
                f"report-{slug(name)}", "report", "report", report, report_out,
                report_out / REPORT_STAMP, (done,), derived=True,
                title=self._titled("report", name),
            ),
        ]  # fmt: skip
        self.tables[name] = out / "transfer.md"
        self.reports[name] = report_out / "index.html"

    def _runs(self, name: str, training: TrainingStage) -> list[Path]:
        """Return the run folders of a training, one for each seed."""
        return [self._run(name, training, seed) for seed in self.config.seeds]

    def _report_keys(self, table: Path, out: Path) -> list[Mapping[str, Any]]:
        """Return keys of vidda report: the job's, and a gallery if there are translations."""
        own = {key: value for key, value in self.config.report.items() if key != GALLERY}
        made = self.data.variants
        translations = {name: str(path) for name, path in made.translations.items()}
        keys: dict[str, Any] = {"runs": [str(table)], "out": str(out)}
        if made.gallery is not None:
            gallery = {"source": str(made.gallery), **(self.config.report.get(GALLERY) or {})}
            keys |= {"translations": translations, GALLERY: gallery}
        return [own, keys]

    def _load(
        self, where: str, schema: type[C], file: Path | None, *keys: Mapping[str, Any]
    ) -> C | None:
        try:
            return load(schema, file, *keys)
        except ConfigError as error:
            self.problems += [f"{where}: {problem}" for problem in error.problems]
            return None
