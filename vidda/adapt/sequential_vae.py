"""A sequential variational autoencoder over frame features, with static and dynamic latents."""

from typing import NamedTuple

import torch
from torch import nn

SLOPE = 0.1
"""Negative slope of leaky ReLUs, as in TranSVAE's released code."""


class Gaussian(NamedTuple):
    """Diagonal Gaussians.

    mean, log_variance: (..., D) each, the latter the natural logarithm of the variance.
    """

    mean: torch.Tensor
    log_variance: torch.Tensor

    def sample(self) -> torch.Tensor:
        """Return one sample of each, (..., D), by reparameterization; from torch's global
        generator, on the CPU.
        """
        noise = torch.randn(self.mean.shape).to(self.mean)
        return self.mean + noise * (0.5 * self.log_variance).exp()


class SequentialLatents(NamedTuple):
    """The posteriors of a batch of clips.

    static: (B, D), of the whole clip. dynamic: (B, T, D), of each time step.
    """

    static: Gaussian
    dynamic: Gaussian


class SequentialVae(nn.Module):
    """The encoder, prior and decoder of TranSVAE (Wei et al., NeurIPS 2023).

    width: of the features of a time step. hidden: width of the layers on them. latent: D of both
    latents. `before` and `expected` are the prior of the dynamic latents.
    """

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        super().__init__()
        # These names are keys of saved checkpoints.
        self.entry = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(SLOPE))
        self.both_ways = nn.LSTM(hidden, latent, bidirectional=True, batch_first=True)
        self.static = _GaussianLayer(2 * latent, latent)
        self.forwards = nn.RNN(2 * latent, latent, batch_first=True)
        self.dynamic = _GaussianLayer(latent, latent)
        self.before = nn.LSTM(latent, latent, num_layers=2, batch_first=True)
        self.expected = _GaussianLayer(latent, latent)
        self.decoder = nn.Sequential(
            nn.Linear(2 * latent, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, width)
        )

    def encode(self, frames: torch.Tensor) -> SequentialLatents:
        """Return the posteriors of clips' static and dynamic latents.

        frames: (B, T, width) features of each time step.
        """
        states, _ = self.both_ways(self.entry(frames))
        forwards, backwards = states.chunk(2, dim=2)
        # Each direction's state after the whole clip.
        whole = torch.cat([forwards[:, -1], backwards[:, 0]], 1)
        return SequentialLatents(self.static(whole), self.dynamic(self.forwards(states)[0]))

    def prior(self, dynamic: torch.Tensor) -> Gaussian:
        """Return the prior of each time step's dynamic latent from the earlier ones, (B, T, D).

        dynamic: (B, T, D) latents.
        """
        earlier = torch.cat([torch.zeros_like(dynamic[:, :1]), dynamic[:, :-1]], 1)
        expected: Gaussian = self.expected(self.before(earlier)[0])
        return expected

    def decode(self, static: torch.Tensor, dynamic: torch.Tensor) -> torch.Tensor:
        """Return reconstructed features (B, T, width) from latents.

        static: (B, D), of the clip. dynamic: (B, T, D), of each time step.
        """
        repeated = static[:, None].expand(-1, dynamic.shape[1], -1)
        frames: torch.Tensor = self.decoder(torch.cat([dynamic, repeated], 2))
        return frames


class _GaussianLayer(nn.Module):
    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, latent)
        self.log_variance = nn.Linear(width, latent)

    def forward(self, features: torch.Tensor) -> Gaussian:
        return Gaussian(self.mean(features), self.log_variance(features))
