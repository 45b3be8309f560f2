"""DreamBooth: all of the UNet learns what a rare word stands for (arXiv 2208.12242)."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.denoiser_learner import DenoiserLearner, fixed
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.prior import PriorConfig, prepare
from vidda.translate.stable_diffusion.personalize.render_images import save_pipeline
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig
from vidda.translate.stable_diffusion.personalize.wording import filled, token_ids


class DreamBoothConfig(TrainingConfig):
    """The UNet learns, beside the frames, pictures of the class that the base drew.

    The defaults are the published recipe's: 800 steps of 1 frame at a rate of 2e-6.
    """

    name: Literal["dreambooth"] = "dreambooth"
    lr: float = Field(default=2e-6, gt=0, description="highest learning rate")
    gradient_checkpointing: bool = Field(
        default=True, description="less memory for a quarter more time: compute activations twice"
    )
    token: str = Field(default="sks", description="a rare word that comes to stand for the target")
    prompt: str = Field(
        default="an object in the style of {token} object", description="of a target frame"
    )
    prior: PriorConfig | None = Field(
        default=PriorConfig(), description="prior preservation; null: the class may be forgotten"
    )
    min_snr: float | None = Field(
        default=None, gt=0, description="cut-off of min-SNR weighting, usually 5; null: none"
    )

    @property
    def caption(self) -> str:
        """Return the prompt of a target frame."""
        return filled(self.prompt, self.token, "method.prompt")

    def check(self, models: Models) -> None:
        """Raise ViddaError where a prompt does not suit the base."""
        check_prompts(models, self.caption, self.prior)

    def learning(self, models: Models) -> int:
        """Return how many weights learn."""
        return sum(parameter.numel() for parameter in models.unet.parameters())

    def build(self, setting: LearnerSettings) -> DenoiserLearner:
        """Return the method at work; draws the class pictures, where it has to."""
        models = setting.models

        def save(folder: Path) -> None:
            save_pipeline(models, folder)

        prompts = [self.caption, *([self.prior.prompt] if self.prior else [])]
        ids = token_ids(models.tokenizer, prompts, "method.prompt")
        prior = prepare(setting, self.prior, 1) if self.prior else None
        models.unet.requires_grad_(True)
        return DenoiserLearner(
            setting,
            dict(models.unet.named_parameters()),
            fixed(setting, ids),
            prompts=1,
            caption=self.caption,
            min_snr=self.min_snr,
            prior=prior,
            checkpointing=self.gradient_checkpointing,
            save=save,
        )


def check_prompts(models: Models, caption: str, prior: PriorConfig | None) -> None:
    """Raise ViddaError, with a line each, where the prompts do not suit the base's tokenizer."""
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
