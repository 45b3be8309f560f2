"""Run folders: opened once, resumed after a kill at any instant, finished by DONE.

    config.yaml   fully resolved          provenance.json   versions, device, commit, fingerprints
    log.txt       metrics.jsonl           checkpoints/000500/ ...  last -> 000500
    DONE          written last

Only one process uses a folder at a time. This is also the only module that knows wandb.
"""

import json
import logging
import math
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from vidda import config as configs
from vidda import provenance
from vidda.checkpoints import Checkpoints
from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import discard_partial, fsync, lock, write_text
from vidda.run_log import logging_to

WandbMode = Literal["off", "offline", "online"]

log = logging.getLogger("vidda")


class RunFolder:
    """A run folder in use by this process, as a context manager; `open` returns one.

    path: the folder. finished: whether DONE is written. checkpoints: those saved so far.
    """

    def __init__(self, path: Path, *, finished: bool) -> None:
        self.path = path
        self.finished = finished
        self.checkpoints = Checkpoints(path / "checkpoints")
        self._recorded_step = -1
        self._metrics: IO[str] | None = None
        self._wandb: Any = None
        self._board: Any = None
        self._closing = ExitStack()

    @classmethod
    def open(
        cls,
        path: Path,
        config: Config,
        fingerprints: Mapping[str, str],
        *,
        resume: bool,
        whole: bool = True,
        wandb: WandbMode = "off",
        tensorboard: bool = False,
    ) -> Self:
        """Start a run in an empty or new folder, or resume the one that is there.

        path: the folder. config: written to config.yaml, and compared with it on a resume.
        fingerprints: of every manifest that the run reads, by the name of its part.
        resume: continue an unfinished run; an empty folder starts one, and a finished one is
        returned untouched, with `finished` set.
        whole: False where a result of a finished run is lost or damaged, which makes it unfinished.
        wandb: mirror the metrics there; `offline` writes to the folder only.
        tensorboard: mirror the metrics in RUN/tensorboard.
        Raises ViddaError when the folder holds something and `resume` is off, when it holds no run
        of this config and these fingerprints, when another process uses it, and when wandb or
        TensorBoard is asked for and cannot be imported.
        """
        if wandb != "off":
            _import_wandb(wandb)
        _check(path, config, fingerprints, resume)
        with ExitStack() as undo:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
                raise ViddaError(
                    f"{path}: cannot be made: {error.strerror}; choose another folder"
                ) from None
            undo.enter_context(lock(path))
            # Again, now that nobody else can change it: another process may just have been here.
            started = _check(path, config, fingerprints, resume)
            discard_partial(path)
            if (path / "DONE").exists():
                finished = cls(path, finished=True)
                for problem in finished.checkpoints.find_damaged().values():
                    remedy = f"delete {path / 'DONE'}, and --resume repairs it"
                    print(f"{problem}; {remedy}", file=sys.stderr)
                if whole:
                    return finished
                (path / "DONE").unlink()
            run = cls(path, finished=False)
            _record_session(path, config, fingerprints, wandb)
            undo.enter_context(logging_to(path / "log.txt"))
            for line in run.checkpoints.discard_damaged():
                log.warning("%s", line)
            metrics = path / "metrics.jsonl"
            _cut_metrics(metrics, run.checkpoints.last_step)
            run._metrics = undo.enter_context(metrics.open("a", encoding="utf-8"))
            if wandb != "off":
                run._wandb = undo.enter_context(_wandb_run(path, config, wandb))
            if tensorboard:
                run._board = undo.enter_context(_board(path, run.checkpoints.last_step))
            run._closing = undo.pop_all()
        log.info("%s %s", "resumed" if started else "started", path)
        return run

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl; a value that is not finite is written as null.

        step: not below the previous line's, and above the last checkpoint's, so that a resumed run
        writes the very lines that an uninterrupted one would. Raises ValueError otherwise.
        """
        saved = self.checkpoints.last_step
        if step < self._recorded_step or (saved is not None and step <= saved):
            raise ValueError(
                f"metrics of step {step} come too late: step {self._recorded_step} is recorded,"
                f" checkpoint {saved} is saved"
            )
        assert self._metrics is not None, "this run is finished or closed"
        self._recorded_step = step
        finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
        self._metrics.write(json.dumps({"step": step} | finite) + "\n")
        self._metrics.flush()
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)
        if self._board is not None:
            for key, value in values.items():
                self._board.add_scalar(key, value, step)

    @contextmanager
    def checkpoint(self, step: int, *, keep: int = 2, needs: int | None = None) -> Iterator[Path]:
        """Yield an empty folder to fill; afterwards it is `checkpoints/<step>`, whole or absent.

        step: above the last checkpoint's. keep: how many of the newest stay, at least 1; those that
        `checkpoints.link` has named, for instance `best`, stay too. needs: the step of the one
        without which this one is of no use, None where it needs no other.
        """
        self._require_own()
        with self.checkpoints.save(step, keep, needs) as folder:
            yield folder

    def last_checkpoint(self) -> Path | None:
        """Return the folder of the newest checkpoint, None before the first."""
        step = self.checkpoints.last_step
        return None if step is None else self.checkpoints.path(step)

    def finish(self) -> None:
        """Write DONE after everything else, and close the run.

        Raises ViddaError where the folder was deleted or replaced while the run used it.
        """
        self._require_own()
        log.info("finished %s", self.path)
        if self._wandb is not None:
            self._wandb.finish()
        write_text(self.path / "DONE", "")
        self.finished = True
        self.close()

    def remedy(self) -> str:
        """Return what to do, for a message, about results that were lost while this run worked."""
        if (self.path / "config.yaml").exists():
            return "the same command with --resume makes them again"
        return f"{self.path} was deleted meanwhile: delete what is left of it and start again"

    def _require_own(self) -> None:
        """Sync the metrics to the disk; raises ViddaError where the folder was replaced."""
        assert self._metrics is not None, "this run is finished or closed"
        os.fsync(self._metrics.fileno())
        try:
            same = os.path.samestat(
                os.fstat(self._metrics.fileno()), (self.path / "metrics.jsonl").stat()
            )
        except FileNotFoundError:
            same = False
        if not same:
            raise ViddaError(self._replaced())

    def _replaced(self) -> str:
        return (
            f"{self.path} was deleted or replaced while this run used it; delete what is left of it"
            " and start again"
        )

    def close(self) -> None:
        """Close the files and release the folder; an unfinished run can be resumed."""
        self._metrics = None
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            log.error("stopped by %s: %s", type(error).__name__, error)
        self.close()
        if isinstance(error, FileNotFoundError) and not (self.path / "config.yaml").exists():
            raise ViddaError(self._replaced()) from error


def _check(path: Path, config: Config, fingerprints: Mapping[str, str], resume: bool) -> bool:
    """Return whether `path` holds a run to resume; raises ViddaError for any other content."""
    if path.exists() and not path.is_dir():
        raise ViddaError(f"{path} is a file, not a folder; choose another path")
    # Names with a dot are the lock and what a killed start may have left.
    if not path.exists() or all(p.name.startswith(".") for p in path.iterdir()):
        return False
    if not (path / "config.yaml").exists():
        raise ViddaError(f"{path} is not empty and holds no run; choose another folder")
    if not resume:
        state = "a finished" if (path / "DONE").exists() else "an unfinished"
        way = "" if (path / "DONE").exists() else " or continue it with --resume"
        raise ViddaError(f"{path} holds {state} run; choose another folder{way}")
    written = configs.read(path / "config.yaml")
    if not (path / "config.yaml").read_text(encoding="utf-8").strip():
        raise ViddaError(f"{path / 'config.yaml'}: empty; put it back, or choose another folder")
    free = configs.changeable_keys(config)
    before, now = (
        {key: value for key, value in _flat(tree).items() if key not in free}
        for tree in (written, _resolved(config))
    )
    changes = _changes(before, now)
    if (record := _provenance(path)) is not None:
        changed = _changes(record["fingerprints"], fingerprints)
        changes += [f"manifest {line}" for line in changed]
    if changes:
        listed = "\n".join(f"{path}: {change}" for change in changes)
        raise ViddaError(
            f"{listed}\n{path}: changed since the run started, see its config.yaml; use another"
            " folder"
        )
    return True


def _provenance(path: Path) -> dict[str, Any] | None:
    """Return a run's provenance.json, None before it is written; raises ViddaError when damaged."""
    file = path / "provenance.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        kinds = {"id": str, "fingerprints": dict, "sessions": list}
        if not all(isinstance(record[key], kind) for key, kind in kinds.items()):
            raise TypeError
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise ViddaError(
            f"{file}: damaged; it records which manifests the run began with: restore it, or delete"
            " it if they are the same, and --resume writes it again"
        ) from None
    return dict(record)


def _resolved(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} was {before.get(key, 'absent')!r}, now is {now.get(key, 'absent')!r}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key, "absent") != now.get(key, "absent")
    ]


def _record_session(
    path: Path, config: Config, fingerprints: Mapping[str, str], wandb: WandbMode
) -> None:
    """Write config.yaml once, and provenance.json with this session added to its list."""
    if not (path / "config.yaml").exists():
        write_text(path / "config.yaml", configs.dump(config))
    record = _provenance(path) or {
        "id": secrets.token_hex(4),
        "fingerprints": dict(fingerprints),
        "sessions": [],
    }
    record["sessions"].append(provenance.describe_session() | {"wandb": wandb})
    write_text(path / "provenance.json", json.dumps(record, indent=2) + "\n")


def _cut_metrics(file: Path, step: int | None) -> None:
    """Remove the lines recorded after the checkpoint of `step`, and a half-written last line."""
    if not file.exists():
        return
    good = 0
    for number, line in enumerate(file.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break
        try:
            late = step is None or json.loads(line)["step"] > step
        except (ValueError, KeyError, TypeError):
            raise ViddaError(
                f"{file}:{number}: not a line of metrics; delete it and resume"
            ) from None
        if late:
            break
        good += len(line)
    os.truncate(file, good)
    fsync(file)


@contextmanager
def _board(path: Path, last_step: int | None) -> Iterator[Any]:
    """Yield a TensorBoard writer in the folder that replaces points after the last checkpoint."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ViddaError("tensorboard is not installed: pip install 'vidda[tensorboard]'") from None
    purge = None if last_step is None else last_step + 1
    with SummaryWriter(str(path / "tensorboard"), purge_step=purge) as writer:
        yield writer


def _import_wandb(mode: Literal["offline", "online"]) -> Any:
    """Return the module wandb; raise ViddaError when it is not installed or does not work."""
    if mode == "offline":
        os.environ["WANDB_ERROR_REPORTING"] = (
            "false"  # else it reports its crashes over the network
        )
    try:
        import wandb
    # Of a damaged installation anything may come, such as a TypeError of another protobuf.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ViddaError(
            f"wandb={mode}: wandb cannot be imported ({reason:.200}); continue without it by"
            " wandb=off, or pip install -c constraints.txt wandb"
        ) from None
    return wandb


@contextmanager
def _wandb_run(path: Path, config: Config, mode: Literal["offline", "online"]) -> Iterator[Any]:
    """Yield a wandb run that mirrors the folder; a resume continues its curves by the same id."""
    wandb = _import_wandb(mode)
    record = _provenance(path)
    assert record is not None, "_record_session has just written it"
    try:
        mirror = wandb.init(
            project="vidda",
            name=path.name,
            id=record["id"],
            dir=path,
            mode=mode,
            resume="allow",
            config=_resolved(config),
            settings=wandb.Settings(silent=True),
        )
    except wandb.Error as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ViddaError(
            f"wandb: {reason}; wandb=offline keeps the metrics in the run folder, for wandb sync to"
            " upload later"
        ) from None
    try:
        yield mirror
    finally:
        mirror.finish()
