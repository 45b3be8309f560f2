"""A clip that is shown to a model which takes other numbers of frames."""

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
