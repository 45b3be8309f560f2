"""What the folders of models hold, as diffusers and transformers write them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.files import inside
from vidda.weights import Folder, Hub

DIFFUSERS = "diffusion_pytorch_model"
TRANSFORMERS = "model"
"""How the files of weights start in either library's folders."""
SCHEDULER = "scheduler/scheduler_config.json"

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FolderPart:
    """One model's folder: its config and the *.safetensors that are read."""

    folder: Path
    config: Content
    files: tuple[Path, ...]
    variant: str | None


def model_files(stem: str, variant: str | None, below: str = "") -> list[str]:
    """Return patterns of one model's files in a repository: config, weights, and the index of
    shards.
    """
    dot = f".{variant}" if variant else ""
    names = ["config.json", f"{stem}{dot}.safetensors", f"{stem}*-of-*.safetensors"]
    return [below + name for name in [*names, f"{stem}.safetensors.index{dot}.json"]]


def pipeline_files(variant: str | None) -> list[str]:
    """Return patterns of a whole pipeline's files in a repository."""
    return [
        "model_index.json",
        SCHEDULER,
        "tokenizer/*",
        *model_files(DIFFUSERS, variant, "vae/"),
        *model_files(DIFFUSERS, variant, "unet/"),
        *model_files(TRANSFORMERS, variant, "text_encoder/"),
    ]


def weights_in(folder: Path, stem: str, variant: str | None) -> tuple[Path, ...]:
    """Return the *.safetensors of a model, none when one is not there."""
    dot = f".{variant}" if variant else ""
    index = folder / f"{stem}.safetensors.index{dot}.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError):
            return ()
        files = tuple(inside(folder, name) for name in sorted(shards))
    else:
        files = (folder / f"{stem}{dot}.safetensors",)
    return files if all(file.is_file() for file in files) else ()


def why_no_weights(folder: Path, stem: str, source: Folder | Hub, key: str) -> str:
    """Which weights are missing from a folder, and what to do."""
    dot = f".{source.variant}" if source.variant else ""
    pickles = sorted([*folder.glob("*.bin"), *folder.glob("*.ckpt"), *folder.glob("*.pt")])
    if pickles:
        return (
            f"no {stem}{dot}.safetensors ({pickles[0].name} is a pickle, which vidda does not"
            " load); name a folder with safetensors, or save it with diffusers' save_pretrained"
        )
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    also = f" (there is {', '.join(others)}; is it another variant?)" if others else ""
    return f"no {stem}{dot}.safetensors{also}; {source.missing(key)}"


def what_instead(place: Path) -> str:
    """What to name instead of a place that is no pipeline's folder."""
    if (place / "config.json").is_file():
        return "it is one model's folder: name the pipeline's that holds vae/, unet/ and the rest"
    single = place if place.is_file() else next(iter(sorted(place.glob("*.safetensors"))), None)
    if single is not None:
        return (
            f"{single.name} alone is no pipeline: convert it once with diffusers'"
            " StableDiffusionPipeline.from_single_file(...).save_pretrained(FOLDER)"
        )
    return "name a folder as diffusers' save_pretrained writes it"
