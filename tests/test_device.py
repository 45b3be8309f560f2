"""The device and precision of trainings that follow one another in a process."""

import pytest
import torch

from vidda.device import choose_precision, open_accelerator


def test_a_second_training_may_have_another_precision() -> None:
    for precision in ("bf16", "no", "no", "bf16"):
        accelerator = open_accelerator(precision, cpu=True)
        assert (accelerator.mixed_precision, accelerator.device.type) == (precision, "cpu")


@pytest.mark.parametrize(("computes", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_precision_auto_is_bf16_where_the_cpu_computes_in_it(
    computes: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: computes)
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == chosen
    assert choose_precision("fp16", cpu) == "fp16" and choose_precision("bf16", cpu) == "bf16"
    assert choose_precision("auto", torch.device("meta")) == "fp32"


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "fp32"), ((8, 0), "bf16")])
def test_precision_auto_is_bf16_on_gpus_that_have_it(
    capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda", 0)) == chosen
