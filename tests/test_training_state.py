"""The state of a training between two steps comes back as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch

from vidda.errors import ViddaError
from vidda.training_state import load_learned, load_state, save_learned, save_state


class Nested(torch.optim.SGD):
    """Keeps, as 8-bit Adam does, whole numbers, and tensors of bytes in a mapping of their own."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loaded = state_dict["state"]


def adam(seed: int) -> torch.optim.AdamW:
    """AdamW after a step on two parameters."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.nn.Parameter(torch.randn(2, 3, generator=generator)) for _ in range(2)]
    optimizer = torch.optim.AdamW(weights, lr=0.1)
    torch.stack([weight.square().sum() for weight in weights]).sum().backward()
    optimizer.step()
    return optimizer


def test_moments_and_position_come_back(tmp_path: Path) -> None:
    one, other = adam(0), adam(1)
    save_state(tmp_path, one, None, {"step": 7, "scores": [0.1, 1 / 3], "best": None})
    assert load_state(tmp_path, other, None) == {"step": 7, "scores": [0.1, 1 / 3], "best": None}
    before, after = one.state_dict()["state"], other.state_dict()["state"]
    assert before.keys() == after.keys() == {0, 1}
    for number, state in before.items():
        assert state.keys() == after[number].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(state[name], after[number][name]) for name in state)


def test_learned_parameters_come_back_in_place(tmp_path: Path) -> None:
    one, other = (torch.nn.Parameter(torch.rand(3, 2).T) for _ in range(2))
    save_learned(tmp_path, {"weight": one})
    load_learned(tmp_path, {"weight": other})
    assert torch.equal(one, other) and other.requires_grad


def test_nested_tensors_and_numbers_come_back(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer, again = Nested([weight], lr=1.0), Nested([weight], lr=1.0)
    moments = {"state1": torch.tensor([3, 250], dtype=torch.uint8)}
    optimizer.state[weight] = {"step": 7, "quantized": moments}
    save_state(tmp_path, optimizer, None, {})
    assert load_state(tmp_path, again, None) == {}
    assert again.loaded[0]["step"] == 7 and type(again.loaded[0]["step"]) is int
    assert torch.equal(again.loaded[0]["quantized"]["state1"], moments["state1"])


def test_the_loss_scale_comes_back(tmp_path: Path) -> None:
    one = torch.amp.GradScaler("cpu", init_scale=2.0)
    other = torch.amp.GradScaler("cpu", init_scale=8.0)
    save_state(tmp_path, adam(0), one, {})
    load_state(tmp_path, adam(0), other)
    assert other.get_scale() == 2.0


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, adam(0), None, {})
    (tmp_path / "position.json").rename(tmp_path / "state.json")
    with pytest.raises(ViddaError, match=r"older version of vidda; start again"):
        load_state(tmp_path, adam(0), None)


@pytest.mark.parametrize("name", ["optimizer.safetensors", "position.json", "learned.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\xff" * 40, None], ids=["emptied", "garbage", "cut"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    save_state(tmp_path, adam(0), None, {"step": 1})
    weight = torch.nn.Parameter(torch.ones(2))
    save_learned(tmp_path, {"weight": weight})
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:-3] if content is None else content)
    with pytest.raises(
        ViddaError, match=rf"{name}: damaged .*takes the previous checkpoint"
    ) as told:
        load_learned(tmp_path, {"weight": weight})
        load_state(tmp_path, adam(0), None)
    assert len(str(told.value).splitlines()) == 1
