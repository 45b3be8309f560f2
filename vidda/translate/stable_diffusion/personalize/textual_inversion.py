"""Textual Inversion: the vectors of a new word learn, and nothing else (arXiv 2208.01618)."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.denoiser_learner import DenoiserLearner
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig
from vidda.translate.stable_diffusion.personalize.wording import filled, token_ids, words
from vidda.translate.stable_diffusion.words import add_words, names, problem

FILE = "learned_embeds.safetensors"

OBJECT = (
    "a photo of a {token}",
    "a picture of the {token}",
    "a close-up of a {token}",
    "a blurred photo of a {token}",
    "a bright photo of the {token}",
    "a dark photo of the {token}",
    "a video frame of a {token}",
    "a {token} seen outdoors",
)
STYLE = (
    "a photo in the style of {token}",
    "a picture in the style of {token}",
    "a person in the style of {token}",
    "a place in the style of {token}",
    "a video frame in the style of {token}",
)


class TextualInversionConfig(TrainingConfig):
    """A word for the target; the defaults are the published recipe's.

    3000 steps of 4 batches of 1 frame at a rate of 5e-4 x 4, constant.
    """

    name: Literal["textual_inversion"] = "textual_inversion"
    steps: int = Field(default=3000, ge=1, description="steps of the optimizer")
    accumulate: int = Field(default=4, ge=1, description="batches whose gradients make one step")
    lr: float = Field(default=5e-4, gt=0, description="highest learning rate")
    scale_lr: bool = Field(default=True, description="multiply lr by batch_size and accumulate")
    clip_grad: float | None = Field(default=None, gt=0, description="largest gradient norm")
    token: str = Field(
        default="<realism>", pattern=r"^\S+$", description="the new word; the base must not know it"
    )
    initializer: str = Field(
        default="valid",
        description="a word, one token of the base's, whose vector the new one starts as",
    )
    vectors: int = Field(default=1, ge=1, description="tokens that the word stands for")
    kind: Literal["object", "style"] = Field(
        default="object", description="what the word names, where templates are not given"
    )
    templates: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="prompts of target frames, one at random; null: by kind",
    )
    min_snr: float | None = Field(
        default=None, gt=0, description="cut-off of min-SNR weighting, usually 5; null: none"
    )

    @property
    def names(self) -> list[str]:
        """Return the tokens of the word, as diffusers names those of a word of several vectors."""
        return names(self.token, self.vectors)

    @property
    def captions(self) -> list[str]:
        """Return the prompts of target frames, with the word in them."""
        templates = self.templates or (OBJECT if self.kind == "object" else STYLE)
        word = " ".join(self.names)
        return [filled(template, word, "method.templates") for template in templates]

    @property
    def caption(self) -> str:
        """Return the first of the prompts, as a user writes it."""
        return self.captions[0].replace(" ".join(self.names), self.token)

    def check(self, models: Models) -> None:
        """Raise ViddaError where the word, its start or the prompts do not suit the base."""
        wrong = problem(models.tokenizer, self.names)
        problems = [f"method.token: {wrong}; take a new one, such as <realism>"] * bool(wrong)
        ids = words(models.tokenizer, self.initializer)
        if models.tokenizer.unk_token_id in ids:
            problems.append(
                f"method.initializer: {self.initializer!r} is unknown to the base; take another"
                " word"
            )
        elif len(ids) != 1:
            problems.append(
                f"method.initializer: {self.initializer!r} is {len(ids)} tokens; take a word that"
                " is one"
            )
        if not problems:
            # Each of its tokens is one, as the initializer is.
            start = " ".join([self.initializer] * self.vectors)
            prompts = [caption.replace(" ".join(self.names), start) for caption in self.captions]
            token_ids(models.tokenizer, prompts, "method.templates")
        if problems:
            raise ViddaError("\n".join(problems))

    def learning(self, models: Models) -> int:
        """Return how many weights learn."""
        return self.vectors * models.text_encoder.config.hidden_size

    def build(self, setting: LearnerSettings) -> DenoiserLearner:
        """Return the method at work; the models' tokenizer and text encoder know the word from here
        on.
        """
        models = setting.models
        models.unet.requires_grad_(False)
        models.text_encoder.requires_grad_(False)
        (start,) = words(models.tokenizer, self.initializer)
        embedding = models.text_encoder.get_input_embeddings()
        # New tokens are numbered from the tokenizer's length, which need not be the embedding's.
        first = len(models.tokenizer)
        add_words(models.tokenizer, self.names)
        initial = embedding.weight[start].detach().float().repeat(self.vectors, 1)
        word = Word(embedding, first, initial)
        models.text_encoder.set_input_embeddings(word)
        ids = token_ids(models.tokenizer, self.captions, "method.templates")
        ids = ids.to(setting.accelerator.device)

        def conditions(numbers: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = models.text_encoder(ids[numbers])[0]
            return states

        def save(folder: Path) -> None:
            # (V, D) under the word's name is what diffusers reads.
            save_file({self.token: word.vectors.detach().cpu().contiguous()}, folder / FILE)

        return DenoiserLearner(
            setting,
            {"vectors": word.vectors},
            conditions,
            prompts=len(ids),
            caption=self.caption,
            min_snr=self.min_snr,
            prior=None,
            checkpointing=self.gradient_checkpointing,
            save=save,
        )


class Word(nn.Module):
    """An embedding with new rows, numbered from `first`, that alone learn.

    known: the base's embedding. initial: (V, D) float32 where the new rows start.
    """

    def __init__(self, known: nn.Module, first: int, initial: torch.Tensor) -> None:
        super().__init__()
        self.known = known
        self.first = first
        self.vectors = nn.Parameter(initial)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of ids (B, L): (B, L, D)."""
        own = F.embedding((ids - self.first).clamp(min=0), self.vectors)
        others = self.known(ids.clamp(max=self.first - 1))
        return torch.where((ids >= self.first)[..., None], own.to(others.dtype), others)
