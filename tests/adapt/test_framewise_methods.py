"""Features of each time step, and the methods that need them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.adapt.tiny_adapt import adapt, adapt_config, write_clips
from tests.tiny import BICONVLSTM, VIDEOMAE
from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.sequential_vae import SequentialVae
from vidda.adapt.ta3n import Ta3nConfig
from vidda.adapt.temporal_relations import BranchConfig, TemporalRelations
from vidda.adapt.transvae import TransVaeConfig
from vidda.errors import ViddaError
from vidda.recognize.biconvlstm import BiConvLstmConfig
from vidda.recognize.framewise import Framewise
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch
from vidda.recognize.timm_frames import TimmFramesConfig
from vidda.recognize.videomae import VideoMae, VideoMaeConfig

SETTING = MethodSettings(32, 4, np.zeros(0, np.int64), False, False)
ABOUT_VAE = ("rebuilt", "static", "dynamic", "information", "triplet")


def tiny(name: str) -> Framewise:
    torch.manual_seed(0)
    if name == "biconvlstm":
        return BiConvLstmConfig.model_validate(BICONVLSTM).build(3)
    if name == "timm":
        return TimmFramesConfig(arch="test_resnet").build(3)
    return VideoMaeConfig.model_validate(VIDEOMAE).build(3)


def batch() -> tuple[SourceBatch, TargetBatch]:
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(5, 3, 8, 32, 32, generator=generator)
    labels = torch.tensor([0, 1, 2])
    return SourceBatch(video[:3], labels, labels), TargetBatch(video[3:], labels[:2])


def built(config: MethodConfig, model: Framewise) -> Method:
    torch.manual_seed(0)
    return config.build(model, Supervised(3, 0, 0, 0), SETTING)


def gradient(config: MethodConfig, term: str) -> list[torch.Tensor]:
    """Of one term, in all weights of the recognizer before its last layer."""
    model = tiny("biconvlstm")
    found = built(config, model)
    torch.manual_seed(3)
    losses = found.step(model, *batch()).losses
    weights = [p for n, p in model.named_parameters() if not n.startswith("classifier.")]
    grads = torch.autograd.grad(losses[term], weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)]


@pytest.mark.parametrize(("name", "time_steps"), [("biconvlstm", 7), ("videomae", 4), ("timm", 8)])
def test_time_steps_come_from_the_pass_that_makes_the_clips_features(
    name: str, time_steps: int
) -> None:
    model = tiny(name).eval()
    video = batch()[0].inputs
    with torch.no_grad():
        clip, frames = model.framewise(video)
        plain = model(video)
    assert torch.equal(clip.logits, plain.logits) and torch.equal(clip.features, plain.features)
    assert frames.shape == (3, time_steps, model.frame_dim)
    if isinstance(model, VideoMae):
        torch.testing.assert_close(model.fc_norm(frames.mean(1)), plain.features)
    # Time runs along it: a change at the end is seen most at the end by a model that was not
    # trained, in which attention and memory are weak.
    changed = video.clone()
    changed[:, :, -2:] += torch.randn(3, 3, 2, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        apart = (model.framewise(changed).frames - frames).square().sum((0, 2))
    assert apart.argmax() >= time_steps - 2 and apart[0] < apart[-1]


def test_relations_are_weighted_by_domain_attention() -> None:
    torch.manual_seed(0)
    layer = TemporalRelations(4, 6, 5)
    time_steps = torch.randn(3, 4, 6)
    found = layer(time_steps, 1.0)
    assert found.sizes.shape == (3, 3, 5) and found.domains.shape == (3, 3, 2)
    assert [len(chosen) for chosen in layer.chosen] == [1, 3, 3]
    shares = found.domains.softmax(2)
    weights = 2 + (shares * shares.log()).sum(2)
    torch.testing.assert_close(found.video, (found.sizes * weights[:, :, None]).sum(1))
    still = torch.relu(time_steps)
    fusion = layer.fusions[2][1]
    pairs = [torch.relu(fusion(still[:, list(pair)].flatten(1))) for pair in layer.chosen[2]]
    torch.testing.assert_close(found.sizes[:, 2], torch.stack(pairs).sum(0))


@pytest.mark.parametrize(
    ("key", "term"), [("frame", "frames"), ("relation", "relations"), ("video", "clips")]
)
def test_the_strength_of_a_discriminator_scales_the_gradient_of_the_features(
    key: str, term: str
) -> None:
    small: dict[str, Any] = {"width": 16, "bottleneck": 8, "segments": 3}
    none, half, full = (
        gradient(Ta3nConfig.model_validate(small | {key: strength}), term)
        for strength in (0, 0.5, 1)
    )
    assert all((g == 0).all() for g in none)
    for one, other in zip(half, full, strict=True):
        torch.testing.assert_close(2 * one, other)
    assert max(float(g.abs().max()) for g in full) > 0


def test_the_autoencoder_does_not_change_the_features_it_reconstructs() -> None:
    config = TransVaeConfig(hidden=16, latent=8, segments=4)
    for term in ABOUT_VAE:
        assert all((g == 0).all() for g in gradient(config, term))
    for term in ("branch", "adversarial", "loss"):
        assert max(float(g.abs().max()) for g in gradient(config, term)) > 0


def test_pseudo_labels_begin_late() -> None:
    model = tiny("biconvlstm")
    late = built(TransVaeConfig(hidden=16, latent=8, segments=4, threshold=0.0), model)
    early = late.step(model, *batch())
    assert early.metrics["pseudo_labels"] == 0
    assert early.losses["pseudo"] == 0 and early.losses["branch_pseudo"] == 0
    late.progress = 0.1
    now = late.step(model, *batch())
    assert now.metrics["pseudo_labels"] == 1 and now.losses["pseudo"] > 0


def test_the_latents_of_a_clip_learn_to_reconstruct_it() -> None:
    torch.manual_seed(0)
    vae = SequentialVae(6, 16, 4)
    clips = torch.randn(8, 5, 6)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    errors = []
    for _ in range(60):
        static, dynamic = (g.mean for g in vae.encode(clips))
        error = (vae.decode(static, dynamic) - clips).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.5 * errors[0]
    # The prior of a time step depends on earlier ones alone.
    dynamic = torch.randn(2, 5, 4)
    later = dynamic.clone()
    later[:, 3:] += 1
    one, other = vae.prior(dynamic).mean, vae.prior(later).mean
    assert torch.equal(one[:, :4], other[:, :4]) and not torch.equal(one[:, 4], other[:, 4])


def test_other_recognizers_are_refused_in_one_line(tmp_path: Path) -> None:
    data = write_clips(tmp_path / "data")
    other = {"name": "torchvision", "arch": "r3d_18"}
    for name in ("ta3n", "transvae"):
        file = adapt_config(data, tmp_path / "run", name, model=other)
        with pytest.raises(ViddaError, match=f"method: {name} needs features of each") as error:
            adapt(file, dry_run=True)
        assert len(str(error.value).splitlines()) == 1
        compiled = adapt_config(data, tmp_path / "run", name, compile=True)
        with pytest.raises(ViddaError, match=f"^compile: {name} reads features"):
            adapt(compiled, dry_run=True)


@pytest.mark.parametrize("config", [Ta3nConfig(), TransVaeConfig()])
def test_a_branch_is_refused_in_a_compiled_model(config: BranchConfig) -> None:
    assert config.problems(SETTING) == []
    (line,) = config.problems(SETTING._replace(compiled=True))
    assert line.startswith(f"compile: {config.name} reads features inside the model")
    assert (config.relation, config.video, config.frame) == (0.75, 0.75, 0.5)
    with pytest.raises(ValidationError, match="segments"):
        type(config).model_validate({"segments": 1})
