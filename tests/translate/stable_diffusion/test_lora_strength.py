"""Every layer of a LoRA is added at its own alpha / rank, whoever wrote the file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_diffusion import write_tiny

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.loading import Models, load_models
from vidda.translate.stable_diffusion.weights_config import LoraConfig, WeightsConfig
from vidda.weights import Folder

ATTENTION = "transformer_blocks.0.attn"
ENCODER = "encoder.layers.{}"
# The layers that are added to: (rank, alpha).
UNET = {
    f"down_blocks.0.attentions.0.{ATTENTION}1.to_q": (4, 4.0),
    f"down_blocks.0.attentions.0.{ATTENTION}1.to_out.0": (4, 1.0),
    f"down_blocks.1.attentions.0.{ATTENTION}2.to_v": (2, 8.0),
    f"up_blocks.0.attentions.0.{ATTENTION}2.to_v": (4, 8.0),
    "mid_block.attentions.0.proj_in": (2, 1.0),
    "mid_block.resnets.0.conv1": (8, 4.0),
    "up_blocks.1.resnets.0.conv2": (3, 4.0),
}
TEXT = {
    f"{ENCODER.format(0)}.self_attn.q_proj": (4, 2.0),
    f"{ENCODER.format(1)}.self_attn.q_proj": (2, 2.0),
    f"{ENCODER.format(1)}.mlp.fc1": (8, 8.0),
}
PARTS = {"unet": UNET, "text_encoder": TEXT}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def loaded(base: Path, *files: Path) -> Models:
    loras = tuple(LoraConfig(source=Folder(path=file)) for file in files)
    weights = WeightsConfig(base=Folder(path=base), controlnets=(), loras=loras)
    return load_models(weights, torch.device("cpu"), torch.float32)


def matrices(models: Models) -> dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]:
    """Down and up of each layer, by the model's part and the layer's name."""
    draw = torch.Generator().manual_seed(0)
    found = {}
    for part, layers in PARTS.items():
        for name, (rank, _) in layers.items():
            out, *taken = getattr(models, part).get_submodule(name).weight.shape
            down = torch.randn(rank, *taken, generator=draw)
            up = torch.randn(out, rank, *(1 for _ in taken[1:]), generator=draw)
            found[part, name] = down, up
    return found


def assert_added(base: Path, file: Path, scales: dict[tuple[str, str], float]) -> None:
    plain, fused = loaded(base), loaded(base, file)
    for (part, name), (down, up) in matrices(plain).items():
        before, after = (getattr(m, part).get_submodule(name).weight for m in (plain, fused))
        wanted = scales[part, name] * (up.flatten(1) @ down.flatten(1)).view_as(before)
        torch.testing.assert_close(after - before, wanted, atol=1e-4, rtol=1e-4, msg=name)


OWN = {
    (part, name): alpha / rank
    for part, layers in PARTS.items()
    for name, (rank, alpha) in layers.items()
}


def kohya(models: Models, *, alphas: bool) -> dict[str, torch.Tensor]:
    content = {}
    for (part, name), (down, up) in matrices(models).items():
        head = "lora_unet_" if part == "unet" else "lora_te_text_model_"
        key = head + name.replace(".", "_")
        content |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        if alphas:
            content[f"{key}.alpha"] = torch.tensor(PARTS[part][name][1])
    return content


def peft(models: Models, alpha: str | None) -> dict[str, torch.Tensor]:
    content = {}
    for (part, name), (down, up) in matrices(models).items():
        key = f"{part}.{name}"
        content |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
        if alpha:
            content[f"{key}.{alpha}"] = torch.tensor(PARTS[part][name][1])
    return content


def test_kohyas_layers_have_alphas_and_ranks_of_their_own(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "k.safetensors"
    save_file(kohya(loaded(base), alphas=True), file)
    assert_added(base, file, OWN)


@pytest.mark.parametrize("alpha", ["alpha", "lora.alpha", "lora_alpha"])
def test_so_may_those_in_peft_s_form(base: Path, tmp_path: Path, alpha: str) -> None:
    file = tmp_path / "p.safetensors"
    save_file(peft(loaded(base), alpha), file)
    assert_added(base, file, OWN)


def test_without_any_alpha_a_layer_is_added_whole(base: Path, tmp_path: Path) -> None:
    for name, content in {
        "p": peft(loaded(base), None),
        "k": kohya(loaded(base), alphas=False),
    }.items():
        save_file(content, tmp_path / f"{name}.safetensors")
        assert_added(base, tmp_path / f"{name}.safetensors", dict.fromkeys(OWN, 1.0))


def test_alpha_that_only_kohyas_metadata_name(base: Path, tmp_path: Path) -> None:
    models = loaded(base)
    file = tmp_path / "m.safetensors"
    arguments = json.dumps({"conv_dim": "8", "conv_alpha": "2"})
    metadata = {"ss_network_alpha": "6.0", "ss_network_args": arguments}
    save_file(kohya(models, alphas=False), file, metadata=metadata)
    wide = {"mid_block.resnets.0.conv1", "up_blocks.1.resnets.0.conv2"}
    assert_added(
        base,
        file,
        {(part, name): (2.0 if name in wide else 6.0) / PARTS[part][name][0] for part, name in OWN},
    )


@pytest.mark.parametrize("root", [False, True])
def test_alpha_that_only_diffusers_metadata_name(base: Path, tmp_path: Path, root: bool) -> None:
    own = f"down_blocks.1.attentions.0.{ATTENTION}2.to_v"
    config: dict[str, Any] = {
        "unet.r": 4,
        "unet.lora_alpha": 6,
        "unet.alpha_pattern": {own: 3},
        "unet.use_rslora": root,
        "text_encoder.lora_alpha": 5,
    }
    file = tmp_path / "d.safetensors"
    metadata = {"lora_adapter_metadata": json.dumps(config)}
    save_file(peft(loaded(base), None), file, metadata=metadata)
    alphas = {key: 5.0 if key[0] == "text_encoder" else 6.0 for key in OWN}
    alphas["unet", own] = 3.0
    power = {"unet": 0.5 if root else 1.0, "text_encoder": 1.0}
    assert_added(
        base,
        file,
        {key: alpha / PARTS[key[0]][key[1]][0] ** power[key[0]] for key, alpha in alphas.items()},
    )


@pytest.mark.parametrize("names", ["alone", "adapter", "diffusers"])
def test_alpha_that_only_pefts_config_beside_the_file_names(
    base: Path, tmp_path: Path, names: str
) -> None:
    own = f"down_blocks.1.attentions.0.{ATTENTION}2.to_v"
    content = {}
    for key, matrix in peft(loaded(base), None).items():
        alone = "base_model.model." + key.split(".", 1)[1]
        adapter = key.replace(".weight", ".default.weight")
        content[{"alone": alone, "adapter": adapter, "diffusers": key}[names]] = matrix
    file = tmp_path / "adapter_model.safetensors"
    save_file(content, file)
    if names == "alone":
        with pytest.raises(ViddaError, match=r"adapter_config\.json, which .* is not"):
            loaded(base, file)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "alpha_pattern": {own: 3}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    alphas = dict.fromkeys(OWN, 6.0) | {("unet", own): 3.0}
    assert_added(base, file, {key: alphas[key] / PARTS[key[0]][key[1]][0] for key in OWN})


def test_layers_without_the_name_of_their_model_are_the_unets(base: Path, tmp_path: Path) -> None:
    content = {}
    for key, matrix in peft(loaded(base), None).items():
        content[key.removeprefix("unet.")] = matrix
    save_file(content, tmp_path / "u.safetensors")
    assert_added(base, tmp_path / "u.safetensors", dict.fromkeys(OWN, 1.0))


@pytest.mark.parametrize(
    ("key", "reason"),
    [("lora_unet_x.alpha", "belongs to none of its layers"), ("lora_unet_x.dora_scale", "a DoRA")],
)
def test_what_cannot_be_added_as_the_file_has_it_is_refused(
    base: Path, tmp_path: Path, key: str, reason: str
) -> None:
    file = tmp_path / "x.safetensors"
    save_file({**kohya(loaded(base), alphas=True), key: torch.ones(1)}, file)
    with pytest.raises(ViddaError, match=reason) as error:
        loaded(base, file)
    assert "\n" not in str(error.value)
