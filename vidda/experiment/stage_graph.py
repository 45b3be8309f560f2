"""The stages of a job as a graph: a stage waits for those that make its inputs."""

from collections.abc import Sequence

from vidda.experiment.stage import Stage


class StageGraph:
    """Stages that have not been started, in the job's order. waiting: these stages.

    A stage needs another if one of its inputs is in the folder that the other writes.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.waiting = list(stages)
        makers = {stage.out: stage for stage in stages}
        self._needs = {
            stage.name: [
                makers[folder]
                for path in stage.inputs
                for folder in (path, *path.parents)
                if folder in makers and makers[folder] != stage
            ]
            for stage in stages
        }
        self._ended: set[str] = set()
        self._failed: set[str] = set()

    def take(self) -> Stage | None:
        """Remove and return the first waiting stage whose needs have ended; None without one."""
        for stage in self.waiting:
            if all(need.name in self._ended for need in self._needs[stage.name]):
                self.waiting.remove(stage)
                return stage
        return None

    def end(self, stage: Stage, *, failed: bool) -> None:
        """Mark a stage as ended; what needs it can be taken."""
        self._ended.add(stage.name)
        if failed:
            self._failed.add(stage.name)

    def failed_need(self, stage: Stage) -> Stage | None:
        """Return a stage that this one needs and that has failed, None without one."""
        needs = self._needs[stage.name]
        return next((need for need in needs if need.name in self._failed), None)
