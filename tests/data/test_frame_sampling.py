"""Which frames are drawn: inside the clip, spread as promised, and the same for the same seed."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from vidda.data.frame_sampling import (
    CenterSampling,
    DenseSampling,
    FrameSamplingConfig,
    UniformSampling,
    ViewsSampling,
    clip_rng,
)

SAMPLERS = [
    UniformSampling(frames=8),
    UniformSampling(frames=8, jitter=False),
    DenseSampling(frames=8, stride=3),
    CenterSampling(frames=8, stride=3),
    ViewsSampling(frames=8, stride=3, clips=4),
    ViewsSampling(frames=8, stride=3, clips=1),
]


def rng(clip: str = "clip", epoch: int = 0, seed: int = 0) -> np.random.Generator:
    return clip_rng(seed, epoch, clip, "frames")


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@pytest.mark.parametrize("length", [1, 2, 7, 8, 21, 22, 23, 250])
def test_numbers_are_of_the_clip(sampler: FrameSamplingConfig, length: int) -> None:
    for clip in range(20):
        picked = sampler.pick(length, rng(str(clip)))
        assert picked.shape == (getattr(sampler, "clips", 1), 8)
        assert picked.dtype == np.int64
        assert picked.min() >= 0
        assert picked.max() < length


def test_uniform_takes_one_frame_of_each_segment() -> None:
    seen = np.stack([UniformSampling(frames=5).pick(50, rng(str(n)))[0] for n in range(400)])
    for segment in range(5):
        assert set(seen[:, segment]) == set(range(10 * segment, 10 * segment + 10))
    assert UniformSampling(frames=5, jitter=False).pick(50, rng()).tolist() == [[5, 15, 25, 35, 45]]


def test_uniform_repeats_the_frames_of_a_short_clip_in_order() -> None:
    assert UniformSampling(frames=6, jitter=False).pick(3, rng()).tolist() == [[0, 0, 1, 1, 2, 2]]


def test_dense_begins_anywhere_and_loops_a_short_clip() -> None:
    starts = {
        int(DenseSampling(frames=4, stride=2).pick(10, rng(str(n)))[0, 0]) for n in range(200)
    }
    assert starts == {0, 1, 2, 3}
    assert np.diff(DenseSampling(frames=4, stride=2).pick(10, rng())).tolist() == [[2, 2, 2]]
    assert DenseSampling(frames=4, stride=2).pick(5, rng()).tolist() == [[0, 2, 4, 1]]


def test_center_is_in_the_middle() -> None:
    assert CenterSampling(frames=3, stride=2).pick(11, rng()).tolist() == [[3, 5, 7]]


def test_views_span_the_clip() -> None:
    assert ViewsSampling(frames=2, stride=1, clips=3).pick(10, rng()).tolist() == [
        [0, 1],
        [4, 5],
        [8, 9],
    ]
    assert ViewsSampling(frames=2, stride=1, clips=1).pick(10, rng()).tolist() == [[4, 5]]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_seed_epoch_and_clip_decide(sampler: FrameSamplingConfig) -> None:
    def draw(clip: str, epoch: int, seed: int) -> tuple[int, ...]:
        return tuple(sampler.pick(250, rng(clip, epoch, seed)).ravel().tolist())

    assert draw("a", 1, 2) == draw("a", 1, 2)
    others = {draw("b", 1, 2), draw("a", 2, 2), draw("a", 1, 3), draw("a", 1, 2)}
    assert len(others) == (4 if sampler.random else 1)


def test_draws_are_the_same_on_every_machine() -> None:
    """Written down once: Python's own hash() would change them with each process."""
    assert DenseSampling(frames=2, stride=1).pick(1000, rng("clip", 3, 7)).tolist() == [[880, 881]]


def test_purposes_do_not_share_draws() -> None:
    assert clip_rng(0, 0, "a", "frames").random() != clip_rng(0, 0, "a", "transform").random()


def test_the_union_is_the_registry() -> None:
    union = TypeAdapter(FrameSamplingConfig)
    assert union.validate_python({"name": "dense", "stride": 5}) == DenseSampling(stride=5)
    for wrong in (
        {"name": "sparse"},
        {"name": "dense", "clips": 2},
        {"name": "dense", "stride": 0},
    ):
        with pytest.raises(ValidationError):
            union.validate_python(wrong)
