"""Static and dynamic latents of a clip, and adaptation of the dynamic ones (TranSVAE)."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodSettings
from vidda.adapt.losses.domain import reverse_gradient
from vidda.adapt.losses.full_precision import full_precision
from vidda.adapt.losses.temporal_attention import two_way_domain_accuracy
from vidda.adapt.losses.variational import (
    confident_cross_entropy,
    gaussian_divergence,
    log_densities,
    mutual_information,
    reconstruction_error,
    static_triplet,
)
from vidda.adapt.sequential_vae import Gaussian, SequentialLatents, SequentialVae
from vidda.adapt.temporal_relations import (
    BranchConfig,
    Segments,
    TemporalRelations,
    branch_domain_loss,
    frame_features,
    require_framewise,
    segment_means,
    two_way_discriminator,
)
from vidda.recognize.framewise import Framewise
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class TransVaeConfig(BranchConfig):
    """TranSVAE (Wei et al., NeurIPS 2023) for any recognizer with features of each time step
    (`Framewise`).

    A clip is encoded by one static latent (the domain's appearance) and dynamic ones (the action)
    of each time step; a branch classifies by the dynamic ones, which domain discriminators cannot
    tell apart. The weights are published for HMDB to UCF (Adam at 0.001, 1000 epochs, 9 segments);
    for UCF to HMDB they are information 50, triplet 1, adversarial 1, threshold 0.93 and 8
    segments, and for Jester information 0.001, classes 10, triplet 100, adversarial 10, threshold
    0.95 and 6 segments.

    Differences from the released code: its features are frozen, here the recognizer learns from the
    branch's class and adversarial terms, while the autoencoder has no gradient to the features that
    it reconstructs. The recognizer's own last layer is tested; it also learns from the branch's
    pseudo-labels of target clips, and the branch is dropped after training. As there, latents are
    the means of their Gaussians; the paper, as we remember it (unverified), samples them, under
    which the branch did not learn at these weights. Here mutual information is that of samples, or
    it has no lower bound. The prior of a time step depends on the earlier ones, there by default on
    nothing. As there, leaky ReLUs of the autoencoder have slope 0.1; here its decoder ends without
    one, and the domain discriminators of time steps and clips have plain ReLUs. Negatives of
    triplets are of the same batch.
    Classes and domains weigh the same. For mutual information see `losses.variational`. Two terms
    are left out, as they weigh 0 in all released scripts: its domain discriminator of static
    latents, and attentive entropy.
    """

    name: Literal["transvae"] = "transvae"
    vae: float = Field(
        1.0, ge=0, description="weight of the reconstruction error and of both KL divergences"
    )
    information: float = Field(
        0.5, ge=0, description="weight of the mutual information of static and dynamic latents"
    )
    triplet: float = Field(10.0, ge=0, description="weight of the triplet loss of static latents")
    classes: float = Field(
        1.0, ge=0, description="weight of the classification loss on dynamic latents"
    )
    adversarial: float = Field(0.1, ge=0, description="weight of the domain discriminators' losses")
    threshold: float = Field(
        0.96, ge=0, lt=1, description="confidence above which a pseudo-label is used"
    )
    pseudo_from: float = Field(
        0.1, ge=0, le=1, description="share of training after which pseudo-labels are used"
    )
    segments: Segments = 9
    hidden: int = Field(1024, ge=1, description="width of the autoencoder's hidden layers")
    latent: int = Field(256, ge=1, description="width of both latents, and of relations")

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return TransVae(self, require_framewise(model, f"method: {self.name}"), supervised)


class TransVae(Method):
    """The training method of `TransVaeConfig`. The branch is computed in float32."""

    def __init__(self, config: TransVaeConfig, model: Framewise, supervised: Supervised) -> None:
        super().__init__()
        c = self.config = config
        self.supervised = supervised
        # The names of modules are keys of saved checkpoints.
        self.vae = SequentialVae(model.frame_dim, c.hidden, c.latent)
        self.relations = TemporalRelations(c.segments, c.latent, c.latent)
        self.frames = two_way_discriminator(c.latent, c.latent)
        self.clips = two_way_discriminator(c.latent, c.latent)
        self.dropout = nn.Dropout(c.dropout)
        self.classifier = nn.Linear(c.latent, model.classes)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        video, wanted = self.supervised.mixed(source)
        out, frames = frame_features(model, torch.cat([video, target.inputs]))
        logits, clips = out.logits.float(), len(video)
        terms = self.supervised.terms(logits[:clips], wanted)
        with full_precision(frames):
            segments = segment_means(frames.float(), self.config.segments)
            class_losses, branch, metrics = self._branch_terms(segments, wanted)
            losses = class_losses | self._vae_losses(segments.detach(), clips)
        labels, sure = self._pseudo_labels(branch[clips:])
        for name, part in (("pseudo", logits), ("branch_pseudo", branch)):
            losses[name] = self.config.classes * confident_cross_entropy(part[clips:], labels, sure)
        metrics["pseudo_labels"] = sure.float().mean()
        return Terms(terms.losses | losses, terms.metrics | metrics)

    def _branch_terms(
        self, segments: torch.Tensor, wanted: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, dict[str, torch.Tensor]]:
        """Return the losses on dynamic latents, the branch's logits (B, K), and metrics.

        segments: (B, T, D) features, the source's clips first. wanted: (N, K) class probabilities
        of the N source clips.
        """
        c, clips = self.config, len(wanted)
        dynamic = self.vae.encode(segments).dynamic.mean
        frame_domains = self.frames(reverse_gradient(self.dropout(dynamic), c.frame))
        related = self.relations(dynamic, c.relation)
        whole = self.dropout(related.video)
        clip_domains = self.clips(reverse_gradient(whole, c.video))
        logits = self.classifier(whole)
        supervised = self.supervised.terms(logits[:clips], wanted)
        domains = (frame_domains, related.domains, clip_domains)
        adversarial = [branch_domain_loss(level, clips) for level in domains]
        losses = {
            "branch": c.classes * supervised.losses["loss"],
            "adversarial": c.adversarial * torch.stack(adversarial).sum(),
        }
        metrics = {
            "branch_accuracy": supervised.metrics["accuracy"],
            "domain_accuracy": two_way_domain_accuracy(clip_domains[:clips], clip_domains[clips:]),
        }
        return losses, logits, metrics

    def _vae_losses(self, segments: torch.Tensor, clips: int) -> dict[str, torch.Tensor]:
        """Return the losses of the autoencoder and its latents.

        segments: (B, T, D) features without a gradient. clips: how many of the first clips are the
        source's.
        """
        c = self.config
        latents: SequentialLatents = self.vae.encode(segments)
        static, dynamic = latents.static.mean, latents.dynamic.mean
        prior = self.vae.prior(dynamic)
        zeros = torch.zeros_like(static)
        time_first = Gaussian(*(part.transpose(0, 1) for part in latents.dynamic))
        static_densities = log_densities(latents.static.sample(), *latents.static)
        dynamic_densities = log_densities(time_first.sample(), *time_first)
        order = torch.rand(segments.shape[:2]).argsort(1).to(segments.device)
        shuffled = segments.gather(1, order[:, :, None].expand_as(segments))
        of_shuffled = self.vae.encode(shuffled).static.mean
        triplets = [
            static_triplet(static[:clips], of_shuffled[:clips], static[clips:]),
            static_triplet(static[clips:], of_shuffled[clips:], static[:clips]),
        ]
        return {
            "rebuilt": c.vae * reconstruction_error(segments, self.vae.decode(static, dynamic)),
            "static": c.vae * gaussian_divergence(*latents.static, zeros, zeros),
            "dynamic": c.vae * gaussian_divergence(*latents.dynamic, *prior),
            "information": c.information * mutual_information(static_densities, dynamic_densities),
            "triplet": c.triplet * torch.stack(triplets).sum(),
        }

    def _pseudo_labels(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pseudo-labels of target clips, (B,) int64, and which of them to use, (B,)
        bool.
        """
        confidence, labels = logits.detach().softmax(1).max(1)
        late = self.progress >= self.config.pseudo_from
        return labels, (confidence > self.config.threshold) & late
