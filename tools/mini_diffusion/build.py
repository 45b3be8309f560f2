"""The whole training of the miniature, stage after stage; finished stages are skipped."""

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny

from tools.mini_diffusion import cache, card, gate
from tools.mini_diffusion.autoencoder import Autoencoder
from tools.mini_diffusion.denoiser import Denoiser, cached_latents, load_learned, load_start
from tools.mini_diffusion.loop import RESULT, Machine, Stage, seconds_per_step, train
from tools.mini_diffusion.networks import (
    KINDS,
    Miniature,
    new_autoencoder,
    new_controlnet,
    new_text_encoder,
    new_tokenizer,
    new_unet,
    scale_controls,
)
from tools.mini_diffusion.recipe import Recipe, StageConfig, StageRun
from vidda.control.pose import PoseConfig
from vidda.device import torch_dtype
from vidda.errors import ViddaError
from vidda.files import atomic_folder, sha256, write_text
from vidda.run import RunFolder
from vidda.translate.stable_diffusion.loading import Models, load_models
from vidda.translate.stable_diffusion.weights_config import ControlNetConfig, WeightsConfig
from vidda.weights import Folder

STAGES = ("autoencoder", "denoiser")
BENCHED = 64
"""Scenes that are rendered to time the steps of the stages."""


class Builder:
    """Trains the miniature of a recipe in the recipe's folder."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        name = recipe.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        device = torch.device(name)
        precision = recipe.precision
        if precision == "auto":
            precision = "bf16" if device.type == "cuda" else "fp32"
        self.machine = Machine(device, precision)
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.benchmark = True

    @property
    def result(self) -> Path:
        """Return the pipeline's folder."""
        return self.recipe.out / RESULT

    def build(self, deadline: float) -> bool:
        """Run or resume all stages until the deadline; return whether all are finished.

        deadline: by time.monotonic().
        """
        cache.render(self._data, self.recipe.data, self.recipe.seed)
        if not all(self._trained(stage, deadline) for stage in self._stages):
            return False
        if not self.result.exists():
            model = self._model(trained=True)
            load_learned(model, self._folder("denoiser"))
            for net in model.controlnets.values():
                scale_controls(net, self.recipe.control_scale)
            with atomic_folder(self.result) as folder:
                model.save(folder)
        self.write_card()
        return True

    def measure(self, pose: PoseConfig, pictures: int, steps: int, guidance: float) -> bool:
        """Measure the result, write it into the model card, print it; return if the gate is passed.

        pictures: number of held-out images. steps, guidance: of the sampler.
        """
        if not self.result.exists():
            raise ViddaError(
                f"{self.result} does not exist yet; first run the same command without --gate"
            )
        precision = "bf16" if self.machine.precision == "bf16" else "fp32"
        models = load_miniature(self.result, self.machine.device, precision)
        chosen = self._held_out.some(pictures)
        found = gate.measure(models, chosen, pose, self.recipe.out, steps, guidance)
        gate.write_figures(self.recipe.out, found, len(chosen), steps, guidance)
        self.write_card()
        for way, views in found.items():
            for view, scores in views.items():
                pck, looks = scores.pose, scores.looks
                print(
                    f"{way:15s} {view:7s} PCK@0.1 {pck.all:6.1%}  wrists {pck.wrists:6.1%}"
                    f"  mottle {looks.mottle:4.1f}  edges {looks.edges:4.2f}"
                    f"  chroma {looks.chroma:4.1f}"
                )
        missed = gate.failures(found)
        print("\n".join(["gate NOT passed", *missed]) if missed else "gate passed")
        return not missed

    def seconds(self, steps: int) -> dict[str, float]:
        """Return seconds per step of each stage with random networks, on a few scenes."""
        few = {"scenes": min(BENCHED, self.recipe.data.scenes), "held_out": BENCHED}
        self.recipe = self.recipe.model_copy(
            update={"data": self.recipe.data.model_copy(update=few)}
        )
        cache.render(self._data, self.recipe.data, self.recipe.seed)
        found = {}
        for name in self._stages:
            stage = self._stage(name, trained=False)
            config: StageConfig = getattr(self.recipe, name)
            found[name] = seconds_per_step(stage, config, self.machine, 0, steps)
        return found

    def write_card(self) -> None:
        """Write the model card, replacing an earlier one."""
        card.write(self.result, self.recipe)

    @property
    def _data(self) -> Path:
        return self.recipe.out / "data"

    @property
    def _stages(self) -> tuple[str, ...]:
        """Return the stages to train; an autoencoder to start from is not trained further."""
        return STAGES if self.recipe.start is None else STAGES[1:]

    def _folder(self, stage: str) -> Path:
        return self.recipe.out / stage / RESULT

    @property
    def _autoencoder_folder(self) -> Path:
        start = self.recipe.start
        return self._folder("autoencoder") if start is None else start / "vae"

    @cached_property
    def _train(self) -> cache.SceneImages:
        return cache.load(self._data, self.recipe.data, self.recipe.seed, "train")

    @cached_property
    def _held_out(self) -> cache.SceneImages:
        return cache.load(self._data, self.recipe.data, self.recipe.seed, "held_out")

    def _trained(self, name: str, deadline: float) -> bool:
        """Train a stage; return False when the deadline came before its end."""
        recipe = self.recipe
        config: StageConfig = getattr(recipe, name)
        content = StageRun(
            stage=name,
            seed=recipe.seed,
            sizes=recipe.sizes,
            data=recipe.data.model_copy(update={"jobs": 0}),
            config=config,  # type: ignore[arg-type]
            precision=self.machine.precision,
        )
        path = recipe.out / name
        with RunFolder.open(path, content, self._made_from(name), resume=True) as run:
            if run.finished:
                return True
            if time.monotonic() >= deadline:
                return False
            with self._timed():
                stage = self._stage(name, trained=True)
                ended = train(run, stage, config, self.machine, recipe.seed, deadline)
            if ended:
                run.finish()
            return ended

    def _made_from(self, name: str) -> dict[str, str]:
        """Return the fingerprints of a stage's inputs: data and the results of earlier stages."""
        made = {"data": cache.fingerprint(self.recipe.data, self.recipe.seed)}
        if name != "autoencoder":
            made["autoencoder"] = _digest(self._autoencoder_folder)
        if self.recipe.start is not None:
            made["start"] = _digest(self.recipe.start / "unet")
        return made

    def _stage(self, name: str, *, trained: bool) -> Stage:
        """Return a stage before training; trained: based on the results of earlier stages."""
        recipe = self.recipe
        if name == "autoencoder":
            return Autoencoder(
                self._train,
                self._held_out,
                recipe.sizes,
                recipe.autoencoder,
                self.machine,
                recipe.samples,
                recipe.seed,
            )
        model = self._model(trained=trained)
        mark = _digest(self._autoencoder_folder) if trained else "random"
        sets = (("train", self._train), ("held_out", self._held_out))
        latents = tuple(
            cached_latents(
                model.vae,
                images,
                recipe.out / "latents" / f"{part}_{len(images)}_{mark[:12]}.safetensors",
                self.machine,
                f"latents of {part}",
            )
            for part, images in sets
        )
        return Denoiser(
            model,
            self._train,
            self._held_out,
            (latents[0], latents[1]),
            recipe.denoiser,
            self.machine,
            recipe.samples,
        )

    def _model(self, *, trained: bool) -> Miniature:
        """Return all networks before training; trained: with the trained autoencoder.

        Their weights are random, or those of `start`.
        """
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            words = new_tokenizer()
            unet = new_unet(recipe.sizes, recipe.data.size)
            model = Miniature(
                vae=_autoencoder(self._autoencoder_folder)
                if trained
                else new_autoencoder(recipe.sizes),
                text_encoder=new_text_encoder(recipe.sizes, words),
                words=words,
                unet=unet,
                controlnets={kind: new_controlnet(unet, recipe.sizes) for kind in KINDS},
            )
        if recipe.start is not None:
            load_start(model, recipe.start)
        return model

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Return a context that adds its duration to the training time in the model card."""
        start = time.monotonic()
        try:
            yield
        finally:
            file = self.recipe.out / card.COST
            spent = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            kind = _kind(self.machine.device)
            spent[kind] = spent.get(kind, 0.0) + time.monotonic() - start
            write_text(file, json.dumps(spent) + "\n")


def weights_config(folder: Path) -> WeightsConfig:
    """Return the weights config of a translation with the miniature in a folder."""
    nets = tuple(
        ControlNetConfig(kind=kind, source=Folder(path=folder / f"controlnet_{kind}"))  # type: ignore[arg-type]
        for kind in KINDS
    )
    return WeightsConfig(base=Folder(path=folder), controlnets=nets)


def load_miniature(folder: Path, device: torch.device, precision: str) -> Models:
    """Load the miniature in a folder as a translation does."""
    return load_models(weights_config(folder), device, torch_dtype(precision))  # type: ignore[index]


def _digest(folder: Path) -> str:
    """Return the SHA-256 of a network's weights in its folder, as hex digits."""
    return sha256(next(folder.glob("*.safetensors")))


def _autoencoder(folder: Path) -> Any:
    return AutoencoderTiny.from_pretrained(folder, use_safetensors=True, local_files_only=True)


def _kind(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads of a CPU ({platform.machine()})"
