"""One clip of each domain in a part of a batch, as `on_error: skip` may leave it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from tests.adapt.tiny_adapt import METHODS, adapt, adapt_config, method, write_clips
from tests.tiny import BICONVLSTM
from vidda.adapt.joint import MethodSettings
from vidda.adapt.losses.contrastive import supervised_contrast
from vidda.adapt.losses.correlation import coral
from vidda.adapt.methods import AnyMethodConfig
from vidda.adapt.online import Online
from vidda.errors import ViddaError
from vidda.recognize.feed import BatchPair
from vidda.recognize.infer import Outputs
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.recognizers import ModelConfig

CLASSES = 3


def built(name: str, folder: Path) -> tuple[Any, Recognizer, Method]:
    """A method's config, a tiny model and the method, at the start of a run."""
    torch.manual_seed(0)
    config: Any = TypeAdapter(AnyMethodConfig).validate_python(method(name))
    recognizer: Any = TypeAdapter(ModelConfig).validate_python(BICONVLSTM)
    model = recognizer.build(CLASSES).train()
    supervised = Supervised(CLASSES, smoothing=0.1, mixup=0.0, cutmix=0.0)
    settings = MethodSettings(
        size=32, target_clips=4, parents=np.array([-1, 0]), mixed=False, compiled=False
    )
    made = config.build(model, supervised, settings)

    def infer() -> Outputs:
        out = model(torch.rand(4, 3, 8, 32, 32))
        ids = ("a", "b", "c", "d")
        return Outputs(ids, torch.arange(4), out.logits.detach(), out.features.detach())

    def target_logits(number: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(number), CLASSES)

    if isinstance(made, Online):
        made.begin(model, folder, infer, target_logits)
    made.before_epoch(0, infer)
    return config, model, made


@pytest.mark.parametrize("name", METHODS)
def test_every_loss_and_gradient_is_finite(name: str, tmp_path: Path) -> None:
    config, model, made = built(name, tmp_path)
    clips = 0 if config.source_free else 1
    source = SourceBatch(
        torch.rand(clips, 3, 8, 32, 32),
        torch.zeros(clips, dtype=torch.int64),
        torch.ones(clips, dtype=torch.int64),
    )
    views = config.target_views
    target = TargetBatch(torch.rand(views, 3, 8, 32, 32), torch.zeros(views, dtype=torch.int64))
    terms = made.step(model, source, target)
    assert all(bool(torch.isfinite(value)) for value in [*terms.losses.values()]), terms
    assert all(bool(torch.isfinite(value)) for value in [*terms.metrics.values()]), terms
    torch.stack(list(terms.losses.values())).sum().backward()
    for module in (model, made):
        for key, weight in module.named_parameters():
            assert weight.grad is None or bool(torch.isfinite(weight.grad).all()), key


def test_no_part_of_an_incomplete_batch_is_without_a_domain() -> None:
    def clips(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.rand(count, 3, 2, 4, 4), torch.arange(count)

    for here, there in ((8, 2), (2, 8), (1, 3), (0, 5)):
        video, number = clips(here)
        pair = BatchPair(SourceBatch(video, number, number), TargetBatch(*clips(there)))
        parts = pair.split(4, torch.device("cpu"))
        assert [len(p.source.inputs) > 0 for p in parts] == [here > 0] * len(parts)
        assert all(len(part.target.inputs) for part in parts)
        assert sum(part.clips for part in parts) == pair.clips


def test_a_lone_clip_has_no_covariance_and_no_partner() -> None:
    many, one = torch.randn(4, 5), torch.randn(1, 5, requires_grad=True)
    assert coral(many, one) == coral(one, many) == coral(one, one, means=True) == 0
    loss = supervised_contrast(one, torch.zeros(1))
    loss.backward()
    assert loss == 0 and one.grad is not None and bool((one.grad == 0).all())


@pytest.mark.parametrize(
    ("key", "sizes"),
    [
        ("batch_size", {"batch_size": 1}),
        ("target_batch_size", {"target_batch_size": 1}),
        ("batch_size", {"batch_size": 4, "accumulate": 4, "target_batch_size": 8}),
    ],
)
def test_coral_that_would_never_act_is_refused(
    tmp_path: Path, key: str, sizes: dict[str, int]
) -> None:
    data = write_clips(tmp_path / "data")
    with pytest.raises(
        ViddaError, match=rf"^{key}: .*parts of 1 clip, but coral needs at least 2"
    ) as error:
        adapt(adapt_config(data, tmp_path / "run", "coral", **sizes), dry_run=True)
    assert "\n" not in str(error.value)
