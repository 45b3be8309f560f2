"""A clip that is shown to a model which takes other numbers of frames."""

from dataclasses import fields, replace

import numpy as np

from tests.translate.tiny_translator import clip_job
from vidda.translate.clip_job import pad_clip


def test_a_padded_clip_stands_still_at_its_end() -> None:
    job = clip_job(4, mask=np.arange(4)[:, None, None] * np.ones((1, 32, 32)) > 1)
    longer = pad_clip(job, 7)
    assert pad_clip(job, 4) is job
    numbers = [0, 1, 2, 3, 3, 3, 3]
    assert job.mask is not None and job.controls.edges is not None
    np.testing.assert_array_equal(longer.frames, job.frames[numbers])
    np.testing.assert_array_equal(longer.mask, job.mask[numbers])
    np.testing.assert_array_equal(longer.controls.edges, job.controls.edges[numbers])
    # To frame 0 the last one keeps its flow.
    np.testing.assert_array_equal(longer.controls.flow_anchor, job.controls.flow_anchor[numbers])
    assert longer.controls.flow_previous is None


def test_every_control_is_padded() -> None:
    rng = np.random.default_rng(0)
    maps = {
        "depth": rng.integers(0, 256, (3, 32, 32), np.uint8),
        "segmentation": rng.integers(0, 256, (3, 32, 32, 3), np.uint8),
        "mask": rng.integers(0, 2, (3, 32, 32)).astype(bool),
    }
    job = clip_job(3)
    longer = pad_clip(replace(job, controls=replace(job.controls, **maps)), 5)
    for field in fields(longer.controls):
        rows = getattr(longer.controls, field.name)
        assert rows is None or len(rows) == 5, field.name
        if field.name in maps:
            np.testing.assert_array_equal(rows, maps[field.name][[0, 1, 2, 2, 2]])
