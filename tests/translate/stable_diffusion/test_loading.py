"""Whatever is loaded works as in plain diffusers; `test_loading_refusals` has the rest."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file, save_file
from tiny_diffusion import (
    FACTOR,
    WIDTH,
    write_controlnet,
    write_embedding,
    write_lora,
    write_tiny,
)

from vidda.device import torch_dtype
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.loading import Models, WeightsConfig, load_models
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig, build_scheduler
from vidda.translate.stable_diffusion.weights_config import (
    ControlNetConfig,
    EmbeddingConfig,
    LoraConfig,
)
from vidda.weights import Folder, Hub

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two ControlNets, a LoRA of the UNet and the text encoder, and an embedding."""
    folder = tmp_path_factory.mktemp("weights")
    base = write_tiny(folder / "base")
    write_controlnet(folder / "edges", base, 1)
    write_controlnet(folder / "pose", base, 2)
    write_lora(folder / "lora", base, 3)
    write_embedding(folder / "word", "<real>", 2, 5)
    return folder


def source(path: Path) -> Folder:
    return Folder(path=path)


def weights(disk: Path, **changes: Any) -> WeightsConfig:
    controlnets = tuple(
        ControlNetConfig(kind=kind, source=source(disk / kind)) for kind in ("edges", "pose")
    )
    return WeightsConfig(**{"base": source(disk / "base"), "controlnets": controlnets} | changes)


def plain(disk: Path) -> StableDiffusionControlNetPipeline:
    nets = [ControlNetModel.from_pretrained(disk / kind) for kind in ("edges", "pose")]
    return StableDiffusionControlNetPipeline.from_pretrained(
        disk / "base", controlnet=nets, safety_checker=None
    )


@torch.inference_mode()
def outputs(unet: Any, text_encoder: Any, tokenizer: Any, prompt: str) -> torch.Tensor:
    """The UNet's output for a prompt, which passes through the text encoder and tokenizer."""
    ids = tokenizer([prompt], padding="max_length", max_length=77, return_tensors="pt").input_ids
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    result: torch.Tensor = unet(x, 500, text_encoder(ids)[0]).sample
    return result


def ours(models: Models, prompt: str = "a person") -> torch.Tensor:
    return outputs(models.unet, models.text_encoder, models.tokenizer, prompt)


def theirs(pipeline: Any, prompt: str = "a person") -> torch.Tensor:
    return outputs(pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, prompt)


def refusal(config: WeightsConfig) -> list[str]:
    with pytest.raises(ViddaError) as error:
        load_models(config, CPU, torch.float32)
    return str(error.value).splitlines()


@torch.inference_mode()
def test_the_parts_are_those_of_diffusers(disk: Path) -> None:
    models, pipeline = load_models(weights(disk), CPU, torch.float32), plain(disk)
    assert torch.equal(ours(models), theirs(pipeline))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = models.vae.encode(image).latent_dist.mean
    assert torch.equal(latents, pipeline.vae.encode(image).latent_dist.mean)
    assert torch.equal(models.vae.decode(latents).sample, pipeline.vae.decode(latents).sample)
    text = torch.randn(1, 77, WIDTH, generator=torch.Generator().manual_seed(1))
    for mine, net in zip(models.controlnets, pipeline.controlnet.nets, strict=True):
        a, b = mine.model(latents, 1, text, image)[0], net(latents, 1, text, image)[0]
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert [c.kind for c in models.controlnets] == ["edges", "pose"]
    assert (
        build_scheduler(SchedulerConfig(), models.scheduler_config).config
        == pipeline.scheduler.config
    )
    assert not any(p.requires_grad or m.training for m in models.modules() for p in m.parameters())


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp32"])
def test_dtype_and_memory_layout_are_as_asked(disk: Path, name: Any) -> None:
    models = load_models(weights(disk, channels_last=True), CPU, torch_dtype(name))
    assert {p.dtype for m in models.modules() for p in m.parameters()} == {torch_dtype(name)}
    weight = models.unet.down_blocks[0].resnets[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_a_lora_is_what_diffusers_makes_of_it(disk: Path, scale: float) -> None:
    lora = LoraConfig(source=source(disk / "lora"), scale=scale)
    models, pipeline = load_models(weights(disk, loras=(lora,)), CPU, torch.float32), plain(disk)
    without = theirs(pipeline)
    pipeline.load_lora_weights(disk / "lora", adapter_name="x")
    pipeline.set_adapters("x", scale)
    torch.testing.assert_close(ours(models), theirs(pipeline), atol=2e-5, rtol=1e-5)
    assert (ours(models) - without).abs().max() > 1e-2
    pipeline.set_adapters("x", 1.0)
    pipeline.fuse_lora(components=["unet", "text_encoder"], lora_scale=scale)
    assert torch.equal(ours(models), theirs(pipeline))
    plain_layers = {type(m) for m in plain(disk).unet.modules()}
    assert {type(m) for m in models.unet.modules()} == plain_layers, "an adapter was left in"


def test_loras_add_up_and_one_of_kohyas_kind_is_read(disk: Path, tmp_path: Path) -> None:
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    rng = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, 16, generator=rng), torch.randn(16, 2, generator=rng)
    name = "lora_unet_" + layer.replace(".", "_")
    content = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.0)}
    save_file(
        {f"{name}.{key}": value for key, value in content.items()}, tmp_path / "k.safetensors"
    )
    configs = (
        LoraConfig(source=source(disk / "lora"), scale=0.5),
        LoraConfig(source=source(tmp_path / "k.safetensors"), scale=0.5),
    )
    one, two = (load_models(weights(disk, loras=configs[:n]), CPU, torch.float32) for n in (1, 2))
    before, after = (m.unet.get_submodule(layer).weight for m in (one, two))
    torch.testing.assert_close(after, before + 0.5 * (1 / 2) * up @ down)


@pytest.mark.parametrize("name", ["lcm", "tcd"])
def test_a_few_step_lora_samples_with_its_scheduler(disk: Path, name: str) -> None:
    lora = LoraConfig(source=source(disk / "lora"), scale=0.1)
    models, pipeline = load_models(weights(disk, loras=(lora,)), CPU, torch.float32), plain(disk)
    pipeline.load_lora_weights(disk / "lora")
    pipeline.fuse_lora(components=["unet", "text_encoder"], lora_scale=0.1)
    mine = StableDiffusionPipeline(
        models.vae,
        models.text_encoder,
        models.tokenizer,
        models.unet,
        build_scheduler(SchedulerConfig(name=name), models.scheduler_config),
        None,
        None,
        requires_safety_checker=False,
    )
    reference = StableDiffusionPipeline(
        pipeline.vae,
        pipeline.text_encoder,
        pipeline.tokenizer,
        pipeline.unet,
        type(mine.scheduler).from_config(pipeline.scheduler.config),
        None,
        None,
        requires_safety_checker=False,
    )
    latents = [
        pipe(
            "a person",
            height=32,
            width=32,
            num_inference_steps=2,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images
        for pipe in (mine, reference)
    ]
    assert torch.equal(*latents) and latents[0].isfinite().all()


@pytest.mark.parametrize("token", [None, "<other>"])
def test_an_embedding_is_what_diffusers_makes_of_it(disk: Path, token: str | None) -> None:
    word = EmbeddingConfig(source=source(disk / "word"), token=token)
    models, pipeline = (
        load_models(weights(disk, embeddings=(word,)), CPU, torch.float32),
        plain(disk),
    )
    pipeline.load_textual_inversion(disk / "word", token=token)
    prompt = pipeline.maybe_convert_prompt(f"a {token or '<real>'} person", pipeline.tokenizer)
    assert "_1" in prompt, "both vectors are in the prompt"
    assert torch.equal(ours(models, prompt), theirs(pipeline, prompt))
    bare = load_models(weights(disk), CPU, torch.float32)
    assert not torch.allclose(ours(models, prompt), ours(bare, prompt))


@pytest.mark.parametrize("form", ["unet", "pipeline"])
def test_dreambooth_weights_replace_the_bases(disk: Path, tmp_path: Path, form: str) -> None:
    tuned = write_tiny(tmp_path / "tuned", seed=9)
    place = tuned / "unet" if form == "unet" else tuned
    models = load_models(weights(disk, dreambooth=source(place)), CPU, torch.float32)
    pipeline = StableDiffusionPipeline.from_pretrained(tuned, safety_checker=None)
    base = plain(disk)
    text_encoder = base.text_encoder if form == "unet" else pipeline.text_encoder
    wanted = outputs(pipeline.unet, text_encoder, base.tokenizer, "a person")
    assert torch.equal(ours(models), wanted)
    assert torch.equal(models.vae.decoder.conv_in.weight, base.vae.decoder.conv_in.weight)


def test_a_tiny_autoencoder_replaces_the_bases(disk: Path, tmp_path: Path) -> None:
    blocks = (8,) * 3
    assert 2 ** (len(blocks) - 1) == FACTOR
    vae = AutoencoderTiny(
        encoder_block_out_channels=blocks,
        decoder_block_out_channels=blocks,
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    )
    vae.save_pretrained(tmp_path / "tiny")
    models = load_models(weights(disk, vae=source(tmp_path / "tiny")), CPU, torch.float32)
    assert isinstance(models.vae, AutoencoderTiny)
    assert models.vae.encode(torch.zeros(1, 3, 32, 32)).latents.shape == (1, 4, 8, 8)


def test_a_variant_and_shards_are_read(disk: Path, tmp_path: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(disk / "base", safety_checker=None)
    pipeline.save_pretrained(tmp_path / "v", variant="fp16")
    base = Folder(path=tmp_path / "v", variant="fp16")
    assert torch.equal(
        ours(load_models(weights(disk, base=base), CPU, torch.float32)), theirs(pipeline)
    )
    pipeline.unet.save_pretrained(tmp_path / "u", max_shard_size="500KB")
    assert len(list((tmp_path / "u").glob("*.safetensors"))) > 1
    sharded = weights(disk, dreambooth=source(tmp_path / "u"))
    loaded, wanted = (
        load_models(sharded, CPU, torch.float32).unet.state_dict(),
        pipeline.unet.state_dict(),
    )
    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[name], wanted[name]) for name in wanted)


def test_loading_draws_no_random_numbers(disk: Path) -> None:
    added = {
        "loras": (LoraConfig(source=source(disk / "lora")),),
        "embeddings": (EmbeddingConfig(source=source(disk / "word")),),
    }
    before = torch.get_rng_state()
    load_models(weights(disk, **added), CPU, torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_tokenizer_in_two_files_is_read(disk: Path, tmp_path: Path) -> None:
    """As Stable Diffusion 1.5 has it: vocab.json and merges.txt, no tokenizer.json."""
    base = tmp_path / "base"
    shutil.copytree(disk / "base", base)
    whole = json.loads((base / "tokenizer" / "tokenizer.json").read_text())["model"]
    (base / "tokenizer" / "tokenizer.json").unlink()
    (base / "tokenizer" / "vocab.json").write_text(json.dumps(whole["vocab"]))
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in whole["merges"])])
    (base / "tokenizer" / "merges.txt").write_text(merges + "\n")
    tokenizer = load_models(weights(disk, base=source(base)), CPU, torch.float32).tokenizer
    text = "a person in the style of zebras"
    assert tokenizer(text).input_ids == plain(disk).tokenizer(text).input_ids


def test_the_fingerprint_is_of_the_content(disk: Path, tmp_path: Path) -> None:
    first = fingerprint(weights(disk))
    shutil.copytree(disk, tmp_path / "moved")
    assert fingerprint(weights(tmp_path / "moved")) == first
    lora = LoraConfig(source=source(disk / "lora"))
    others = [
        weights(disk, controlnets=()),
        weights(disk, loras=(lora,)),
        weights(disk, loras=(lora.model_copy(update={"scale": 0.5}),)),
        weights(disk, base=source(write_tiny(tmp_path / "other", seed=1))),
        weights(disk, embeddings=(EmbeddingConfig(source=source(disk / "word")),)),
    ]
    assert len({first, *map(fingerprint, others)}) == 6
    file = tmp_path / "moved" / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_in.bias"] += 1
    save_file(state, file)
    assert fingerprint(weights(tmp_path / "moved")) != first, "an old digest was remembered"


def test_a_hub_name_is_read_from_the_cache_alone(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for key, value in (("HF_HUB_OFFLINE", "0"), ("https_proxy", "http://127.0.0.1:9")):
        monkeypatch.setenv(key, value)
    lines = refusal(WeightsConfig())
    assert lines[0] == (
        "backbone.weights.base: stable-diffusion-v1-5/stable-diffusion-v1-5 is not in this"
        " machine's cache: backbone.weights.download=true fetches it"
    )
    assert [line.split(":")[0] for line in lines] == [
        "backbone.weights.base", "backbone.weights.controlnets.0.source",
        "backbone.weights.controlnets.1.source",
    ]  # fmt: skip
    snapshot = tmp_path / "models--me--mine" / "snapshots" / "abc"
    shutil.copytree(disk / "base", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    cached = weights(disk, base=Hub(repo="me/mine"))
    assert fingerprint(cached) == fingerprint(weights(disk))
    assert torch.equal(ours(load_models(cached, CPU, torch.float32)), theirs(plain(disk)))
    (line,) = refusal(weights(disk, base=Hub(repo="not a name")))
    assert "'not a name' is not written owner/name" in line
