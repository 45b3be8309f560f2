"""`vidda evaluate`: measure a model or its predictions, compare two, or make a transfer table.

OUT/predictions.npz    the model's logits of each clip, with labels, view, altitude and subject;
                       without the key out, OUT of a single model is RUN/evaluations/NAME
OUT/metrics.json       everything that is measured from it; or comparison.json, epochs.json
OUT/transfer.{csv,md,json} and OUT/predictions/<row>/<task>_<n>.npz for a transfer table
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from vidda.console import console
from vidda.data import load_manifest
from vidda.data.saved_predictions import SavedPredictions, load_predictions, save_predictions
from vidda.evaluate import console_tables
from vidda.evaluate.epochs import read_epochs
from vidda.evaluate.intervals import mcnemar
from vidda.evaluate.labeled_predictions import align_clips, join_labels, labels_of
from vidda.evaluate.metrics import is_correct
from vidda.evaluate.predict_clips import check_model, predict_clips
from vidda.evaluate.summary import Intervals, clusters_of, summarize
from vidda.evaluate.transfer import Transfer, with_tasks
from vidda.evaluate.transfer_job import run_transfer
from vidda.files import sha256, write_text
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import WEIGHTS
from vidda.run import RunFolder
from vidda.types import Manifest

INFERENCE_KEYS = frozenset(InferenceConfig.model_fields)
"""Keys that have an effect only where a model is run."""

JOBS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "model": (frozenset({"manifest"}), INFERENCE_KEYS | {"out"}),
    "predictions": (frozenset(), frozenset({"manifest", "out"})),
    "compare": (frozenset(), frozenset({"manifest", "out"})),
    "epochs": (frozenset({"manifest"}), frozenset({"out"})),
    "transfer": (frozenset({"out"}), INFERENCE_KEYS),
}
"""Required and optional keys of each job."""


class EvaluateConfig(InferenceConfig):
    """Config of `vidda evaluate`: exactly one of model, predictions, compare, epochs, transfer."""

    model: Path | None = Field(
        default=None, description="a run of vidda train, or a checkpoint: predict and measure"
    )
    predictions: Path | None = Field(
        default=None, description="a file of predictions: measure it without running a model"
    )
    compare: tuple[Path, Path] | None = Field(
        default=None, description="two files of predictions of the same clips: compare the models"
    )
    epochs: Path | None = Field(
        default=None,
        description="a run of vidda train or adapt: compare its selected, last and oracle epochs",
    )
    transfer: Transfer | None = Field(
        default=None, description="test runs on the test clips of every task, in one table"
    )
    manifest: Path | None = Field(default=None, description="labeled clips to test on")
    out: Path | None = Field(
        default=None,
        description="folder to write; null: with model RUN/evaluations/NAME, named after the"
        " manifest, otherwise nothing is written",
    )
    intervals: Intervals = Field(
        default=Intervals(), description="confidence intervals of the results"
    )

    @model_validator(mode="after")
    def _one_job(self) -> Self:
        present = {name for name in type(self).model_fields if getattr(self, name) is not None}
        jobs = [name for name in JOBS if name in present]
        if len(jobs) != 1:
            found = " and ".join(jobs) or "none"
            raise ValueError(f"give one of {', '.join(JOBS)}; given: {found}")
        required, optional = JOBS[jobs[0]]
        if lacking := sorted(required - present):
            raise ValueError(f"{jobs[0]} needs {' and '.join(lacking)} too")
        unused = sorted(
            present & self.model_fields_set - required - optional - {*jobs, "intervals"}
        )
        if unused:
            raise ValueError(f"{', '.join(unused)} without effect with {jobs[0]}; leave it out")
        return self


def run(config: EvaluateConfig, *, dry_run: bool, resume: bool) -> int:
    """Do the job that the config names, print its table and write OUT; return exit status 0.

    dry_run: check everything and write nothing. resume: continue what OUT holds already. Raises
    ViddaError where inputs do not fit together.
    """
    if config.transfer is not None:
        assert config.out is not None
        transfer = with_tasks(config.transfer)
        inference = config.model_copy(update={"transfer": transfer})
        run_transfer(transfer, config.out, inference, config.intervals, dry_run, resume)
        return 0
    manifest = None if config.manifest is None else load_manifest(config.manifest)
    if config.model is not None:
        assert manifest is not None
        _test(config, config.model, manifest, dry_run, resume)
    elif config.predictions is not None:
        saved = _labeled(config, config.predictions, manifest)
        content = _measured(config, saved)
        _keep(config, [config.predictions], {"metrics.json": content}, dry_run, resume)
    elif config.compare is not None:
        first, second = (_labeled(config, path, manifest) for path in config.compare)
        content = _compared(config, first, align_clips(second, first))
        _keep(config, config.compare, {"comparison.json": content}, dry_run, resume)
    elif config.epochs is not None:
        assert manifest is not None
        found = read_epochs(config.epochs, manifest, str(config.manifest))
        console_tables.print_epochs(console(sys.stdout), found)
        _keep(config, [], {"epochs.json": asdict(found)}, dry_run, resume)
    return 0


def _test(
    config: EvaluateConfig, model: Path, manifest: Manifest, dry_run: bool, resume: bool
) -> None:
    """Predict the clips of the manifest, save the predictions and measure them."""
    assert config.manifest is not None
    name = str(config.manifest)
    weights = check_model(model, manifest, name, config) / WEIGHTS
    device = config.torch_device()
    out = config.out or default_out(model, config.manifest)
    config = config.model_copy(update={"out": out})
    if dry_run:
        print(f"dry run: would test {weights.parent} on {len(manifest)} clips, on {device}")
        print(f"dry run: into {out}")
        return
    fingerprints = {"test": manifest.fingerprint(), "weights": sha256(weights)}
    file = out / "predictions.npz"
    with RunFolder.open(out, config, fingerprints, resume=resume) as folder:
        if not file.exists():
            found = predict_clips(model, manifest, name, config, device)
            save_predictions(file, found.predictions, found.classes, found.columns)
        content = _measured(config, load_predictions(file))
        if not folder.finished:
            _write(out / "metrics.json", content)
            folder.finish()
    print(f"written: {file} and metrics.json")


def default_out(model: Path, manifest: Path) -> Path:
    """Return the folder RUN/evaluations/NAME, which a model's test is written to by default.

    model: a run, or one of its checkpoints. manifest: path of the test clips. NAME joins the parts
    of the manifest's path below `splits` (gs2gr_source_only_test), or its folder and file without
    one, and the checkpoint's name if model is a checkpoint.
    """
    parts = manifest.absolute().with_suffix("").parts
    names = [part.replace(" ", "_") for part in parts]
    below = names[len(names) - names[::-1].index("splits") :] if "splits" in names else names[-2:]
    if model.parent.name == "checkpoints":
        model, below = model.parent.parent, [*below, model.name]
    return model / "evaluations" / "_".join(below)


def _labeled(config: EvaluateConfig, path: Path, manifest: Manifest | None) -> SavedPredictions:
    """Load predictions with the manifest's labels, or their own; ViddaError without any."""
    saved = load_predictions(path)
    if manifest is not None:
        return join_labels(saved, manifest, str(config.manifest))
    labels_of(saved)
    return saved


def _measured(config: EvaluateConfig, saved: SavedPredictions) -> dict[str, Any]:
    summary = summarize(saved, config.intervals)
    console_tables.print_summary(console(sys.stdout), summary, config.intervals.confidence)
    return asdict(summary) | {"intervals": config.intervals.model_dump()}


def _compared(
    config: EvaluateConfig, first: SavedPredictions, second: SavedPredictions
) -> dict[str, Any]:
    both = [is_correct(saved.predictions.logits, labels_of(saved)) for saved in (first, second)]
    accuracies = [float(hits.mean()) for hits in both]
    gain = both[1].astype(np.float64) - both[0]
    difference = config.intervals.bootstrap(gain, clusters_of(first))
    test = mcnemar(*both)
    names = (first.source, second.source)
    console_tables.print_comparison(console(sys.stdout), names, accuracies, test, difference)
    return {
        "files": names,
        "clips": len(gain),
        "accuracies": accuracies,
        "difference": None if difference is None else asdict(difference),
        "mcnemar": asdict(test),
        "intervals": config.intervals.model_dump(),
    }


def _keep(
    config: EvaluateConfig,
    sources: list[Path] | tuple[Path, ...],
    contents: Mapping[str, Mapping[str, Any]],
    dry_run: bool,
    resume: bool,
) -> None:
    """Write the results into OUT, if the config has one."""
    if config.out is None or dry_run:
        return
    fingerprints = {str(path): sha256(path) for path in sources}
    with RunFolder.open(config.out, config, fingerprints, resume=resume) as folder:
        if not folder.finished:
            for name, content in contents.items():
                _write(config.out / name, content)
            folder.finish()


def _write(file: Path, content: Mapping[str, Any]) -> None:
    write_text(file, json.dumps(content, indent=1) + "\n")
