"""Few steps: how much fresh noise each of them adds, and how many a scheduler takes."""

from pathlib import Path

import pytest
import torch

from tests.tiny_diffusion import write_tiny
from tests.translate.tiny_translator import clip_job, tiny_models
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.attention_context import AttendOwn
from vidda.translate.stable_diffusion.loading import Models, load_models
from vidda.translate.stable_diffusion.noise import SharedNoise
from vidda.translate.stable_diffusion.personalize.render_images import DrawingConfig, render
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.weights import Folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return tiny_models(tmp_path_factory.mktemp("tiny"))


def sampled(models: Models, name: str, eta: float | None) -> torch.Tensor:
    """The latents of a clip after four steps without guidance, from pure noise."""
    config = SamplingConfig(
        steps=4,
        guidance=1.0,
        context=AttendOwn(),
        noise=SharedNoise(),
        scheduler=SchedulerConfig(name=name, eta=eta),
    )
    *_, last = StableDiffusionTranslator(models, config).denoise([clip_job(2)])
    return last.clone()


@pytest.mark.parametrize(("name", "usual"), [("tcd", 0.3), ("ddim", 0.0)])
def test_eta_is_the_share_of_fresh_noise(networks: Models, name: str, usual: float) -> None:
    found = {eta: sampled(networks, name, eta) for eta in (None, 0.0, 0.3, 1.0)}
    assert torch.equal(found[None], found[usual])
    for one, other in ((0.0, 0.3), (0.3, 1.0)):
        assert (found[one] - found[other]).abs().max() > 1e-2
    assert all(torch.isfinite(latents).all() for latents in found.values())


def test_samples_are_drawn_with_eta_and_steps_are_checked_first(tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "base", size=32)
    config = WeightsConfig(base=Folder(path=base), controlnets=())
    models = load_models(config, torch.device("cpu"), torch.float32)
    images = []
    for eta in (None, 0.3, 1.0):
        scheduler = SchedulerConfig(name="tcd", eta=eta)
        drawing = DrawingConfig(scheduler=scheduler, steps=3, guidance=1.0)
        drawing.check(models)
        with torch.no_grad():
            images.append(render(models, drawing, "a person", 32, [0]))
    assert (images[0] == images[1]).all()
    assert (images[0] != images[2]).any()
    many = DrawingConfig(scheduler=SchedulerConfig(name="tcd"), steps=60)
    with pytest.raises(ViddaError, match=r"^drawing\.steps: TCDScheduler cannot take 60 .*correct"):
        many.check(models)
    refused = DrawingConfig(scheduler=SchedulerConfig(name="unipc", eta=0.5))
    with pytest.raises(ViddaError, match="unipc has none; leave it null"):
        refused.check(models)
