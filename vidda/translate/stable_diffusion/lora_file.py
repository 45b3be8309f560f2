"""Reading of LoRA files of any trainer, with each layer's scale multiplied into its weights."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

# The two matrices of a layer, as one trainer or another names them.
_PAIRS = {
    "lora_A.": "lora_B.",
    "lora_down.": "lora_up.",  # kohya-ss
    "lora.down.": "lora.up.",
    "lora_linear_layer.down.": "lora_linear_layer.up.",
}
_PEFT = "lora_adapter_metadata"
_PEFT_FILE = "adapter_config.json"
_KOHYA = "ss_network_alpha"

# peft's names for the layers of a single model, and for the adapter within them.
_PEFT_PREFIX = re.compile(r"^base_model\.model\.")
_ADAPTER = re.compile(r"(?<=\.lora_[AB])\.\w+(?=\.weight$)")
_OF_UNET = ("down_blocks.", "mid_block.", "up_blocks.")
_OF_TEXT_ENCODER = ("text_model.", "encoder.")


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A LoRA as diffusers reads it, with alpha / rank multiplied in: each layer adds up @ down.

    state: the matrices by diffusers' names. strengths: |scale| |up| |down| of each layer, to
    compare with what diffusers applies.
    """

    state: dict[str, torch.Tensor]
    strengths: list[float]


def read_lora(file: Path) -> LoraFile:
    """Read a LoRA from a safetensors file.

    A layer's scale is alpha / rank: alpha from its own tensor, else from the file's metadata, else
    from peft's config beside the file; 1 where none names it, as in diffusers and peft. Raises
    ValueError when the file holds no LoRA or one that cannot be applied; SafetensorError or OSError
    when it cannot be read.
    """
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata() or {}
        state = {_diffusers_name(key): opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        alone = any(_PEFT_PREFIX.match(key) for key in opened.keys())  # noqa: SIM118
    if any("lora_A" in key for key in state) and _PEFT not in metadata:
        metadata |= _config_beside(file, alone)
    if any("dora_scale" in key for key in state):
        raise ValueError("a DoRA of kohya-ss, whose magnitudes diffusers ignores")
    alphas = {k: float(state.pop(k)) for k in list(state) if k.endswith((".alpha", "_alpha"))}
    metadata = {} if alphas else metadata
    strengths = []
    for down in list(state):
        pair = next((pair for pair in _PAIRS.items() if pair[0] in down), None)
        if pair is None:
            continue
        first, second = pair
        up = down.replace(first, second)
        if up not in state:
            raise ValueError(f"{down} has no {second}weight beside it")
        alpha = _pop_alpha(alphas, down, first)
        if alpha is None:
            scale = _scale_from_metadata(
                metadata, down.partition(first)[0].rstrip("._"), state[down]
            )
        else:
            scale = alpha / len(state[down])
        strengths.append(abs(scale) * layer_strength(state[down], state[up]))
        if scale != 1:
            state[up] = state[up].float() * scale
    if not strengths:
        raise ValueError("it holds no LoRA's layers")
    if alphas:
        raise ValueError(f"{min(alphas)} belongs to none of its layers")
    return LoraFile(state, strengths)


def _diffusers_name(key: str) -> str:
    """Return a tensor's name in diffusers' form, which begins with the layer's model."""
    plain = _ADAPTER.sub("", _PEFT_PREFIX.sub("", key))
    if plain.startswith(_OF_UNET):
        return f"unet.{plain}"
    return f"text_encoder.{plain}" if plain.startswith(_OF_TEXT_ENCODER) else plain


def _config_beside(file: Path, alone: bool) -> dict[str, str]:
    """Return peft's config beside a file in the form of diffusers' metadata; empty without one.

    alone: whether peft itself wrote the file, which then names alpha only there. Raises ValueError
    when such a file has no config beside it.
    """
    beside = file.parent / _PEFT_FILE
    if not beside.is_file():
        if alone:
            raise ValueError(f"peft's {_PEFT_FILE}, which names its alpha, is not beside it")
        return {}
    config = json.loads(beside.read_text(encoding="utf-8"))
    parts = ("unet", "text_encoder")
    return {_PEFT: json.dumps({f"{part}.{k}": v for part in parts for k, v in config.items()})}


def layer_strength(down: torch.Tensor, up: torch.Tensor) -> float:
    """Return the product of the Frobenius norms of a LoRA layer's two matrices, |down| |up|.

    down: (rank, inputs). up: (outputs, rank); convolutions have two more dimensions. It is linear
    in the layer's scale.
    """
    return float(down.detach().float().norm() * up.detach().float().norm())


def _pop_alpha(alphas: dict[str, float], down: str, first: str) -> float | None:
    """Remove and return a layer's alpha from the file's; None where it has none."""
    layer = down.partition(first)[0].rstrip(".")
    for key in (f"{layer}.alpha", f"{layer}.lora.alpha", f"{layer}.lora_alpha"):
        if key in alphas:
            return alphas.pop(key)
    return None


def _scale_from_metadata(metadata: Mapping[str, str], layer: str, down: torch.Tensor) -> float:
    """Return the scale of a layer by the file's metadata; 1 where they do not name it.

    metadata: peft's config, as diffusers saves it, or kohya-ss's arguments.
    """
    rank = len(down)
    if _PEFT in metadata:
        from peft.utils.other import get_pattern_key

        part, _, name = layer.partition(".")
        config: dict[str, Any] = json.loads(metadata[_PEFT])
        patterns = config.get(f"{part}.alpha_pattern") or {}
        usual = config.get(f"{part}.lora_alpha", rank)
        alpha = float(patterns.get(get_pattern_key(list(patterns), name), usual))
        return alpha / (math.sqrt(rank) if config.get(f"{part}.use_rslora") else rank)
    if _KOHYA in metadata:
        alpha = rank if metadata[_KOHYA] == "None" else float(metadata[_KOHYA])
        if down.ndim == 4 and down.shape[-1] > 1:  # its 3x3 convolutions may have their own
            arguments = json.loads(metadata.get("ss_network_args") or "{}") or {}
            if arguments.get("conv_dim") is not None:
                alpha = float(arguments.get("conv_alpha") or 1.0)
        return alpha / rank
    return 1.0
