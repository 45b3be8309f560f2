"""`vidda init DIR source=... target=...`: look at one's own data and write a job of them.

DIR/run.yaml    a commented config of vidda run, which runs on this machine
"""

import json
import shlex
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import Field

from vidda.config import Config
from vidda.data.pair import DomainPair
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.experiment.own_data import OwnData, find_own_data
from vidda.files import write_text

RUN_FILE = "run.yaml"
ON_CPUS = (
    "for CPUs: a small recognizer, few steps, and the built-in diffusion model, which knows"
    " computer-drawn people alone; it shows that the job works, device=cuda writes one for a GPU"
)
TEMPLATE = Path(__file__).parent / "template"


class InitConfig(Config):
    """The config of `vidda init`."""

    out: Path = Field(description="folder to write run.yaml into; the job writes below it too")
    source: Path = Field(description="labeled clips to train on, often rendered: a folder or list")
    target: Path | None = Field(
        default=None,
        description="clips to adapt to, with labels or without; null: the source is a RoCoG-v2",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="machine to write for; auto: a GPU if this one has one"
    )


def run(config: InitConfig, *, dry_run: bool, resume: bool) -> int:
    """Look at the data, write run.yaml, print what was found and the next commands; return 0.

    dry_run: print what was found and write nothing. resume: without effect, since an existing
    run.yaml is never changed. Raises ViddaError for it, and for what is wrong with the data.
    """
    file = config.out / RUN_FILE
    if file.exists():
        raise ViddaError(f"{file}: is there already; edit it, delete it, or choose another folder")
    data = find_own_data(config.source, config.target, config.out / "results" / "prepared")
    for line in data.found:
        print(line)
    for line in data.notes:
        print(f"note: {line}")
    gpu = config.device != "cpu" and torch_device("auto", "device").type == "cuda"
    gpu = gpu or config.device == "cuda"
    machine = "a GPU" if gpu else "CPUs"
    if not gpu:
        print(f"note: {ON_CPUS}")
    if dry_run:
        print(f"dry run: would write {file}, for {machine}")
        return 0
    write_text(file, job_text(config, data, gpu=gpu))
    command = f"vidda run {shlex.quote(str(file))}"
    print(f"wrote {file}, for {machine}; next:")
    print(f"  {command} --dry-run")
    print(f"  {command}")
    return 0


def job_text(config: InitConfig, data: OwnData, *, gpu: bool) -> str:
    """Return the text of run.yaml for some data. gpu: whether it is for a GPU."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda value: json.dumps(str(value), ensure_ascii=False)
    dataset = data.prepare.dataset
    pair = dataset if isinstance(dataset, DomainPair) else None
    clips, batch = data.count("train"), batch_size(data, 64 if gpu else 16, least=8 if gpu else 1)
    return environment.get_template("run.yaml.jinja").render(
        command=shlex.join(_command(config)),
        file=shlex.quote(str(config.out / RUN_FILE)),
        out=config.out,
        found=[*data.found, *data.notes],
        dataset=dataset,
        pair=pair,
        root=data.prepare.root,
        tasks=data.tasks,
        recipe="gpu.yaml.jinja" if gpu else "cpu.yaml.jinja",
        synthetic=any(one.synthetic for one in data.known.experiments.values()),
        labeled=pair is None or pair.target.labeled,
        batch=batch,
        lr=f"{6.25e-5 * batch / 64:.3g}",
        # GPU: 30 epochs of clips that are twice in a batch. CPU: 40, within minutes.
        steps=_within(500, 60 * clips // batch, 20_000)
        if gpu
        else _within(100, 40 * clips // batch, 300),
    )


def batch_size(data: OwnData, most: int, *, least: int) -> int:
    """Return the largest power of two up to `most` that is no more than the clips to train on.

    data: source and target, since an adaptation takes as many clips of each. least: the smallest
    batch that the recipe can be computed in.
    """
    clips = [data.count(part) for part in ("train", "target") if data.count(part)]
    size = most
    while size > least and size > min(clips):
        size //= 2
    return size


def _within(least: int, steps: int, most: int) -> int:
    return min(most, max(least, steps))


def _command(config: InitConfig) -> list[str]:
    """Return the command line that made the job."""
    given = {"source": config.source, "target": config.target, "device": config.device}
    words = [f"{key}={value}" for key, value in given.items() if value not in (None, "auto")]
    return ["vidda", "init", str(config.out), *words]
