"""Muon for the matrices of the encoder's layers and AdamW for all else, as one optimizer."""

from collections.abc import Mapping
from typing import Any

import torch

from tools.mini_diffusion.recipe import StageConfig


class MuonAndAdamW(torch.optim.Optimizer):
    """torch's Muon (Jordan et al. 2024) and AdamW, with one learning rate.

    Muon's steps are as large as AdamW's (arXiv 2502.16982), and took a third fewer of them here.
    learned: parameters by name. matrices: part of the names of parameters that Muon trains, where
    they have two dimensions.
    """

    def __init__(
        self, learned: Mapping[str, torch.nn.Parameter], matrices: str, config: StageConfig
    ) -> None:
        inner = {n: p for n, p in learned.items() if matrices in n and p.ndim == 2}
        outer = [parameter for name, parameter in learned.items() if name not in inner]
        self._parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                inner.values(),
                lr=config.lr,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                outer,
                lr=config.lr,
                betas=(0.9, config.beta2),
                weight_decay=config.weight_decay,
            ),
        )
        super().__init__([*inner.values(), *outer], {"lr": config.lr})
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make a step of both."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parameters, numbered through both."""
        state: dict[int, Any] = {}
        for part in self._parts:
            first = len(state)
            own = part.state_dict()["state"]
            state |= {first + number: value for number, value in own.items()}
        return {"state": state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        first = 0
        for part in self._parts:
            whole = part.state_dict()
            count = sum(len(group["params"]) for group in whole["param_groups"])
            own = {n: state_dict["state"][first + n] for n in range(count)}
            part.load_state_dict({**whole, "state": own})
            first += count
        self.param_groups = [group for part in self._parts for group in part.param_groups]
