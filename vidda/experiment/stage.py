"""One stage of a job: a command with its config, inputs and output."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import Config, dump
from vidda.data import load_manifest
from vidda.data.derived import finished_record, manifest_intact, records_intact
from vidda.recognize.train_config import TrainConfig

MAKE_CLIPS = ("randomize", "mask", "translate", "camera")
"""Commands that make clips from clips."""
RESULT = "result"
"""The result of vidda personalize in its run folder, for every model."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A command to run, with its config.

    name: unique, also of its files in OUT/stages. title: what it does, for people. kind: stages of
    one kind take about equally long. out: folder that it writes. done: the file that it writes
    last. inputs: files that it needs. steps: of a training, from which its epochs follow once its
    clips are known; None: its config's epochs.
    derived: whether its output is deleted and made again when its config changes.
    """

    name: str
    kind: str
    command: str
    config: Config
    out: Path
    done: Path
    inputs: tuple[Path, ...]
    steps: int | None = None
    derived: bool = False
    title: str = field(kw_only=True)

    def ready(self) -> bool:
        """Return whether all inputs exist."""
        return all(path.exists() for path in self.inputs)

    def with_epochs(self) -> "Stage":
        """Return the stage with the number of epochs that is nearest to `steps`, at least 1.

        Raises ViddaError if a manifest of the training cannot be read.
        """
        if self.steps is None:
            return self
        assert isinstance(self.config, TrainConfig)
        epochs = max(1, round(self.steps / steps_per_epoch(self.config)))
        return replace(self, config=self.config.model_copy(update={"epochs": epochs}))

    def config_file(self, out: Path) -> Path:
        """Return the file that its config is saved in. out: folder of the job."""
        return out / "stages" / f"{self.name}.yaml"

    def log_file(self, out: Path) -> Path:
        """Return the file that its printed output is saved in. out: folder of the job."""
        return out / "stages" / f"{self.name}.log"

    def complete(self, out: Path) -> bool:
        """Return whether it finished with this config and its output still exists.

        out: folder of the job.
        """
        return (
            self.done.exists()
            and self.ready()
            and self.last_config(out) == dump(self.with_epochs().config)
            and self._outputs_kept()
        )

    def _outputs_kept(self) -> bool:
        """Return whether the files that later stages read exist; a resume makes lost ones again."""
        if self.command == "mask" and not records_intact(self.out):
            return False
        if self.command in MAKE_CLIPS:
            return manifest_intact(self.out)
        if self.command == "personalize":
            return finished_record(self.out, RESULT, RESULT, content=False) is not None
        return self.command != "mini" or records_intact(self.out)

    def last_config(self, out: Path) -> str | None:
        """Return the config that it was last started with, as YAML; None before its first start."""
        file = self.config_file(out)
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None


def training_title(command: str, name: str, tasks: str, seed: int) -> str:
    """Return the title of a training, such as `train: source + translated, gs2gr, seed 0`.

    name: of the arm or method. tasks: whose recognizer it trains.
    """
    return f"{command}: {name}, {tasks}, seed {seed}"


def steps_per_epoch(config: TrainConfig) -> int:
    """Return the optimizer steps of an epoch, at least 1. The training's manifests must exist."""
    if isinstance(config, AdaptConfig) and config.method.source_free:
        return max(
            1, _clips(config.target, config.target.stat().st_mtime_ns) // config.target_clips
        )
    clips = sum(_clips(path, path.stat().st_mtime_ns) for path in config.train)
    return max(1, clips * config.repeats // config.batch_size)


@cache
def _clips(manifest: Path, written_ns: int) -> int:
    """Count the clips of a manifest, once for hundreds of trainings that may read it.

    written_ns: when it was written, so that a new version is counted again.
    """
    return len(load_manifest(manifest))
