"""DreamBooth: the whole UNet learns the target as a rare word (arXiv 2208.12242)."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.denoiser_learner import (
    DenoiserLearner,
    encode_once,
)
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.prior import PriorConfig, prepare_prior
from vidda.translate.stable_diffusion.personalize.prompt_tokens import fill_template, token_ids
from vidda.translate.stable_diffusion.personalize.render_images import save_pipeline
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig


class DreamBoothConfig(TrainingConfig):
    """DreamBooth fine-tuning of the UNet, with images of the class for prior preservation.

    The defaults are the published recipe's: 800 steps of 1 frame at a rate of 2e-6.
    """

    name: Literal["dreambooth"] = "dreambooth"
    lr: float = Field(default=2e-6, gt=0, description="highest learning rate")
    gradient_checkpointing: bool = Field(
        default=True, description="compute activations twice: less memory, a quarter more time"
    )
    token: str = Field(default="sks", description="a rare word that will mean the target domain")
    prompt: str = Field(
        default="an object in the style of {token} object",
        description="prompt of the target frames; {token} is replaced by token",
    )
    prior: PriorConfig | None = Field(
        default=PriorConfig(),
        description="prior preservation; null: none, the model may forget the class",
    )
    min_snr: float | None = Field(
        default=None, gt=0, description="gamma of min-SNR loss weighting, usually 5; null: none"
    )

    @property
    def caption(self) -> str:
        """Return the prompt of the target frames, with the token filled in."""
        return fill_template(self.prompt, self.token, "method.prompt")

    def check(self, models: Models) -> None:
        """Raise ViddaError when the base's tokenizer cannot read a prompt."""
        check_prompts(models, self.caption, self.prior)

    def trainable_count(self, models: Models) -> int:
        """Return the number of weights that are trained."""
        return sum(parameter.numel() for parameter in models.unet.parameters())

    def build(self, settings: LearnerSettings) -> DenoiserLearner:
        """Return the learner; renders the class images of the prior that do not exist yet."""
        models = settings.models

        def save(folder: Path) -> None:
            save_pipeline(models, folder)

        prompts = [self.caption, *([self.prior.prompt] if self.prior else [])]
        ids = token_ids(models.tokenizer, prompts, "method.prompt")
        prior = prepare_prior(settings, self.prior, 1) if self.prior else None
        models.unet.requires_grad_(True)
        return DenoiserLearner(
            settings,
            dict(models.unet.named_parameters()),
            encode_once(settings, ids),
            prompts=1,
            caption=self.caption,
            min_snr=self.min_snr,
            prior=prior,
            checkpointing=self.gradient_checkpointing,
            save=save,
        )


def check_prompts(models: Models, caption: str, prior: PriorConfig | None) -> None:
    """Raise ViddaError with a line for each prompt that the base's tokenizer cannot read."""
    problems = []
    prompts = {"method.prompt": caption}
    if prior is not None:
        prompts["method.prior.prompt"] = prior.prompt
    for key, prompt in prompts.items():
        try:
            token_ids(models.tokenizer, [prompt], key)
        except ViddaError as error:
            problems.append(str(error))
    if problems:
        raise ViddaError("\n".join(problems))
