"""Stages that translations take from a task's unlabeled target: personalizations and captions."""

from pathlib import Path
from typing import Any

from vidda.command import schema_of
from vidda.errors import ViddaError
from vidda.experiment.experiment_config import DataConfig, load_or_report
from vidda.experiment.name_checks import find_cycles, folder_name, personalize_bases, slug
from vidda.experiment.stage import Stage
from vidda.experiment.task_splits import TaskSplit
from vidda.translate.caption_job import CaptionConfig

CAPTIONS_FILE = "captions.csv"


class TargetPlanner:
    """Plans personalizations and captions, each once for all variants that need it.

    stages, problems: lists that new stages, and a line for each mistake, are added to.
    """

    def __init__(self, config: DataConfig, stages: list[Stage], problems: list[str]) -> None:
        self.config = config
        self.stages = stages
        self.problems = problems
        self._personalizations: dict[str, Any] = {}
        self._captions: set[Path] = set()
        self._endless = {name for cycle in find_cycles(personalize_bases(config)) for name in cycle}

    def personalization(self, name: str, target: TaskSplit, clips: Path) -> Any:
        """Plan a personalization on a task's target, and those that it starts from.

        clips: manifest of the target's unlabeled clips. Returns its config, None where its own or
        one that it starts from has mistakes.
        """
        key = folder_name(f"{slug(name)}-{target.target}")
        if key in self._personalizations:
            return self._personalizations[key]
        recipe = self.config.personalize.get(name)
        if recipe is None:  # `name_checks` reports it
            return None
        run, where = self.config.out / "personalized" / key, f"personalize.{name}"
        keys = {"run": str(run), "target": str(clips)}
        schema = schema_of("personalize")
        config = load_or_report(self.problems, where, schema, recipe.file, recipe.change, keys)
        inputs: tuple[Path, ...] = (clips,)
        if name in self._endless:  # `name_checks` reports it
            config = None
        elif recipe.base is not None:
            start = self.personalization(recipe.base, target, clips)
            config = config and start and self._starting_from(where, config, start)
            inputs += (start.run / "DONE",) if start else ()
        elif config is not None:
            if self.config.weights is not None:
                config = config.with_base(self.config.weights)
            self.problems += [f"{where}: {line}" for line in config.folder_problems()]
        self._personalizations[key] = config
        if config is not None:
            kind, title = f"personalize {name}", f"personalize: {name}, {target.task}"
            self.stages.append(
                Stage(key, kind, "personalize", config, run, run / "DONE", inputs, title=title)
            )
        return config

    def _starting_from(self, where: str, config: Any, start: Any) -> Any:
        """Return a personalization that starts from another's result; None if it cannot."""
        try:
            return config.starting_from(start)
        except ViddaError as error:
            self.problems += [f"{where}: {line}" for line in str(error).splitlines()]
            return None

    def captions_file(self, name: str, key: str, target: TaskSplit) -> Path:
        """Return the CSV file of captions of a target. key: name of the clips that get them."""
        folder = folder_name(f"{slug(name)}-{key}-{target.target}")
        return self.config.out / "captions" / folder / CAPTIONS_FILE

    def captions(self, name: str, key: str, source: Path, target: TaskSplit, clips: Path) -> Path:
        """Plan captions of a task's target for the clips of a manifest; return their CSV file.

        key: name of the source's clips. source: their manifest. clips: manifest of the target's
        unlabeled clips.
        """
        file, recipe = self.captions_file(name, key, target), self.config.captions.get(name)
        if file in self._captions or recipe is None:  # `name_checks` reports an unknown one
            return file
        self._captions.add(file)
        keys = {"source": str(source), "target": str(clips), "out": str(file)}
        config = load_or_report(
            self.problems, f"captions.{name}", CaptionConfig, recipe.file, recipe.change, keys
        )
        if config is not None:
            # A variant may have the name of its captions: the last word separates the two.
            out, kind, inputs = file.parent, f"caption {name}", (source, clips)
            key, title = f"{out.name}-captions", f"caption: {name}, {target.task}"
            self.stages.append(Stage(key, kind, "caption", config, out, file, inputs, title=title))
        return file
