"""Stage 2: text encoder, UNet and ControlNets learn to take noise away."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tools.mini_diffusion import controls
from tools.mini_diffusion.autoencoder import CHUNK, encoded
from tools.mini_diffusion.cache import Pictures
from tools.mini_diffusion.loop import Machine
from tools.mini_diffusion.networks import Miniature, sampling_noise, training_noise
from tools.mini_diffusion.recipe import DenoiserStage
from vidda.files import atomic
from vidda.progress import meter
from vidda.translate.stable_diffusion.personalize.encoded_frames import to_frames
from vidda.translate.stable_diffusion.personalize.objective import target
from vidda.translate.stable_diffusion.personalize.render_images import sheet

MEASURED = 128
LEVELS = (150, 350, 550, 750, 950)
STEPS, GUIDANCE = 10, 2.0


class Denoiser:
    """See `loop.Stage`.

    latents: (N, C, h, w) float16 of the training pictures, of unit deviation; the held-out ones'
    likewise.
    """

    def __init__(
        self,
        model: Miniature,
        train: Pictures,
        held_out: Pictures,
        latents: tuple[torch.Tensor, torch.Tensor],
        config: DenoiserStage,
        machine: Machine,
        samples: int,
    ) -> None:
        self._model, self._config, self._machine = model, config, machine
        self._samples, self.size = samples, len(train)
        self._noise = training_noise()
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
            for part, module in learning(model).items()
            for name, parameter in module.to(device).named_parameters()
        }

    def terms(self, numbers: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return the error of the predicted velocity, in which people count for more."""
        config, device, count = self._config, self._machine.device, len(numbers)
        numbers = numbers.to(device)
        (rows, columns), factor = self._cut(generator), self._factor
        clean = self._latents[numbers][..., rows, columns].float()
        facts = self._facts[numbers]
        facts = facts[:, _pixels(rows, factor), _pixels(columns, factor)]
        noise = torch.randn(clean.shape, generator=generator, device=device)
        times = self._times(count, generator)
        noisy = self._noise.add_noise(clean, noise, times)
        wanted = target(self._noise, clean, noise, times)
        maps = controls.shown(facts, config, generator)
        predicted = self._predict(noisy, times, self._said(numbers, generator), maps)
        weight = 1.0 + config.person * F.adaptive_avg_pool2d(
            controls.surroundings(facts, 2), (clean.shape[-2], clean.shape[-1])
        )
        squared = (predicted.float() - wanted).square() * (weight / weight.mean())
        return {"loss": squared.mean()}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the mean squared error of the velocity on held-out pictures, at fixed levels."""
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
                wanted = target(self._noise, clean[part], noise[part], times)
                seen = {kind: found[part] for kind, found in maps.items()}
                with self._machine.autocast():
                    predicted = self._predict(noisy, times, self._held_out_ids[part], seen)
                errors.append((predicted.float() - wanted).square().mean((1, 2, 3)))
        return {"loss": float(torch.cat(errors).mean())}

    def sheet(self) -> np.ndarray:
        """Held-out pictures, what the ControlNets see of them, and what is drawn from noise."""
        part = slice(self._samples)
        maps = self._maps(part)
        rows = [self._frames]
        rows += [to_frames(seen * 2.0 - 1.0) for seen in maps.values()]
        return sheet([*rows, self._drawn(part, maps)])

    def save(self, folder: Path) -> None:
        """Write what learned, as it is in memory; `fill` reads it."""
        kept = {name: value.detach().cpu().contiguous() for name, value in self.learned.items()}
        save_file(kept, folder / LEARNED)

    @torch.no_grad()
    def _drawn(self, part: slice, maps: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Pictures with the held-out captions and maps, from pure noise."""
        scheduler = sampling_noise()
        scheduler.set_timesteps(STEPS)
        ids = self._held_out_ids[part]
        noise = torch.randn(self._held_out[part].shape, generator=torch.Generator().manual_seed(0))
        latents = noise.to(ids.device)
        both = torch.cat([self._no_words.expand_as(ids), ids])
        twice = {kind: torch.cat([seen, seen]) for kind, seen in maps.items()}
        for time in scheduler.timesteps:
            times = time.to(ids.device).expand(len(both))
            with self._machine.autocast():
                output = self._predict(torch.cat([latents, latents]), times, both, twice)
            plain, told = output.float().chunk(2)
            guided = plain + GUIDANCE * (told - plain)
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
        """Return the UNet's output, helped by the ControlNets that there are maps for."""
        states = self._model.text_encoder(ids)[0]
        down: list[torch.Tensor] = []
        middle: torch.Tensor | None = None
        for kind, seen in maps.items():
            added, lowest = self._model.controlnets[kind](
                noisy, times, states, seen, return_dict=False
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
        """Which of the latents a step sees, by the generator's seed alone.

        Convolutions learn from a part of a picture what they do in all of it, at a third of the
        price.
        """
        config, size = self._config, self._latents.shape[-1]
        rng = np.random.default_rng(generator.initial_seed())
        side = size if rng.random() < config.whole else min(config.cut // self._factor, size)
        top, left = (int(first) for first in rng.integers(0, size - side + 1, 2))
        return slice(top, top + side), slice(left, left + side)

    def _times(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Levels of noise, spread evenly over the batch, but for those that are at the very top."""
        device, last = self._machine.device, self._noise.config.num_train_timesteps
        first, top = torch.rand(2, count, generator=generator, device=device)
        spread = (torch.arange(count, device=device) + first) / count
        times = (spread * last).long().clamp(max=last - 1)
        return torch.where(top < self._config.pure_noise, last - 1, times)

    def _said(self, numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one of the captions of each picture, (B, L), or none."""
        device = self._machine.device
        which, silent = torch.rand(2, len(numbers), generator=generator, device=device)
        chosen = self._ids[numbers, (which * self._ids.shape[1]).long()]
        return torch.where((silent < self._config.no_caption)[:, None], self._no_words, chosen)

    def _maps(self, part: slice) -> Mapping[str, torch.Tensor]:
        return controls.at_use(self._held_out_facts[part])

    def _tokens(self, captions: list[list[str]]) -> torch.Tensor:
        """Ids of captions, N times K of them, (N, K, L) on the device."""
        words = self._model.words
        flat = [text for texts in captions for text in texts]
        ids = words(flat, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return ids.unflatten(0, (len(captions), -1)).to(self._machine.device)


LEARNED = "learned.safetensors"


def fill(model: Miniature, folder: Path) -> None:
    """Give the parts of a model what a stage has learned; see `Denoiser.save`."""
    learned = load_file(folder / LEARNED)
    for part, module in learning(model).items():
        first = f"{part}."
        module.load_state_dict(
            {name.removeprefix(first): v for name, v in learned.items() if name.startswith(first)}
        )


def learning(model: Miniature) -> Mapping[str, Any]:
    """Return the parts that learn in this stage, all but the autoencoder."""
    return {"text_encoder": model.text_encoder, "unet": model.unet, **model.controlnets}


def _pixels(cells: slice, factor: int) -> slice:
    """Cells of the latents as pixels."""
    return slice(cells.start * factor, cells.stop * factor)


def latents_of(
    vae: Any, pictures: Pictures, file: Path, machine: Machine, label: str
) -> torch.Tensor:
    """Return the scaled latents of pictures, (N, C, h, w) float16, computed once and kept in a
    file.
    """
    if not file.exists():
        parts = []
        vae.requires_grad_(False).to(machine.device)
        with meter(label=label, total=len(pictures), unit="pictures") as passed:
            for at in range(0, len(pictures), 8 * CHUNK):
                parts.append(encoded(vae, pictures.frames[at : at + 8 * CHUNK], machine))
                passed(len(parts[-1]))
        with atomic(file) as temporary:
            save_file({"latents": torch.cat(parts) * vae.config.scaling_factor}, temporary)
    return load_file(file)["latents"]
