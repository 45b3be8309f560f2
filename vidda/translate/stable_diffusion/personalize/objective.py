"""What a denoiser is taught: pure functions of latents, noise and time."""

from typing import Any, Literal

import torch

Prediction = Literal["epsilon", "v_prediction"]


def target(
    scheduler: Any, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """What the denoiser is to predict, (B, C, H, W), by the scheduler's prediction type.

    scheduler: diffusers' DDPMScheduler. latents, noise: (B, C, H, W). times: (B,) in 0..T-1. The
    noise itself (Ho 2020, arXiv 2006.11239, equation 14) or the velocity (Salimans 2022, arXiv
    2202.00512, appendix D).
    """
    if scheduler.config.prediction_type == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(latents, noise, times)
        return velocity
    return noise


def min_snr_weight(
    signal: torch.Tensor, prediction: Prediction, gamma: float | None
) -> torch.Tensor:
    """Return the weight of each item's loss, (B,): min(SNR, gamma) in terms of the clean latents.

    signal: (B,) the scheduler's alphas_cumprod in [0, 1), 0 at zero terminal SNR. gamma: where the
    weight is cut off; None weighs all alike. Hang et al. 2023, arXiv 2303.09556, section 3.4.
    """
    if gamma is None:
        return torch.ones_like(signal)
    ratio = signal / (1 - signal)
    if prediction == "v_prediction":
        return ratio.clamp(max=gamma) / (ratio + 1)
    # min(SNR, gamma) / SNR, written so that it is 1 and not 0/0 where there is no signal.
    return (gamma / ratio).clamp(max=1.0)


def squared_error(prediction: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of each item of a batch, (B, C, H, W) to (B,) float32."""
    return (prediction.float() - wanted.float()).square().mean((1, 2, 3))
