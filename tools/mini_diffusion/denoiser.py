"""Stage 2: joint training of text encoder, UNet and ControlNets as a denoiser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tools.mini_diffusion import controls
from tools.mini_diffusion.autoencoder import CHUNK, encode_frames
from tools.mini_diffusion.cache import SceneImages
from tools.mini_diffusion.loop import Machine
from tools.mini_diffusion.networks import Miniature, sampling_scheduler, training_scheduler
from tools.mini_diffusion.recipe import DenoiserStage
from vidda.errors import ViddaError
from vidda.files import atomic
from vidda.progress import meter
from vidda.translate.stable_diffusion.personalize.encoded_frames import to_frames
from vidda.translate.stable_diffusion.personalize.objective import prediction_target
from vidda.translate.stable_diffusion.personalize.render_images import image_grid

MEASURED = 128
LEVELS = (150, 350, 550, 750, 950)
STEPS, GUIDANCE = 10, 2.0


class Denoiser:
    """A `loop.Stage` that trains the text encoder, UNet and ControlNets of a miniature.

    latents: of the training and of the held-out images, (N, C, h, w) float16 of unit deviation.
    samples: images in a row of a contact sheet.
    """

    def __init__(
        self,
        model: Miniature,
        train: SceneImages,
        held_out: SceneImages,
        latents: tuple[torch.Tensor, torch.Tensor],
        config: DenoiserStage,
        machine: Machine,
        samples: int,
    ) -> None:
        self._model, self._config, self._machine = model, config, machine
        self._samples, self.size = samples, len(train)
        self._noise = training_scheduler()
        device = machine.device
        self._latents, self._held_out = (part.to(device) for part in latents)
        self._held_out = self._held_out[:MEASURED]
        self._factor = train.facts.shape[-1] // self._latents.shape[-1]
        self._facts = torch.from_numpy(train.facts).to(device)
        self._held_out_facts = torch.from_numpy(held_out.facts[:MEASURED]).to(device)
        self._frames = held_out.frames[:samples]
        self._ids = self._tokens(train.captions)
        self._held_out_ids = self._tokens(held_out.captions[:MEASURED])[:, 0]
        self._no_words = self._tokens([[""]])[0, 0]
        model.vae.requires_grad_(False).to(device)
        self.learned: Mapping[str, torch.nn.Parameter] = {
            f"{part}.{name}": parameter.requires_grad_(True)
            for part, module in trained_modules(model).items()
            for name, parameter in module.to(device).named_parameters()
        }

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return `loss`, the squared error of the predicted velocity, larger on people.

        numbers: (B,) of training images. generator: of all random numbers, on the device.
        """
        config, device, count = self._config, self._machine.device, len(numbers)
        numbers = numbers.to(device)
        (rows, columns), factor = self._cut(generator), self._factor
        clean = self._latents[numbers][..., rows, columns].float()
        facts = self._facts[numbers]
        facts = facts[:, _pixels(rows, factor), _pixels(columns, factor)]
        noise = torch.randn(clean.shape, generator=generator, device=device)
        times = self._times(count, generator)
        noisy = self._noise.add_noise(clean, noise, times)
        wanted = prediction_target(self._noise, clean, noise, times)
        maps = controls.training_maps(facts, config, generator)
        predicted = self._predict(noisy, times, self._captions(numbers, generator), maps)
        important = config.person * controls.surroundings(facts, 2)
        important += config.arms * controls.arms(facts)
        grid = (clean.shape[-2], clean.shape[-1])
        weight = 1.0 + F.adaptive_avg_pool2d(important, grid)
        squared = (predicted.float() - wanted).square() * (weight / weight.mean())
        return {"loss": squared.mean()}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the mean squared error of the velocity on held-out images, at fixed timesteps."""
        clean = self._held_out.float()
        maps = self._maps(slice(None))
        errors = []
        for level in LEVELS:
            generator = torch.Generator().manual_seed(level)
            noise = torch.randn(clean.shape, generator=generator).to(clean.device)
            for at in range(0, len(clean), CHUNK):
                part = slice(at, at + CHUNK)
                times = torch.full((len(clean[part]),), level, device=clean.device)
                noisy = self._noise.add_noise(clean[part], noise[part], times)
                wanted = prediction_target(self._noise, clean[part], noise[part], times)
                chosen = {kind: images[part] for kind, images in maps.items()}
                with self._machine.autocast():
                    predicted = self._predict(noisy, times, self._held_out_ids[part], chosen)
                errors.append((predicted.float() - wanted).square().mean((1, 2, 3)))
        return {"loss": float(torch.cat(errors).mean())}

    def contact_sheet(self) -> np.ndarray:
        """Return held-out images above their control maps and samples, (H, W, 3) uint8."""
        part = slice(self._samples)
        maps = self._maps(part)
        rows = [self._frames]
        rows += [to_frames(images * 2.0 - 1.0) for images in maps.values()]
        return image_grid([*rows, self._samples_of(part, maps)])

    def save(self, folder: Path) -> None:
        """Write the trained weights in their own precision, for `load_learned`."""
        kept = {name: value.detach().cpu().contiguous() for name, value in self.learned.items()}
        save_file(kept, folder / LEARNED)

    @torch.no_grad()
    def _samples_of(self, part: slice, maps: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Return samples from pure noise with the captions and maps of held-out images."""
        scheduler = sampling_scheduler()
        scheduler.set_timesteps(STEPS)
        ids = self._held_out_ids[part]
        noise = torch.randn(self._held_out[part].shape, generator=torch.Generator().manual_seed(0))
        latents = noise.to(ids.device)
        both = torch.cat([self._no_words.expand_as(ids), ids])
        twice = {kind: torch.cat([images, images]) for kind, images in maps.items()}
        for time in scheduler.timesteps:
            times = time.to(ids.device).expand(len(both))
            with self._machine.autocast():
                output = self._predict(torch.cat([latents, latents]), times, both, twice)
            unconditional, conditional = output.float().chunk(2)
            guided = unconditional + GUIDANCE * (conditional - unconditional)
            latents = scheduler.step(guided, time, latents).prev_sample
        with self._machine.autocast():
            decoded = self._model.vae.decode(latents / self._model.vae.config.scaling_factor)
        return to_frames(decoded.sample.float().cpu())

    def _predict(
        self,
        noisy: torch.Tensor,
        times: torch.Tensor,
        ids: torch.Tensor,
        maps: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Return the UNet's output, with the ControlNets of the kinds in maps."""
        states = self._model.text_encoder(ids)[0]
        down: list[torch.Tensor] = []
        middle: torch.Tensor | None = None
        for kind, images in maps.items():
            added, lowest = self._model.controlnets[kind](
                noisy, times, states, images, return_dict=False
            )
            down = [a + b for a, b in zip(down, added, strict=True)] if down else added
            middle = lowest if middle is None else middle + lowest
        output: torch.Tensor = self._model.unet(
            noisy,
            times,
            states,
            down_block_additional_residuals=tuple(down) or None,
            mid_block_additional_residual=middle,
        ).sample
        return output

    def _cut(self, generator: torch.Generator) -> tuple[slice, slice]:
        """Return the rows and columns of a step's random crop, by the generator's seed alone.

        Convolutions learn the same from crops as from whole images, at a third of the cost.
        """
        config, size = self._config, self._latents.shape[-1]
        rng = np.random.default_rng(generator.initial_seed())
        side = size if rng.random() < config.whole else min(config.cut // self._factor, size)
        top, left = (int(first) for first in rng.integers(0, size - side + 1, 2))
        return slice(top, top + side), slice(left, left + side)

    def _times(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return timesteps, spread evenly over the batch, some of them replaced by the last."""
        device, last = self._machine.device, self._noise.config.num_train_timesteps
        first, top = torch.rand(2, count, generator=generator, device=device)
        spread = (torch.arange(count, device=device) + first) / count
        times = (spread * last).long().clamp(max=last - 1)
        return torch.where(top < self._config.pure_noise, last - 1, times)

    def _captions(self, numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return token ids (B, L) of a random caption of each image; some are left empty."""
        device = self._machine.device
        choice, dropped = torch.rand(2, len(numbers), generator=generator, device=device)
        chosen = self._ids[numbers, (choice * self._ids.shape[1]).long()]
        return torch.where((dropped < self._config.no_caption)[:, None], self._no_words, chosen)

    def _maps(self, part: slice) -> Mapping[str, torch.Tensor]:
        return controls.inference_maps(self._held_out_facts[part])

    def _tokens(self, captions: list[list[str]]) -> torch.Tensor:
        """Return the token ids of N times K captions, (N, K, L) on the device."""
        words = self._model.words
        flat = [text for texts in captions for text in texts]
        ids = words(flat, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return ids.unflatten(0, (len(captions), -1)).to(self._machine.device)


LEARNED = "learned.safetensors"


def load_start(model: Miniature, folder: Path) -> None:
    """Load the weights of an earlier result, of the same sizes, into a model.

    folder: of the pipeline in diffusers' format. Raises ViddaError when the sizes differ.
    """
    for part, module in trained_modules(model).items():
        own = folder / (f"controlnet_{part}" if part in model.controlnets else part)
        try:
            module.load_state_dict(load_file(next(own.glob("*.safetensors"))))
        except RuntimeError:
            raise ViddaError(
                f"start {folder}: its {own.name} has other sizes; set `sizes` to those of its model"
                " card, or train from random weights with start=null"
            ) from None


def load_learned(model: Miniature, folder: Path) -> None:
    """Load the weights that `Denoiser.save` wrote into a folder into a model."""
    learned = load_file(folder / LEARNED)
    for part, module in trained_modules(model).items():
        first = f"{part}."
        module.load_state_dict(
            {name.removeprefix(first): v for name, v in learned.items() if name.startswith(first)}
        )


def trained_modules(model: Miniature) -> Mapping[str, Any]:
    """Return the networks that this stage trains, by name: all but the autoencoder."""
    return {"text_encoder": model.text_encoder, "unet": model.unet, **model.controlnets}


def _pixels(cells: slice, factor: int) -> slice:
    """Return a slice of latents as a slice of pixels."""
    return slice(cells.start * factor, cells.stop * factor)


def cached_latents(
    vae: Any, images: SceneImages, file: Path, machine: Machine, label: str
) -> torch.Tensor:
    """Return the scaled latents of images, (N, C, h, w) float16, cached in a file."""
    if not file.exists():
        parts = []
        vae.requires_grad_(False).to(machine.device)
        with meter(label=label, total=len(images), unit="images") as passed:
            for at in range(0, len(images), 8 * CHUNK):
                parts.append(encode_frames(vae, images.frames[at : at + 8 * CHUNK], machine))
                passed(len(parts[-1]))
        with atomic(file) as temporary:
            save_file({"latents": torch.cat(parts) * vae.config.scaling_factor}, temporary)
    return load_file(file)["latents"]
