"""The folder layout of models as diffusers and transformers write them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidda.files import inside
from vidda.weights import Folder, Hub

DIFFUSERS = "diffusion_pytorch_model"
TRANSFORMERS = "model"
"""The stems of weight files in either library's folders."""
SCHEDULER = "scheduler/scheduler_config.json"

JsonContent = dict[str, Any]
"""The content of a JSON file, such as a model's config.json."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One model's folder.

    path: the folder. config: content of its config.json. files: its *.safetensors files. variant:
    part of the files' names, such as fp16, or None.
    """

    path: Path
    config: JsonContent
    files: tuple[Path, ...]
    variant: str | None


def model_files(stem: str, variant: str | None, below: str = "") -> list[str]:
    """Return patterns of one model's files in a repository: config, weights and shard index.

    stem: of the weight files' names. variant: part of these names, such as fp16, or None. below:
    the model's folder in the repository, with its slash.
    """
    dot = f".{variant}" if variant else ""
    names = ["config.json", f"{stem}{dot}.safetensors", f"{stem}*-of-*.safetensors"]
    return [below + name for name in [*names, f"{stem}.safetensors.index{dot}.json"]]


def pipeline_files(variant: str | None) -> list[str]:
    """Return patterns of the files that are read from a whole pipeline's repository.

    variant: part of the weight files' names, such as fp16, or None.
    """
    return [
        "model_index.json",
        SCHEDULER,
        "tokenizer/*",
        *model_files(DIFFUSERS, variant, "vae/"),
        *model_files(DIFFUSERS, variant, "unet/"),
        *model_files(TRANSFORMERS, variant, "text_encoder/"),
    ]


def weight_files(folder: Path, stem: str, variant: str | None) -> tuple[Path, ...]:
    """Return the *.safetensors of a model; an empty tuple when one of them is missing.

    folder: the model's. stem: of the files' names. variant: part of these names, such as fp16, or
    None. Several files are listed by the index of shards.
    """
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


def missing_weights_message(folder: Path, stem: str, source: Folder | Hub, key: str) -> str:
    """Return which weights a folder lacks and what to do about it, as the end of a message.

    stem: of the weight files' names. source: the config of the folder or repository. key: its
    config key.
    """
    dot = f".{source.variant}" if source.variant else ""
    pickles = sorted([*folder.glob("*.bin"), *folder.glob("*.ckpt"), *folder.glob("*.pt")])
    if pickles:
        return (
            f"no {stem}{dot}.safetensors ({pickles[0].name} is a pickle, which vidda does not"
            " load); name a folder with safetensors, or save it with diffusers' save_pretrained"
        )
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    also = f" (there is {', '.join(others)}; is it another variant?)" if others else ""
    return f"no {stem}{dot}.safetensors{also}; {source.missing_remedy(key)}"


def pipeline_hint(path: Path, pipeline: str = "StableDiffusionPipeline") -> str:
    """Return what to name instead of a path that is no pipeline's folder, for a message.

    pipeline: the class of the wanted one.
    """
    if (path / "config.json").is_file():
        return "it is one model's folder: name the pipeline's that holds vae/, unet/ and the rest"
    single = path if path.is_file() else next(iter(sorted(path.glob("*.safetensors"))), None)
    if single is not None and pipeline.startswith("StableDiffusion"):
        return (
            f"{single.name} alone is no pipeline: convert it once with diffusers'"
            f" {pipeline}.from_single_file(...).save_pretrained(FOLDER)"
        )
    return "name a folder as diffusers' save_pretrained writes it"
