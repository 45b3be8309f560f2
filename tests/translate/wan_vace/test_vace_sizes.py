"""The published 1.3B model without its weights: its size, its work, and what does not fit it."""

import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from transformers import UMT5Config, UMT5EncoderModel

from tests.translate.backbone_cases import CASES, backbone_config
from vidda.errors import ViddaError
from vidda.translate.wan_vace import vace_cost
from vidda.translate.wan_vace.wan_vace import WanVaceConfig

HEIGHT, WIDTH = 480, 832
# Of google/umt5-xxl, what differs from the defaults.
UMT5_XXL = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}


def parameters(model: torch.nn.Module) -> float:
    return sum(weight.numel() for weight in model.parameters()) / 1e9


@pytest.mark.slow
@pytest.mark.parametrize("frames", [17, 81])
def test_the_work_of_the_published_transformer_is_what_pytorch_counts(frames: int) -> None:
    latents = (frames - 1) // 4 + 1
    shape = (latents, HEIGHT // 8, WIDTH // 8)
    with torch.device("meta"), torch.no_grad():
        model = WanVACETransformer3DModel(**vace_cost.WAN_1_3B)
        assert parameters(model) == pytest.approx(2.154, abs=0.001)  # 1.3B and its control branch
        with FlopCounterMode(display=False) as counter:
            found = model(
                hidden_states=torch.empty(1, 16, *shape),
                timestep=torch.empty(1, dtype=torch.int64),
                encoder_hidden_states=torch.empty(1, 512, 4096),
                control_hidden_states=torch.empty(1, 96, *shape),
                control_hidden_states_scale=torch.empty(15),
                return_dict=False,
            )[0]
    assert found.shape == (1, 16, *shape)
    counted = counter.get_total_flops() / 1e12
    assert vace_cost.transformer_teraflops(vace_cost.WAN_1_3B, *shape) == pytest.approx(
        counted, rel=0.01
    )
    assert counted == pytest.approx({17: 48.0, 81: 427.0}[frames], rel=0.01)


@pytest.mark.slow
def test_the_work_of_the_published_autoencoder_is_what_pytorch_counts() -> None:
    found = {}
    with torch.device("meta"), torch.no_grad():
        vae = AutoencoderKLWan()
        assert parameters(vae) == pytest.approx(0.127, abs=0.001)
        for latents in (1, 2, 3):
            with FlopCounterMode(display=False) as encoding:
                vae.encode(torch.empty(1, 3, 4 * latents - 3, HEIGHT, WIDTH))
            with FlopCounterMode(display=False) as decoding:
                vae.decode(torch.empty(1, 16, latents, HEIGHT // 8, WIDTH // 8))
            counted = 2 * encoding.get_total_flops() + decoding.get_total_flops()
            found[latents] = counted / 1e12
    for latents, counted in found.items():
        own = vace_cost.vae_teraflops(vace_cost.WAN_VAE, latents, HEIGHT, WIDTH)
        assert own == pytest.approx(counted, rel=0.01)


class PeakBytes(TorchDispatchMode):
    """The bytes of all tensors that are alive at once, at most, of operations in its block."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._change(storage._cdata, 1, storage.nbytes())
                weakref.finalize(tensor, self._change, storage._cdata, -1, storage.nbytes())
        return found

    def _change(self, storage: int, by: int, size: int) -> None:
        before = self._alive.get(storage, 0)
        self._alive[storage] = before + by
        if before == 0 or before + by == 0:
            self._now += size if before == 0 else -size
        self.peak = max(self.peak, self._now)


@pytest.mark.slow
@pytest.mark.parametrize(("latents", "gigabytes"), [(5, 7.9), (21, 8.2)])
def test_the_memory_of_decoding_hardly_grows_with_the_clip(latents: int, gigabytes: float) -> None:
    with torch.device("meta"), torch.no_grad():
        vae = AutoencoderKLWan()
        with PeakBytes() as counted:
            vae.decode(torch.empty(1, 16, latents, HEIGHT // 8, WIDTH // 8))
    assert counted.peak / 1e9 == pytest.approx(gigabytes, abs=0.1)


@pytest.mark.slow
def test_the_published_text_encoder_is_the_largest_part() -> None:
    with torch.device("meta"):
        assert parameters(UMT5EncoderModel(UMT5Config(**UMT5_XXL))) == pytest.approx(5.68, abs=0.01)


def test_hours_of_the_public_model_are_known_before_it_is_downloaded() -> None:
    config = WanVaceConfig()
    assert config.cost(17, HEIGHT, WIDTH) == pytest.approx(60 * 48 + 128, rel=0.02)
    assert config.cost(14, HEIGHT, WIDTH) == config.cost(17, HEIGHT, WIDTH)  # padded
    assert config.cost(81, HEIGHT, WIDTH) == pytest.approx(60 * 427 + 611, rel=0.02)
    other = WanVaceConfig.model_validate(
        {"weights": {"base": {"name": "hub", "repo": "nobody/another"}}}
    )
    assert other.cost(17, HEIGHT, WIDTH) is None
    once = WanVaceConfig.model_validate({"sampling": {"guidance": 1.0}})
    assert once.cost(17, HEIGHT, WIDTH) == pytest.approx(30 * 48 + 128, rel=0.02)


def test_what_a_pass_keeps_grows_with_the_clip() -> None:
    config = vace_cost.WAN_1_3B
    width = config["num_attention_heads"] * config["attention_head_dim"]
    # In bf16: the control branch's states of all its layers, a block's own, and its feed-forward's.
    token = 2 * (len(config["vace_layers"]) * width + 6 * width + config["ffn_dim"])
    kept = [latents * (HEIGHT // 16) * (WIDTH // 16) * token / 1e9 for latents in (5, 21)]
    assert kept == pytest.approx([0.64, 2.70], abs=0.01)


@pytest.mark.parametrize(
    ("file", "change", "wrong"),
    [
        (
            "transformer/config.json",
            {"text_dim": 64},
            "text_dim is 64, but .*text_encoder makes 32",
        ),
        ("transformer/config.json", {"vace_in_channels": 32}, "vace_in_channels is 32"),
        ("transformer/config.json", {"_class_name": "WanTransformer3DModel"}, "WanVACETransformer"),
        ("model_index.json", {"transformer_2": ["diffusers", "X"]}, "a two-stage Wan 2.2"),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "Wan needs one of"),
    ],
)
def test_a_folder_with_another_part_is_refused(
    wan: Path, tmp_path: Path, file: str, change: dict[str, object], wrong: str
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(wan, folder)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | change))
    config = backbone_config("wan_vace", {"base": {"name": "folder", "path": str(folder)}})
    with pytest.raises(ViddaError, match=wrong):
        config.find()


def test_pickled_weights_are_refused(wan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(wan, folder)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    config = backbone_config("wan_vace", {"base": {"name": "folder", "path": str(folder)}})
    with pytest.raises(ViddaError, match="is a pickle, which vidda does not load"):
        config.find()


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(CASES["wan_vace"].write(tmp_path_factory.mktemp("wan"))["base"]["path"])
