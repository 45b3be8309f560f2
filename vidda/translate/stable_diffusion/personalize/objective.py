"""The training objective of a denoiser, as pure functions of latents, noise and timesteps."""

from typing import Any, Literal

import torch

Prediction = Literal["epsilon", "v_prediction"]


def prediction_target(
    scheduler: Any, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """Return the target of the denoiser's prediction, (B, C, H, W): noise or velocity.

    scheduler: diffusers' DDPMScheduler, whose prediction type decides. latents, noise:
    (B, C, H, W). times: (B,) timesteps in 0..T-1. Noise: Ho 2020, arXiv 2006.11239, equation 14;
    velocity: Salimans 2022, arXiv 2202.00512, appendix D.
    """
    if scheduler.config.prediction_type == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(latents, noise, times)
        return velocity
    return noise


def min_snr_weight(
    signal: torch.Tensor, prediction: Prediction, gamma: float | None
) -> torch.Tensor:
    """Return the min-SNR weight of each item's loss, (B,).

    It equals min(SNR, gamma) for a loss on the clean latents. signal: (B,) the scheduler's
    alphas_cumprod in [0, 1), 0 at zero terminal SNR. gamma: None gives weights of 1. Hang et al.
    2023, arXiv 2303.09556, section 3.4.
    """
    if gamma is None:
        return torch.ones_like(signal)
    ratio = signal / (1 - signal)
    if prediction == "v_prediction":
        return ratio.clamp(max=gamma) / (ratio + 1)
    # min(SNR, gamma) / SNR, written so that it is 1 and not 0/0 where there is no signal.
    return (gamma / ratio).clamp(max=1.0)


def squared_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of each item of a batch, (B,) float32.

    prediction, target: (B, C, H, W).
    """
    return (prediction.float() - target.float()).square().mean((1, 2, 3))
