"""Textual Inversion: only the vectors of a new word are trained (arXiv 2208.01618)."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.learned_tokens import add_words, token_names, token_problem
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.denoiser_learner import DenoiserLearner
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.prompt_tokens import (
    fill_template,
    plain_token_ids,
    token_ids,
)
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig

EMBEDDING_FILE = "learned_embeds.safetensors"

OBJECT_TEMPLATES = (
    "a photo of a {token}",
    "a picture of the {token}",
    "a close-up of a {token}",
    "a blurred photo of a {token}",
    "a bright photo of the {token}",
    "a dark photo of the {token}",
    "a video frame of a {token}",
    "a {token} seen outdoors",
)
STYLE_TEMPLATES = (
    "a photo in the style of {token}",
    "a picture in the style of {token}",
    "a person in the style of {token}",
    "a place in the style of {token}",
    "a video frame in the style of {token}",
)


class TextualInversionConfig(TrainingConfig):
    """Training of a new word for the target.

    The defaults are the published recipe's: 3000 steps of 4 batches of 1 frame at a constant rate
    of 5e-4 x 4.
    """

    name: Literal["textual_inversion"] = "textual_inversion"
    steps: int = Field(default=3000, ge=1, description="steps of the optimizer")
    accumulate: int = Field(default=4, ge=1, description="batches whose gradients make one step")
    lr: float = Field(default=5e-4, gt=0, description="highest learning rate")
    scale_lr: bool = Field(default=True, description="multiply lr by batch_size and accumulate")
    clip_grad: float | None = Field(default=None, gt=0, description="largest gradient norm")
    token: str = Field(
        default="<realism>",
        pattern=r"^\S+$",
        description="the new word, which the base must not have yet",
    )
    initializer: str = Field(
        default="valid",
        description="a word of the base, of one token, whose vector initializes the new one",
    )
    vectors: int = Field(default=1, ge=1, description="vectors (tokens) of the new word")
    kind: Literal["object", "style"] = Field(
        default="object", description="built-in templates to use where templates is null"
    )
    templates: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="prompts with {token}, one at random for each target frame; null: by kind",
    )
    min_snr: float | None = Field(
        default=None, gt=0, description="gamma of min-SNR loss weighting, usually 5; null: none"
    )

    @property
    def token_names(self) -> list[str]:
        """Return the tokens of the word, one for each vector, as diffusers names them."""
        return token_names(self.token, self.vectors)

    @property
    def captions(self) -> list[str]:
        """Return the prompts of the target frames, with all tokens of the word filled in."""
        templates = self.templates or (
            OBJECT_TEMPLATES if self.kind == "object" else STYLE_TEMPLATES
        )
        word = " ".join(self.token_names)
        return [fill_template(template, word, "method.templates") for template in templates]

    @property
    def caption(self) -> str:
        """Return the first prompt, with the word as a user writes it."""
        return self.captions[0].replace(" ".join(self.token_names), self.token)

    def check(self, models: Models) -> None:
        """Raise ViddaError when the word, the initializer or a prompt does not fit the base."""
        wrong = token_problem(models.tokenizer, self.token_names)
        problems = [f"method.token: {wrong}; take a new one, such as <realism>"] * bool(wrong)
        ids = plain_token_ids(models.tokenizer, self.initializer)
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
            # The word is not in the tokenizer yet, and the initializer is also one token.
            start = " ".join([self.initializer] * self.vectors)
            prompts = [
                caption.replace(" ".join(self.token_names), start) for caption in self.captions
            ]
            token_ids(models.tokenizer, prompts, "method.templates")
        if problems:
            raise ViddaError("\n".join(problems))

    def trainable_count(self, models: Models) -> int:
        """Return the number of weights that are trained."""
        return self.vectors * models.text_encoder.config.hidden_size

    def build(self, settings: LearnerSettings) -> DenoiserLearner:
        """Return the learner; adds the word to the models' tokenizer and text encoder."""
        models = settings.models
        models.unet.requires_grad_(False)
        models.text_encoder.requires_grad_(False)
        (start,) = plain_token_ids(models.tokenizer, self.initializer)
        embedding = models.text_encoder.get_input_embeddings()
        # The first id is the tokenizer's length, which may differ from the embedding's rows.
        first = len(models.tokenizer)
        add_words(models.tokenizer, self.token_names)
        initial = embedding.weight[start].detach().float().repeat(self.vectors, 1)
        word = ExtendedEmbedding(embedding, first, initial)
        models.text_encoder.set_input_embeddings(word)
        ids = token_ids(models.tokenizer, self.captions, "method.templates")
        ids = ids.to(settings.accelerator.device)

        def prompt_states(numbers: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = models.text_encoder(ids[numbers])[0]
            return states

        def save(folder: Path) -> None:
            # (V, D) under the word's name is what diffusers reads.
            save_file(
                {self.token: word.vectors.detach().cpu().contiguous()}, folder / EMBEDDING_FILE
            )

        return DenoiserLearner(
            settings,
            {"vectors": word.vectors},
            prompt_states,
            prompts=len(ids),
            caption=self.caption,
            min_snr=self.min_snr,
            prior=None,
            checkpointing=self.gradient_checkpointing,
            save=save,
        )


class ExtendedEmbedding(nn.Module):
    """An embedding with V new, trainable rows for the ids from `first` on.

    known: the base's embedding. initial: (V, D) float32, initial values of the new rows.
    """

    def __init__(self, known: nn.Module, first: int, initial: torch.Tensor) -> None:
        super().__init__()
        self.known = known
        self.first = first
        self.vectors = nn.Parameter(initial)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors (B, L, D) of ids (B, L)."""
        own = F.embedding((ids - self.first).clamp(min=0), self.vectors)
        others = self.known(ids.clamp(max=self.first - 1))
        return torch.where((ids >= self.first)[..., None], own.to(others.dtype), others)
