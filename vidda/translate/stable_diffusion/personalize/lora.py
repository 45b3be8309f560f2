"""LoRA: low-rank updates of the UNet's attention are trained on the target (arXiv 2106.09685)."""

from pathlib import Path
from typing import Literal

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig as PeftConfig
from peft import get_peft_model_state_dict
from pydantic import Field
from torch import nn

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.denoiser_learner import (
    DenoiserLearner,
    encode_once,
)
from vidda.translate.stable_diffusion.personalize.dreambooth import check_prompts
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.prior import PriorConfig, prepare_prior
from vidda.translate.stable_diffusion.personalize.prompt_tokens import fill_template, token_ids
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig


class LoraTrainingConfig(TrainingConfig):
    """LoRA training: its result is a few megabytes; the defaults are those of diffusers' script."""

    name: Literal["lora"] = "lora"
    lr: float = Field(default=1e-4, gt=0, description="highest learning rate")
    token: str = Field(default="sks", description="a rare word that will mean the target domain")
    prompt: str = Field(
        default="an object in the style of {token} object",
        description="prompt of the target frames; {token} is replaced by token",
    )
    rank: int = Field(default=4, ge=1, description="rank of the low-rank updates")
    targets: tuple[str, ...] = Field(
        default=("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="layers of the UNet that get an update, by the ends of their names",
    )
    prior: PriorConfig | None = Field(default=None, description="prior preservation; null: none")
    min_snr: float | None = Field(
        default=None, gt=0, description="gamma of min-SNR loss weighting, usually 5; null: none"
    )

    @property
    def caption(self) -> str:
        """Return the prompt of the target frames, with the token filled in."""
        return fill_template(self.prompt, self.token, "method.prompt")

    def check(self, models: Models) -> None:
        """Raise ViddaError with a line for each prompt or layer name that does not fit the base."""
        problems = [
            f"method.targets: no layer of the UNet ends in {target!r}; to_q is one"
            for target in self.targets
            if not _layers(models.unet, (target,))
        ]
        try:
            check_prompts(models, self.caption, self.prior)
        except ViddaError as error:
            problems += str(error).splitlines()
        if problems:
            raise ViddaError("\n".join(problems))

    def trainable_count(self, models: Models) -> int:
        """Return the number of weights that are trained."""
        layers = _layers(models.unet, self.targets)
        return sum(self.rank * sum(layer.weight.shape[:2]) for layer in layers)

    def build(self, settings: LearnerSettings) -> DenoiserLearner:
        """Return the learner; renders the class images of the prior that do not exist yet."""
        models = settings.models
        prompts = [self.caption, *([self.prior.prompt] if self.prior else [])]
        ids = token_ids(models.tokenizer, prompts, "method.prompt")
        prior = prepare_prior(settings, self.prior, 1) if self.prior else None
        adapter = PeftConfig(
            r=self.rank,
            lora_alpha=self.rank,
            init_lora_weights="gaussian",
            target_modules=list(self.targets),
        )
        models.unet.requires_grad_(False)
        device = settings.accelerator.device
        # peft initializes from the global generators.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            models.unet.add_adapter(adapter)

        def save(folder: Path) -> None:
            layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(models.unet))
            StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)

        return DenoiserLearner(
            settings,
            {name: p for name, p in models.unet.named_parameters() if p.requires_grad},
            encode_once(settings, ids),
            prompts=1,
            caption=self.caption,
            min_snr=self.min_snr,
            prior=prior,
            checkpointing=self.gradient_checkpointing,
            save=save,
        )


def _layers(unet: nn.Module, targets: tuple[str, ...]) -> list[nn.Linear | nn.Conv2d]:
    """Return the layers that peft adapts, by peft's own rule."""
    return [
        module
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and any(name == target or name.endswith(f".{target}") for target in targets)
    ]
