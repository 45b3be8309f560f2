"""All stages of a job from its config, every one of them checked before the first starts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import Config, ConfigError
from vidda.data.prepare import PrepareConfig
from vidda.errors import ViddaError
from vidda.evaluate.job import EvaluateConfig
from vidda.experiment.experiment_config import (
    Adaptation,
    Arm,
    ExperimentConfig,
    RecognizerRecipe,
    load,
)
from vidda.experiment.names import problems as name_problems
from vidda.experiment.names import slug
from vidda.experiment.stage import Stage
from vidda.experiment.training_data import Maker
from vidda.files import LONGEST_NAME
from vidda.recognize.train_config import TrainConfig
from vidda.report.report_config import ReportConfig

C = TypeVar("C", bound=Config)
GALLERY = "gallery"
REPORTED = "report.json"
"""What vidda report writes last."""


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """What one training reads. key: its name; equal keys are one training.

    goes_on: of an adaptation, what it begins with.
    """

    key: str
    manifests: tuple[Path, ...]
    val: Path
    goes_on: "GoesOn | None" = None

    @property
    def chain(self) -> "tuple[TrainingStage, ...]":
        """What has to be trained, in order."""
        return (self.goes_on.training, self) if self.goes_on else (self,)


@dataclass(frozen=True, slots=True)
class GoesOn:
    """What an adaptation begins with. target: its clips without labels."""

    training: TrainingStage
    target: Path
    recipe: Adaptation


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """The stages in their order. left_out: what is not done, and why, a line each.

    tables: the transfer table of each recognizer. reports: its page.
    """

    stages: tuple[Stage, ...]
    left_out: tuple[str, ...]
    prepare: PrepareConfig
    tables: Mapping[str, Path]
    reports: Mapping[str, Path]


def make(config: ExperimentConfig) -> ExperimentPlan:
    """Build and check every stage; ViddaError with a line for each mistake."""
    planner = _Planner(config)
    planner.plan()
    problems = list(dict.fromkeys(planner.problems + planner.maker.problems))
    if problems:
        raise ViddaError("\n".join(problems))
    assert planner.maker.prepare
    return ExperimentPlan(
        tuple(planner.stages),
        tuple(dict.fromkeys(planner.maker.left_out + planner.left_out)),
        planner.maker.prepare,
        planner.tables,
        planner.reports,
    )


class _Planner:
    """Collects stages, and mistakes instead of raising them."""

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config
        self.prepared = config.prepared
        self.stages: list[Stage] = []
        self.problems: list[str] = name_problems(config)
        self.left_out: list[str] = []
        self.tables: dict[str, Path] = {}
        self.reports: dict[str, Path] = {}
        self.maker = Maker(config)

    def plan(self) -> None:
        """Every stage; later ones are looked at even where earlier ones have mistakes."""
        self.maker.start()
        wanted = self._wanted()
        self.stages += self.maker.stages
        for name, recipe in self.config.recognizers.items():
            self._trainings(name, recipe, wanted)
        for name in self.config.recognizers:
            self._results(name, wanted)

    def _wanted(self) -> dict[str, dict[str, TrainingStage]]:
        """Return the training of each arm and task; where an arm cannot be, it is left out."""
        wanted: dict[str, dict[str, TrainingStage]] = {}
        for name, arm in self.config.arms.items():
            found = {task: self._training(name, arm, task) for task in self.config.tasks}
            wanted[name] = {task: one for task, one in found.items() if one}
            if not wanted[name]:
                self.left_out.append(f"arm {name!r}: nothing to train it on")
        if not any(wanted.values()) and not self.problems and not self.maker.problems:
            self.problems.append("arms: none is left; name the folder of a model by weights=DIR")
        return {name: tasks for name, tasks in wanted.items() if tasks}

    def _training(self, name: str, arm: Arm, task: str) -> TrainingStage | None:
        lists = self.maker.lists(arm.data, task)
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
        place, target = self.maker.experiment(task, "adapted"), self.maker.target(task)
        assert place and target, "a task with a source has an adapted setting"
        # An arm may be called as a variant is: the last word tells it from a training on that.
        key = f"{slug(name)}-{place.train}-{place.target}-adapted"
        return replace(training, key=key, goes_on=GoesOn(training, target, arm.adapt))

    def _trainings(
        self, name: str, recipe: RecognizerRecipe, wanted: Mapping[str, Mapping[str, TrainingStage]]
    ) -> None:
        """The trainings of one recognizer, seed by seed."""
        arms: dict[str, tuple[Arm, TrainingStage, list[str]]] = {}
        for arm, tasks in wanted.items():
            for task, training in tasks.items():
                for one in training.chain:
                    entry = arms.setdefault(one.key, (self.config.arms[arm], one, []))
                    entry[2].append(task)
        for seed in self.config.seeds:
            for arm_config, training, tasks_of in arms.values():
                self._train(name, recipe, seed, arm_config, training, tasks_of)

    def _train(
        self,
        name: str,
        recipe: RecognizerRecipe,
        seed: int,
        arm: Arm,
        training: TrainingStage,
        tasks: list[str],
    ) -> None:
        run = self._run(name, training, seed)
        augmentation = self.config.augmentation if arm.augment else {}
        transform = {f"transform.{key}": value for key, value in augmentation.items()}
        own = {
            "run": str(run),
            "train": [str(path) for path in training.manifests],
            "val": str(training.val),
            "weights": arm.weights,
            "watch": self._watched(tasks) if self.config.watch else {},
            "seed": seed,
        }
        where, layers = f"recognizers.{name}", [recipe.change, transform]
        command, steps, inputs = "train", recipe.steps, [*training.manifests, training.val]
        schema: type[TrainConfig] = TrainConfig
        if (before := training.goes_on) is not None:
            start = self._run(name, before.training, seed)
            own |= {"target": str(before.target), "start": str(start)}
            where, layers = f"{where} adapted", [*layers, before.recipe.change]
            command, steps, schema = "adapt", before.recipe.steps, AdaptConfig
            inputs += [before.target, start / "DONE"]
        config = self._load(where, schema, recipe.file, *layers, own)
        if config is None:
            return
        if config.patience is not None:
            self.problems.append(
                f"{where}: patience would train arms for different numbers of steps; leave it out"
            )
        title = f"{command}-{slug(name)}-{training.key}-{seed}"
        if len(title.encode()) > LONGEST_NAME:
            self.problems.append(
                f"{where}: {title} is too long for a file's name; shorten those of variants and"
                " arms"
            )
        self.stages.append(
            Stage(
                title, f"{command} {name}", command, config, run, run / "DONE", tuple(inputs), steps
            )
        )

    def _watched(self, tasks: list[str]) -> dict[str, str]:
        """Return the test clips of these tasks, each list once."""
        places = (self.maker.experiment(task, "source_only") for task in tasks)
        return {place.test: str(place.folder / "test.csv") for place in places if place}

    def _run(self, name: str, training: TrainingStage, seed: int) -> Path:
        return self.config.out / "trained" / slug(name) / f"{training.key}-{seed}"

    def _results(self, name: str, wanted: Mapping[str, Mapping[str, TrainingStage]]) -> None:
        """The transfer table and the report of one recognizer."""
        out = self.config.out / "evaluated" / slug(name)
        place = self.config.out / "report" / slug(name)
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
        transfer = {"data": str(self.prepared), "tasks": self.config.tasks, "rows": rows}
        keys = {"out": str(out), "transfer": transfer}
        evaluate = self._load("evaluate", EvaluateConfig, None, self.config.evaluate, keys)
        report = self._load("report", ReportConfig, None, *self._reported(out, place))
        if evaluate is None or report is None:
            return
        runs = [run for tasks in trained.values() for runs in tasks.values() for run in runs]
        needed = tuple(run / "DONE" for run in dict.fromkeys(runs))
        kind, done = f"evaluate {name}", out / "DONE"
        self.stages += [
            Stage(
                f"evaluate-{slug(name)}", kind, "evaluate", evaluate, out, done, needed,
                derived=True,
            ),
            Stage(
                f"report-{slug(name)}", "report", "report", report, place, place / REPORTED,
                (done,), derived=True,
            ),
        ]  # fmt: skip
        self.tables[name] = out / "transfer.md"
        self.reports[name] = place / "index.html"

    def _runs(self, name: str, training: TrainingStage) -> list[Path]:
        """Return its run of every seed."""
        return [self._run(name, training, seed) for seed in self.config.seeds]

    def _reported(self, table: Path, place: Path) -> list[Mapping[str, Any]]:
        """Return keys of the report: the job's, and the gallery of the translations, if there are
        any.
        """
        own = {key: value for key, value in self.config.report.items() if key != GALLERY}
        translations = {name: str(path) for name, path in self.maker.translations.items()}
        keys: dict[str, Any] = {"runs": [str(table)], "out": str(place)}
        if self.maker.gallery is not None:
            gallery = {"source": str(self.maker.gallery), **(self.config.report.get(GALLERY) or {})}
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
