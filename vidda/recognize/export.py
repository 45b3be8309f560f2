"""`vidda export MODEL onnx`: a model for machines without PyTorch, compared before it is saved.

The file's input is `video`, (batch, 3, T, H, W) float32, normalized, or of a recognizer of poses
`poses`, (batch, T, 17, 3); its output is `logits`, (batch, K). Its metadata describe how to prepare
the input: see `metadata`.
"""

import importlib.util
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

import vidda
from vidda.config import Config
from vidda.data.choose_clips import find_clips
from vidda.errors import ViddaError
from vidda.files import atomic, sha256
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import WEIGHTS, ModelCard, load_card, load_model

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_DIFFERENCE = 1e-4
TRACED, COMPARED = 2, (1, 3)
"""Batch sizes: the one that the graph is traced with, and others that it must accept too."""
REPEATS = 10


class ExportConfig(Config):
    """The config of `vidda export`: the model and the file."""

    model: Path = Field(description="a run of vidda train, or one of its checkpoints")
    format: Literal["onnx"] = Field(description="format of the file")
    out: Path | None = Field(default=None, description="file to write; null: MODEL/model.onnx")
    clip: Path | None = Field(
        default=None,
        description="video on which outputs are compared; null: a rendered clip of MiniRoCoG",
    )


class Logits(nn.Module):
    """A recognizer that returns its logits alone."""

    def __init__(self, model: Recognizer) -> None:
        super().__init__()
        self.model = model

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Return logits (B, K) of a batch of inputs, such as clips (B, C, T, H, W)."""
        logits: torch.Tensor = self.model(video).logits
        return logits


def run(config: ExportConfig, *, dry_run: bool, resume: bool) -> int:
    """Export a model to ONNX, compare the file with it, print the speed; return exit status 0.

    dry_run: check everything and write nothing. resume: without effect. Raises ViddaError when a
    package is missing, the file exists, or its outputs differ; then no file is saved.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ViddaError(
            f"export needs {', '.join(missing)}: pip install -c constraints.txt 'vidda[export]'"
        )
    folder, card = load_card(config.model)
    out = config.model / "model.onnx" if config.out is None else config.out
    if out.exists():
        raise ViddaError(f"{out} exists already; delete it or choose another out=FILE")
    real = real_views(card, config.clip)
    if dry_run:
        print(f"dry run: would export {folder} to {out}")
        return 0
    model = Logits(load_model(config.model)[0]).eval()
    shape = tuple(real.shape[1:])
    with atomic(out) as temporary:
        facts = metadata(card, shape, sha256(folder / WEIGHTS))
        export(model, shape, facts, temporary, card.model.clip_input().name)
        session = _session(temporary)
        difference = compare(model, session, real)
        speed = _speed_line(model, session, real[:1])
    print(f"written: {out}, {out.stat().st_size / 2**20:.1f} MiB, batches of any size")
    print(f"largest difference from PyTorch: {difference:.1e}, on random clips and a video")
    print(speed)
    return 0


def export(
    model: nn.Module,
    shape: tuple[int, ...],
    properties: dict[str, str],
    file: Path,
    name: str = "video",
) -> None:
    """Write a model as ONNX; raises ViddaError when one of its operations has no ONNX form.

    shape: of one clip's input, such as (C, T, H, W). properties: the file's metadata. file: path to
    write. name: of the input.
    """
    clips = torch.zeros(TRACED, *shape)
    try:
        with _quiet_exporter(), torch.no_grad():
            program = torch.onnx.export(
                model,
                (clips,),
                dynamo=True,
                input_names=[name],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        assert program is not None
        program.model.metadata_props.update(properties)
        program.save(file, external_data=False)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ViddaError(f"this model cannot be exported to ONNX: {reason}") from None


def compare(model: nn.Module, session: "InferenceSession", real: torch.Tensor) -> float:
    """Return the largest difference of a logit from PyTorch's, on random and real clips.

    real: inputs of V views, such as (V, C, T, H, W). Raises ViddaError when it is above 1e-4, or
    the file does not accept batches of other sizes.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, *real.shape[1:], generator=generator) for n in COMPARED]
    differences = []
    for clips in [*inputs, *real.split(1)]:
        with torch.inference_mode():
            expected = model(clips).numpy()
        differences.append(np.abs(_run_onnx(session, clips) - expected).max())
    largest = float(np.max(differences))  # nan, if one of them is
    if not largest <= LARGEST_DIFFERENCE:
        raise ViddaError(
            f"the exported model's logits differ from PyTorch's by {largest:.1e}, more than"
            f" {LARGEST_DIFFERENCE:.0e}; no file is saved"
        )
    return largest


def metadata(card: ModelCard, shape: tuple[int, ...], weights: str) -> dict[str, str]:
    """Return the facts that a program needs to prepare the model's input, as JSON by name.

    shape: of one clip's input. weights: SHA-256 of the checkpoint's weights.
    """
    facts: dict[str, Any] = {
        "classes": card.classes,
        "input": ["batch", *shape],
        **card.model.clip_input().facts(card.transform),
        "sampling": card.sampling.model_dump(mode="json"),
        "model": card.model.name,
        "weights_sha256": weights,
        "vidda": vidda.__version__,
    }
    return {f"vidda.{name}": json.dumps(value) for name, value in facts.items()}


def real_views(card: ModelCard, clip: Path | None) -> torch.Tensor:
    """Return the views of one clip as the model takes them, such as (V, C, T, H, W).

    clip: a video, or None for a rendered clip of MiniRoCoG.
    """
    clip_input, sampling, transform = card.model.clip_input(), card.sampling, card.transform
    if clip is None:
        return clip_input.example(sampling, transform)
    views = clip_input.dataset(find_clips(clip), sampling, transform)[0].video
    return views if views.ndim > len(clip_input.shape(sampling, transform)) else views[None]


def _session(file: Path) -> "InferenceSession":
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _run_onnx(session: "InferenceSession", clips: torch.Tensor) -> np.ndarray:
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

    try:
        return np.asarray(session.run(["logits"], {session.get_inputs()[0].name: clips.numpy()})[0])
    except InvalidArgument as error:
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"the exported model does not accept a batch of {len(clips)} ({reason});"
            " no file is saved"
        ) from None


def _speed_line(model: nn.Module, session: "InferenceSession", clip: torch.Tensor) -> str:
    """Return a line with the median time of one clip on this CPU, in ONNX Runtime and PyTorch."""
    with torch.inference_mode():
        ours = _median_ms(lambda: model(clip))
    theirs = _median_ms(lambda: _run_onnx(session, clip))
    threads = torch.get_num_threads()
    return (
        f"one clip on this CPU, {threads} threads, median of {REPEATS}:"
        f" ONNX Runtime {theirs:.1f} ms, PyTorch {ours:.1f} ms"
    )


def _median_ms(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Suppress the exporter's own log and warnings: the comparison reports whether it worked."""
    theirs = logging.getLogger("torch.onnx")
    level = theirs.level
    theirs.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        theirs.setLevel(level)
