"""The device and precision of trainings that follow one another in a process."""

from vidda.device import open_accelerator


def test_a_second_training_may_have_another_precision() -> None:
    for precision in ("bf16", "no", "no", "bf16"):
        accelerator = open_accelerator(precision, cpu=True)
        assert (accelerator.mixed_precision, accelerator.device.type) == (precision, "cpu")
