"""Keys and values of the text and embeddings of control images are computed once, not each step."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from tests.translate.tiny_translator import clip_job, config, last, precise, tiny_models
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig

DDIM = SchedulerConfig(name="ddim")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return precise(tiny_models(tmp_path_factory.mktemp("tiny")))


def batches(module: torch.nn.Module, sizes: list[int]) -> Any:
    """A hook that notes the batch of each call."""
    return module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))


def test_control_images_are_embedded_once_for_all_steps_and_passes(models: Models) -> None:
    translator = StableDiffusionTranslator(models, config(chunk=4, scheduler=DDIM))
    found: dict[str, list[int]] = {net.kind: [] for net in models.controlnets}
    hooks = [
        batches(net.model.controlnet_cond_embedding.conv_in, found[net.kind])
        for net in models.controlnets
    ]
    for clip in (clip_job(4), clip_job(6, seed=1)):
        list(translator.denoise([clip]))
    for hook in hooks:
        hook.remove()
    # A clip of one chunk; then of two, of which the second is not stored: memory must not grow.
    assert found == {key: [4, 4, 2, 2, 2] for key in found}


def test_keys_and_values_of_the_text_are_computed_once_a_clip(models: Models) -> None:
    translator = StableDiffusionTranslator(models, config(chunk=3, scheduler=DDIM))
    networks = [models.unet, *(net.model for net in models.controlnets)]
    layers = [m for n in networks for name, m in n.named_modules() if name.endswith("attn2.to_k")]
    found: list[list[int]] = [[] for _ in layers]
    hooks = [batches(layer, sizes) for layer, sizes in zip(layers, found, strict=True)]
    for clip in (clip_job(7), clip_job(7, seed=1)):
        list(translator.denoise([clip]))
    # A chunk of two clips has a prompt of each frame, as often as it comes.
    list(translator.denoise([clip_job(2), clip_job(1, seed=1)]))
    for hook in hooks:
        hook.remove()
    assert len(layers) > 7 and found == [[2, 2, 6]] * len(layers)


def test_it_is_the_same_as_each_time_anew(models: Models) -> None:
    clips = [clip_job(3), clip_job(2, seed=1)]
    choices = config(chunk=2)
    once = last(models, choices, clips)
    translator = StableDiffusionTranslator(models, choices)
    for name, layer in models.unet.named_modules():
        if name.endswith("attn2"):
            layer.set_processor(AttnProcessor2_0())  # as who takes diffusers' attention slicing
    *_, anew = translator.denoise(clips)
    assert (once - anew).abs().max() < 1e-5
