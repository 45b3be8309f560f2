"""Compiled networks: the same latents, one graph for all chunks alike, and only where it pays."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from tests.tiny_diffusion import write_tiny
from tests.translate.tiny_translator import clip_job, config, precise, tiny_models
from vidda.translate.stable_diffusion import compiled_blocks, cost
from vidda.translate.stable_diffusion.attention_context import (
    AttendAnchors,
    AttendFirst,
    AttendFirstPrevious,
    AttendOwn,
    ContextConfig,
)
from vidda.translate.stable_diffusion.chunks import Chunk, plan_chunks
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig
from vidda.translate.stable_diffusion.stable_diffusion import (
    StableDiffusion,
    StableDiffusionConfig,
)
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.weights import Folder

CONTEXTS = [AttendOwn(), AttendFirst(), AttendFirstPrevious(), AttendAnchors(count=3)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return precise(tiny_models(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def dynamo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are traced and run as they are: the compiler of kernels takes long."""
    monkeypatch.setattr(compiled_blocks, "BACKEND", "eager")
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = limit


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
@pytest.mark.parametrize("lengths", [(1,), (8,), (16,), (41,), (3, 1, 18), (4, 4, 4)], ids=str)
@pytest.mark.parametrize("size", [4, 16])
def test_chunks_alike_give_every_frame_what_it_attends_to(
    context: ContextConfig, lengths: tuple[int, ...], size: int
) -> None:
    wanted = {}
    for clip, length in enumerate(lengths):
        start = sum(lengths[:clip])
        for frame in range(length):
            wanted[start + frame] = [start + f for f in context.attended(frame, length)]
    seen = {}
    kept: list[int] = []
    chunks = plan_chunks(lengths, context, size, alike=True)
    for chunk in chunks:
        assert chunk.numbers == tuple(chunk.frames.tolist())
        assert set(chunk.numbers[chunk.count :]) <= {chunk.numbers[chunk.count - 1]}
        rows = kept + [chunk.numbers[place] for place in chunk.source]
        for number, attended in zip(
            chunk.numbers[: chunk.count], chunk.context[: chunk.count], strict=True
        ):
            assert number not in seen
            seen[number] = [rows[row] for row in attended]
        kept = [rows[row] for row in chunk.keep]
    assert seen == wanted
    if len(lengths) > 1:
        return
    # Those of frames that attend to equally many have one shape, but for the first.
    assert len({shapes(chunk) for chunk in chunks[1:]}) <= (2 if context.anchors(9) else 1)
    assert len({len(chunk.numbers) for chunk in chunks}) <= (2 if context.anchors(9) else 1)


def shapes(chunk: Chunk) -> tuple[Any, ...]:
    """The shapes that a graph is compiled for."""
    return tuple(t.shape for t in (chunk.frames, chunk.source, chunk.context, chunk.keep))


def test_chunks_are_not_filled_more_than_to_twice_their_frames() -> None:
    for length in range(1, 17):
        (chunk,) = plan_chunks((length,), AttendFirstPrevious(), 16, alike=True)
        assert length <= len(chunk.numbers) < 2 * length
        assert len(chunk.numbers) in (1, 2, 4, 8, 16)


@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_compiled_is_the_same_and_compiles_nothing_more_after_a_clip(
    models: Models, context: ContextConfig
) -> None:
    scheduler = SchedulerConfig(name="ddim")
    choices = config(context=context, chunk=4, guidance_stop=0.5, scheduler=scheduler)
    clips = [clip_job(7), clip_job(9, seed=1), clip_job(6, seed=2)]
    plain = [ended(models, choices, [clip]) for clip in clips]
    compiled = choices.model_copy(update={"compile": True})
    translator = StableDiffusionTranslator(models, compiled)
    graphs = []
    for clip, wanted in zip(clips, plain, strict=True):
        *_, found = translator.denoise([clip])
        assert (found - wanted).abs().max() < 1e-5
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] > 0 and graphs == graphs[:1] * 3
    assert not counters["graph_break"], counters["graph_break"]
    # A later translator with the same models does not run what was compiled.
    assert torch.equal(ended(models, choices, clips[:1]), plain[0])
    assert counters["stats"]["unique_graphs"] == graphs[0]


@pytest.mark.usefixtures("dynamo")
def test_networks_that_cannot_be_compiled_run_as_they_are(
    models: Models, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def fail_third(graph: Any, _: Any) -> Any:
        tried.append(len(tried))
        if len(tried) == 3:
            raise RuntimeError("Failed to find C compiler.\nSpecify one")
        return graph

    monkeypatch.setattr(compiled_blocks, "BACKEND", fail_third)
    choices = config(chunk=4, scheduler=SchedulerConfig(name="ddim"))
    clips = [clip_job(7), clip_job(3, seed=1)]
    plain = [ended(models, choices, [clip]) for clip in clips]
    translator = StableDiffusionTranslator(models, choices.model_copy(update={"compile": True}))
    for clip, wanted in zip(clips, plain, strict=True):
        *_, found = translator.denoise([clip])
        assert torch.equal(found, wanted)
    assert len(tried) == 3
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("the networks cannot be compiled and run as they are: ")
    assert "RuntimeError: Failed to find C compiler. Specify one" in line


def ended(models: Models, choices: SamplingConfig, clips: list[Any]) -> torch.Tensor:
    *_, latents = StableDiffusionTranslator(models, choices).denoise(clips)
    return latents.clone()


CLIP = 16 * 512 * 512


@pytest.mark.parametrize(
    ("chosen", "device", "clips", "compiled", "line"),
    [
        (None, "cuda", 1000, True, "the networks are compiled, which saves about 1333 s"),
        (None, "cuda", 10, False, "the networks are not compiled, which would take 69 s longer"),
        (None, "cuda", 0, False, "the networks are not compiled: what that saves is not known"),
        (None, "cpu", 1000, False, ""),
        (True, "cpu", 0, True, ""),
        (False, "cuda", 1000, False, ""),
    ],
)
def test_the_networks_are_compiled_where_it_pays(
    chosen: bool | None,
    device: str,
    clips: int,
    compiled: bool,
    line: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sampling = SamplingConfig(compile=chosen)
    backbone = StableDiffusion(StableDiffusionConfig(sampling=sampling), cost.SD15_FILES)
    with caplog.at_level(logging.INFO, logger="vidda"):
        assert backbone._compiles(torch.device(device), clips * CLIP) == compiled
    assert "".join(record.message for record in caplog.records) == line


@pytest.mark.parametrize("compiled", [False, True])
def test_compiled_networks_are_channels_last(tmp_path: Path, compiled: bool) -> None:
    base = write_tiny(tmp_path / "base")
    backbone = StableDiffusionConfig(
        weights=WeightsConfig(base=Folder(path=base), controlnets=()),
        sampling=SamplingConfig(compile=compiled),
    ).find()
    unet = backbone.load(torch.device("cpu"), 0)._models.unet
    weight = unet.mid_block.resnets[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == compiled
    assert (unet.mid_block.resnets[0]._compiled_call_impl is not None) == compiled


SCRIPT = """
import json
import torch
from torch._dynamo.utils import counters
from tests.tiny_diffusion import _unet
from vidda.translate.stable_diffusion.attention_context import AttendFirstPrevious
from vidda.translate.stable_diffusion.chunks import plan_chunks
from vidda.translate.stable_diffusion.compiled_blocks import set_compiled
from vidda.translate.stable_diffusion.cross_frame import CrossFrameAttention
from vidda.translate.stable_diffusion.text_attention import TextAttention
torch.manual_seed(0)
unet = _unet(32)
attention, text_attention = CrossFrameAttention(unet), TextAttention([unet])
hidden, time, text = torch.randn(3, 32, 4, 4), torch.randn(3, 64), torch.randn(1, 7, 32)
found = []
for compiled in (False, True):
    set_compiled([unet], compiled)
    with torch.inference_mode():
        text_attention.set_text(text)
        attention.begin_step()
        attention.set_chunk(plan_chunks((3,), AttendFirstPrevious(), 4)[0], 1)
        found.append(unet.mid_block(hidden, time, encoder_hidden_states=text))
counted = {name: counters["inductor"][f"fxgraph_cache_{name}"] for name in ("hit", "miss")}
print(json.dumps({"difference": float((found[0] - found[1]).abs().max()), **counted}))
"""


NO_COMPILER = """
import logging
import sys
from pathlib import Path
from tests.translate.tiny_translator import clip_job, config, last, tiny_models
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig
logging.basicConfig()
choices = config(compile=True, steps=1, scheduler=SchedulerConfig(name="ddim"))
print(last(tiny_models(Path(sys.argv[1])), choices, [clip_job(2)]).isfinite().all())
"""


def run_script(
    script: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, which can import the tests."""
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), str(root / "tests")])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.mark.deep
def test_kernels_give_the_same_and_a_second_process_finds_them(tmp_path: Path) -> None:
    kernels = str(tmp_path / "kernels")
    done = [run_script(SCRIPT, TORCHINDUCTOR_CACHE_DIR=kernels) for _ in range(2)]
    found = [json.loads(one.stdout.splitlines()[-1]) for one in done]
    assert all(0 < one["difference"] < 1e-4 for one in found)
    assert found[0]["miss"] > 0 and found[1]["miss"] == 0
    assert found[1]["hit"] == found[0]["miss"] + found[0]["hit"]


@pytest.mark.deep
def test_without_a_compiler_the_networks_run_as_they_are(tmp_path: Path) -> None:
    kernels = str(tmp_path / "kernels")
    done = run_script(
        NO_COMPILER, str(tmp_path), TORCHINDUCTOR_CACHE_DIR=kernels, CXX=str(tmp_path / "none")
    )
    assert done.stdout.endswith("tensor(True)\n")
    assert done.stderr.count("the networks cannot be compiled and run as they are") == 1, (
        done.stderr
    )
