"""What methods do to batches of clips, and the order in which they get them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tests.adapt.tiny_adapt import write_clips
from vidda.adapt.adapt_config import group_translations, parent_numbers
from vidda.adapt.clip_views import mix_background, stretch_in_time, subsample_frames
from vidda.adapt.feature_similarity import FeatureSimilarity, FeatureSimilarityConfig
from vidda.adapt.joint import MethodSettings
from vidda.adapt.masking import MaskingConfig, mask_blocks
from vidda.adapt.mic import MicConfig
from vidda.adapt.norm_statistics import without_running_updates
from vidda.adapt.strong_augmentation import augment_strongly
from vidda.adapt.unite import UniteConfig
from vidda.data import load_manifest
from vidda.data.join_manifests import join_manifests
from vidda.recognize.feed import cycle_items, max_repeats
from vidda.recognize.method import Supervised


def test_blocks_are_hidden_in_all_frames_alike() -> None:
    torch.manual_seed(0)
    video = torch.ones(40, 3, 4, 32, 32)
    hidden = mask_blocks(video, 8, 0.7)
    assert set(hidden.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(hidden, hidden[:, :1, :1].expand_as(hidden))
    cells = hidden[:, 0, 0].unflatten(1, (4, 8)).unflatten(3, (4, 8))
    assert torch.equal(cells.amax((2, 4)), cells.amin((2, 4)))
    assert abs(float(cells.mean()) - 0.3) < 0.06
    assert not torch.equal(hidden[0], hidden[1])


@pytest.mark.parametrize(("config", "block"), [(MicConfig(), 64), (UniteConfig(), 16)])
def test_a_block_of_more_than_half_a_clip_is_refused(config: MaskingConfig, block: int) -> None:
    settings = MethodSettings(2 * block, 4, np.zeros(0, np.int64), False, False)
    assert config.block == block and config.problems(settings) == []
    (line,) = config.problems(settings._replace(size=2 * block - 1))
    assert line.startswith(f"method.block: {block} masks all or nothing")
    assert line.endswith(f"set at most {block - 1}")
    for key, value in (("block", 0), ("ratio", 1.0)):
        with pytest.raises(ValidationError, match=key):
            type(config).model_validate({key: value})


def test_strong_augmentation_moves_all_frames_alike_and_mirrors_nothing() -> None:
    torch.manual_seed(0)
    still = torch.rand(6, 3, 1, 32, 32).expand(-1, -1, 5, -1, -1)
    before = still.clone()
    out = augment_strongly(still)
    assert out.shape == still.shape and torch.isfinite(out).all() and torch.equal(still, before)
    torch.testing.assert_close(out, out[:, :, :1].expand_as(out))
    assert not torch.equal(out[0], augment_strongly(still)[0])
    left = torch.zeros(64, 1, 1, 32, 32)
    left[..., :8] = 1
    torch.manual_seed(1)
    moved = augment_strongly(left)
    halves = moved[..., :16].mean((1, 2, 3, 4)) - moved[..., 16:].mean((1, 2, 3, 4))
    assert (halves > 0).float().mean() > 0.8


def test_an_untracked_pass_leaves_the_running_statistics() -> None:
    norm = nn.BatchNorm1d(3)
    seen = torch.randn(8, 3) + 5
    with without_running_updates(norm):
        out = norm(seen)
    assert torch.equal(norm.running_mean, torch.zeros(3)) and norm.momentum == 0.1
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    norm(seen)
    assert not torch.equal(norm.running_mean, torch.zeros(3))


def test_a_clip_and_its_translation_are_neighbors(tmp_path: Path) -> None:
    folder = write_clips(tmp_path)
    both = join_manifests(
        [load_manifest(folder / f"{name}.csv") for name in ("train", "translated")]
    )
    parent = parent_numbers(both)
    assert (parent[:12] == -1).all() and parent[12:].tolist() == list(range(10))
    items = np.random.default_rng(0).permutation(22)
    ordered = group_translations(items, parent)
    assert sorted(ordered) == list(range(22))
    place = np.argsort(ordered)
    assert all(abs(place[child] - place[child - 12]) == 1 for child in range(12, 22))
    twice = group_translations(np.concatenate([items, items[::-1] + 22]), parent)
    assert sorted(twice[:22]) == list(range(22)) and sorted(twice[22:]) == list(range(22, 44))
    method = FeatureSimilarity(
        FeatureSimilarityConfig(), torch.from_numpy(parent), Supervised(3, 0, 0, 0)
    )
    child, other = method.pairs(torch.tensor([17, 5, 12, 6]))
    assert (child.tolist(), other.tolist()) == ([0], [1])
    assert method.state_dict() == {}


def test_a_small_target_is_gone_through_round_after_round() -> None:
    epochs = [cycle_items(7, 18, seed=3, epoch=epoch) for epoch in range(5)]
    clips = np.concatenate(epochs) % 7
    for at in range(0, len(clips) - 7, 7):
        assert sorted(clips[at : at + 7]) == list(range(7))
    for items in epochs:
        assert len(set(items.tolist())) == 18
        assert items.max() < 7 * max_repeats(7, 18)
    assert not np.array_equal(clips[:7], clips[7:14])
    assert (cycle_items(50, 8, seed=3, epoch=0) < 50).all()
    assert (epochs[0] != cycle_items(7, 18, seed=4, epoch=0)).any()


def test_a_stretched_clip_is_a_part_of_it_in_order() -> None:
    torch.manual_seed(0)
    video = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(50, 3, 8, 2, 2)
    half = stretch_in_time(video, 0.5)
    assert half.shape == video.shape
    seen = half[:, 0, :, 0, 0]
    assert (seen.diff(dim=1) >= 0).all() and torch.equal(
        half, half[:, :1, :, :1, :1].expand_as(half)
    )
    assert ((seen[:, -1] - seen[:, 0] - 3.5).abs() <= 0.5).all()
    assert seen[:, 0].min() == 0 and seen[:, -1].max() >= 6
    assert torch.equal(stretch_in_time(video, 1.0), video)


def test_a_subsampled_clip_holds_some_of_its_frames() -> None:
    torch.manual_seed(0)
    video = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 3, 8, 2, 2)
    seen = subsample_frames(video, 4)[0, 0, :, 0, 0].tolist()
    assert seen[::2] == seen[1::2] and all(n // 2 == i for i, n in enumerate(seen[::2]))
    assert torch.equal(subsample_frames(video, 8), video)
    assert len(set(subsample_frames(video, 1)[0, 0, :, 0, 0].tolist())) == 1


def test_a_background_is_the_median_of_another_clip() -> None:
    clips = torch.rand(3, 3, 5, 4, 4)
    other = torch.rand(2, 3, 5, 4, 4)
    mixed = mix_background(clips, other, 0.25)
    median = torch.from_numpy(np.median(other.numpy(), axis=2))[[0, 1, 0], :, None]
    torch.testing.assert_close(mixed, 0.75 * clips + 0.25 * median)
    assert torch.equal(mix_background(clips, other, 0.0), clips)
