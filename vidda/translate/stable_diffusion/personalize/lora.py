"""LoRA: low-rank additions to the UNet's attention learn the target (arXiv 2106.09685)."""

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
from vidda.translate.stable_diffusion.personalize.denoiser_learner import DenoiserLearner, fixed
from vidda.translate.stable_diffusion.personalize.dreambooth import check_prompts
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.prior import PriorConfig, prepare
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig
from vidda.translate.stable_diffusion.personalize.wording import filled, token_ids


class LoraTrainingConfig(TrainingConfig):
    """A file of a few megabytes that is added to the base; the defaults are diffusers' own."""

    name: Literal["lora"] = "lora"
    lr: float = Field(default=1e-4, gt=0, description="highest learning rate")
    token: str = Field(default="sks", description="a rare word that comes to stand for the target")
    prompt: str = Field(
        default="an object in the style of {token} object", description="of a target frame"
    )
    rank: int = Field(default=4, ge=1, description="of the additions")
    targets: tuple[str, ...] = Field(
        default=("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="ends of the names of the UNet's layers that are added to",
    )
    prior: PriorConfig | None = Field(default=None, description="prior preservation; null: none")
    min_snr: float | None = Field(
        default=None, gt=0, description="cut-off of min-SNR weighting, usually 5; null: none"
    )

    @property
    def caption(self) -> str:
        """Return the prompt of a target frame."""
        return filled(self.prompt, self.token, "method.prompt")

    def check(self, models: Models) -> None:
        """Raise ViddaError where a prompt or the names of layers do not suit the base."""
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

    def learning(self, models: Models) -> int:
        """Return how many weights learn."""
        layers = _layers(models.unet, self.targets)
        return sum(self.rank * sum(layer.weight.shape[:2]) for layer in layers)

    def build(self, setting: LearnerSettings) -> DenoiserLearner:
        """Return the method at work; draws the class pictures, where it has to."""
        models = setting.models
        prompts = [self.caption, *([self.prior.prompt] if self.prior else [])]
        ids = token_ids(models.tokenizer, prompts, "method.prompt")
        prior = prepare(setting, self.prior, 1) if self.prior else None
        adapter = PeftConfig(
            r=self.rank,
            lora_alpha=self.rank,
            init_lora_weights="gaussian",
            target_modules=list(self.targets),
        )
        models.unet.requires_grad_(False)
        device = setting.accelerator.device
        # peft draws from the global generators.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(setting.seed)
            models.unet.add_adapter(adapter)

        def save(folder: Path) -> None:
            layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(models.unet))
            StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)

        return DenoiserLearner(
            setting,
            {name: p for name, p in models.unet.named_parameters() if p.requires_grad},
            fixed(setting, ids),
            prompts=1,
            caption=self.caption,
            min_snr=self.min_snr,
            prior=prior,
            checkpointing=self.gradient_checkpointing,
            save=save,
        )


def _layers(unet: nn.Module, targets: tuple[str, ...]) -> list[nn.Linear | nn.Conv2d]:
    """Return the layers that peft would take, by the same rule."""
    return [
        module
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and any(name == target or name.endswith(f".{target}") for target in targets)
    ]
