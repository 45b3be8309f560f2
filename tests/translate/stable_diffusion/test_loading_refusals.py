"""Weights that are not what they should be are refused before they are loaded, each by its name."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_diffusion import WIDTH, write_lora, write_tiny

from vidda.config import ConfigError
from vidda.config import load as load_config
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.loading import WeightsConfig, load_models
from vidda.translate.stable_diffusion.weights_config import (
    ControlNetConfig,
    EmbeddingConfig,
    LoraConfig,
)
from vidda.weights import Folder


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a LoRA for it."""
    folder = tmp_path_factory.mktemp("weights")
    write_lora(folder / "lora", write_tiny(folder / "base"), 3)
    return folder


def source(path: Path) -> Folder:
    return Folder(path=path)


def weights(disk: Path, **changes: Any) -> WeightsConfig:
    return WeightsConfig(**{"base": source(disk / "base"), "controlnets": ()} | changes)


def refusal(config: WeightsConfig) -> list[str]:
    with pytest.raises(ViddaError) as error:
        load_models(config, torch.device("cpu"), torch.float32)
    return str(error.value).splitlines()


def test_a_window_that_is_empty_is_refused() -> None:
    wrong = "{kind: edges, source: {name: hub, repo: a/b}, start: 0.5, end: 0.5}"
    with pytest.raises(ConfigError, match=r"controlnets\.0: start 0\.5 is not before end 0\.5"):
        load_config(WeightsConfig, None, [f"controlnets=[{wrong}]"])


def test_every_problem_is_reported_at_once(disk: Path, tmp_path: Path) -> None:
    wide = UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(disk / "base" / "unet")
        | {"cross_attention_dim": 48, "block_out_channels": (8, 16)}
    )
    stranger = ControlNetModel.from_unet(wide)
    stranger.save_pretrained(tmp_path / "stranger")
    (tmp_path / "pickles").mkdir()
    torch.save({}, tmp_path / "pickles" / "pytorch_lora_weights.bin")
    lines = refusal(
        weights(
            disk,
            controlnets=(
                ControlNetConfig(kind="edges", source=source(tmp_path / "stranger")),
                ControlNetConfig(kind="pose", source=source(disk / "base" / "unet")),
                ControlNetConfig(kind="pose", source=source(tmp_path / "nowhere")),
            ),
            loras=(LoraConfig(source=source(tmp_path / "pickles")),),
            embeddings=(EmbeddingConfig(source=source(disk / "word" / "learned_embeds.pt")),),
        )
    )
    wanted = [
        r"base/unet: holds a UNet2DConditionModel; name a folder with a ControlNetModel",
        r"controlnets.2.source: .*nowhere: no such folder; correct"
        r" backbone.weights.controlnets.2.source.path",
        r"loras.0.source: .*pytorch_lora_weights.bin is a pickle, which vidda does not load",
        r"embeddings.0.source: .*learned_embeds.pt: no such folder",
        r"stranger: not a ControlNet of this UNet: cross_attention_dim is 48, the UNet's 32; "
        r"block_out_channels is \[8, 16\], the UNet's \[16, 32\]; it shrinks its map by 8, the "
        r"autoencoder its images by 4; name another",
    ]
    assert len(lines) == len(wanted)
    for pattern, line in zip(wanted, lines, strict=True):
        assert re.search(pattern, line), line


def _without_index(base: Path) -> None:
    (base / "model_index.json").unlink()


def _single_file(base: Path) -> None:
    shutil.rmtree(base)
    base.mkdir()
    save_file({"a": torch.zeros(1)}, base / "v1-5-pruned.safetensors")


def _another_pipeline(base: Path) -> None:
    index = json.loads((base / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionXLPipeline"
    (base / "model_index.json").write_text(json.dumps(index))


def _pickle(base: Path) -> None:
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()


def _no_unet(base: Path) -> None:
    shutil.rmtree(base / "unet")


def _cut(base: Path) -> None:
    file = base / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _lacking(base: Path) -> None:
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    del state["conv_in.weight"]
    save_file(state, file, metadata={"format": "pt"})


def _inpainting(base: Path) -> None:
    file = base / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"in_channels": 9}))


def _no_words(base: Path) -> None:
    (base / "tokenizer" / "tokenizer.json").unlink()


def _other_text(base: Path) -> None:
    file = base / "text_encoder" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_size": 64}))


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (_without_index, "no model_index.json; name a folder as diffusers' save_pretrained writes"),
        (_single_file, "v1-5-pruned.safetensors alone is no pipeline: convert it once"),
        (_another_pipeline, "a StableDiffusionXLPipeline; name a Stable Diffusion 1.x folder"),
        (_pickle, "(diffusion_pytorch_model.bin is a pickle, which vidda does not load); name a"),
        (_no_unet, "unet: no config.json; copy the folder again, or name another"),
        (_cut, "vae: cannot be loaded"),
        (_lacking, "unet: 1 weights are missing (first conv_in.weight); copy the folder again"),
        (_inpainting, "takes 9 channels, but"),
        (_no_words, "tokenizer: neither tokenizer.json nor vocab.json and merges.txt"),
        (_other_text, "reads text of width 32, but"),
    ],
)
def test_a_base_that_is_not_what_it_should_be(
    disk: Path, tmp_path: Path, harm: Any, complaint: str
) -> None:
    base = tmp_path / "base"
    shutil.copytree(disk / "base", base)
    harm(base)
    (line,) = refusal(weights(disk, base=source(base)))
    assert complaint in line


def test_one_models_folder_is_no_base(disk: Path) -> None:
    (line,) = refusal(weights(disk, base=source(disk / "base" / "unet")))
    assert "it is one model's folder: name the pipeline's" in line


def test_a_lora_that_fits_no_layer_is_refused(disk: Path, tmp_path: Path) -> None:
    good = load_file(disk / "lora" / "pytorch_lora_weights.safetensors")
    contents = {
        "elsewhere": {key.replace("blocks", "floors"): value for key, value in good.items()},
        "one": {key.replace("mid_block.att", "mid_block.at"): v for key, v in good.items()},
        "wide": {k: torch.cat([v, v], 1) if "lora_A" in k else v for k, v in good.items()},
        "none": {"weight": torch.zeros(2, 2)},
    }
    for name, content in contents.items():
        save_file({k: v.contiguous() for k, v in content.items()}, tmp_path / f"{name}.safetensors")
    loras = tuple(LoraConfig(source=source(tmp_path / f"{name}.safetensors")) for name in contents)
    for lora, name in zip(loras, contents, strict=True):
        (line,) = refusal(weights(disk, loras=(lora,)))
        assert f"{name}.safetensors: " in line and "name a LoRA of its base" in line
        fitting = LoraConfig(source=source(disk / "lora"))
        assert refusal(weights(disk, loras=(lora, fitting, lora))) == [line, line]


def test_an_embedding_that_does_not_fit_is_refused(disk: Path, tmp_path: Path) -> None:
    contents: dict[str, dict[str, torch.Tensor]] = {
        "wide": {"<x>": torch.zeros(48)},
        "nameless": {"emb_params": torch.zeros(1, WIDTH)},
        "many": {"<x>": torch.zeros(WIDTH), "<y>": torch.zeros(WIDTH)},
        "known": {"person</w>": torch.zeros(WIDTH)},
    }
    for name, content in contents.items():
        save_file(content, tmp_path / f"{name}.safetensors")
    embeddings = tuple(
        EmbeddingConfig(source=source(tmp_path / f"{name}.safetensors")) for name in contents
    )
    lines = refusal(weights(disk, embeddings=embeddings))
    wanted = [
        "an embedding of 48, but this text encoder's words have 32 numbers",
        "does not name its word; set it, for instance token: <realism>",
        "holds 2 tensors, not one embedding",
        "the word 'person</w>' is known already; give another as token",
    ]
    assert len(lines) == 4
    assert all(part in line for part, line in zip(wanted, lines, strict=True))


def test_several_files_ask_for_a_choice(disk: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(
            disk / "lora" / "pytorch_lora_weights.safetensors", tmp_path / f"{name}.safetensors"
        )
    (line,) = refusal(weights(disk, loras=(LoraConfig(source=source(tmp_path)),)))
    assert "choose one of a.safetensors, b.safetensors with file" in line
    chosen = LoraConfig(source=source(tmp_path), file="b.safetensors")
    assert fingerprint(weights(disk, loras=(chosen,)))
