"""One stage of the job: a command's config, what it needs, and when it is complete."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from vidda.adapt.adapt_config import AdaptConfig
from vidda.config import Config, dump
from vidda.data import load_manifest
from vidda.data.derived import all_kept, done, nothing_lost
from vidda.recognize.train_config import TrainConfig

MAKE_CLIPS = ("randomize", "translate", "camera")
"""Commands that make clips from clips."""
RESULT = "result"
"""What vidda personalize leaves in its run folder, whichever model it is of."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A command to be run.

    name: also of its files in OUT/stages. kind: stages of one kind take about equally long. done:
    what the command writes last. inputs: files that must be there before. steps: of a training,
    whose epochs follow from them once its clips are known. derived: made anew from others' output
    when its config changes.
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

    def ready(self) -> bool:
        """Return whether all inputs are there."""
        return all(path.exists() for path in self.inputs)

    def settled(self) -> "Stage":
        """Return the same with the epochs that come nearest to `steps`; raises ViddaError."""
        if self.steps is None:
            return self
        assert isinstance(self.config, TrainConfig)
        epochs = max(1, round(self.steps / steps_per_epoch(self.config)))
        return replace(self, config=self.config.model_copy(update={"epochs": epochs}))

    def file(self, out: Path) -> Path:
        """Where its config is kept."""
        return out / "stages" / f"{self.name}.yaml"

    def log(self, out: Path) -> Path:
        """Where what it prints is kept."""
        return out / "stages" / f"{self.name}.log"

    def complete(self, out: Path) -> bool:
        """Return whether it has been run to its end with this very config, and nothing was lost
        since.
        """
        return (
            self.done.exists()
            and self.ready()
            and self.known(out) == dump(self.settled().config)
            and self._whole()
        )

    def _whole(self) -> bool:
        """Return whether the files that later stages read are there; a resume makes lost ones
        again.
        """
        if self.command in MAKE_CLIPS:
            return nothing_lost(self.out)
        if self.command == "personalize":
            return done(self.out, RESULT, RESULT, content=False) is not None
        return self.command != "mini" or all_kept(self.out)

    def known(self, out: Path) -> str | None:
        """Return the config that it was last started with, None before."""
        file = self.file(out)
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None


def steps_per_epoch(config: TrainConfig) -> int:
    """Of a training on manifests that are there, at least 1; vidda train refuses less itself."""
    if isinstance(config, AdaptConfig) and config.method.source_free:
        return max(
            1, _clips(config.target, config.target.stat().st_mtime_ns) // config.target_clips
        )
    clips = sum(_clips(path, path.stat().st_mtime_ns) for path in config.train)
    return max(1, clips * config.repeats // config.batch_size)


@cache
def _clips(manifest: Path, written_ns: int) -> int:
    """Return how many there are; hundreds of trainings may read the same 45,000."""
    return len(load_manifest(manifest))
