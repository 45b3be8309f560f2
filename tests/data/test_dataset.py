"""Clips and batches: right, the same for any number of workers, and open about what is bad."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import moving
from PIL import Image
from torch.utils.data import DataLoader
from trained import saved_manifest

from vidda import video
from vidda.data.dataset import Batch, ClipDataset
from vidda.data.frame_sampling import CenterSampling, UniformSampling, ViewsSampling
from vidda.data.loader import ClipLoader, shuffled_order
from vidda.data.transforms import (
    CenterCrop,
    ColorJitter,
    RandomResizedCrop,
    ThreeCrops,
    TransformConfig,
)
from vidda.types import ClipRecord, Manifest
from vidda.video import VideoError

TRAIN = TransformConfig(
    size=32, crop=RandomResizedCrop(), color_jitter=ColorJitter(), horizontal_flip=True
)
PLAIN = TransformConfig(size=48, crop=CenterCrop(), normalize="none")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the workers; several threads only fight over a small machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("clips")
    clips = []
    for number in range(10):
        video.write(root / f"{number}.mp4", moving(12 + number, seed=number), 25)
        label = None if number == 9 else number % 3
        clips.append(ClipRecord(f"clip{number}", f"{number}.mp4", label, "real", "ground"))
    return Manifest(root, ("a", "b", "c"), tuple(clips))


@pytest.fixture
def with_bad_clips(tmp_path: Path, manifest: Manifest) -> Manifest:
    for clip in manifest.clips:
        (tmp_path / clip.path).write_bytes((manifest.root / clip.path).read_bytes())
    (tmp_path / "2.mp4").write_bytes(b"")
    (tmp_path / "3.mp4").unlink()
    whole = (tmp_path / "7.mp4").read_bytes()
    (tmp_path / "7.mp4").write_bytes(whole[: len(whole) // 2])
    return Manifest(tmp_path, manifest.classes, manifest.clips)


def flat(batches: list[Batch]) -> tuple[torch.Tensor, list[int], list[int]]:
    video = torch.cat([b.video for b in batches])
    return (
        video,
        torch.cat([b.label for b in batches]).tolist(),
        torch.cat([b.number for b in batches]).tolist(),
    )


def test_an_item_is_the_frames_of_its_clip(manifest: Manifest) -> None:
    dataset = ClipDataset(manifest, CenterSampling(frames=4, stride=2), PLAIN)
    assert len(dataset) == 10
    item = dataset[4]
    frames = video.read(manifest.root / "4.mp4", [4, 6, 8, 10])[:, :, 8:56]
    wanted = torch.from_numpy(frames).permute(3, 0, 1, 2) / 255
    torch.testing.assert_close(item.video, wanted)
    assert (item.label, item.number) == (1, 4)
    assert dataset[9].label == -1


def test_an_image_is_a_still_clip(tmp_path: Path) -> None:
    Image.fromarray(moving(1)[0]).save(tmp_path / "image.png")
    clip = ClipRecord("image", "image.png", 0, "real", "ground")
    dataset = ClipDataset(Manifest(tmp_path, ("a",), (clip,)), UniformSampling(frames=3), PLAIN)
    assert torch.equal(dataset[0].video[:, 0], dataset[0].video[:, 2])


def test_views_of_one_clip(manifest: Manifest) -> None:
    config = TransformConfig(size=24, crop=ThreeCrops())
    dataset = ClipDataset(manifest, ViewsSampling(frames=4, stride=1, clips=2), config)
    assert dataset[0].video.shape == (6, 3, 4, 24, 24)
    (batch, *_) = ClipLoader(dataset, 5).epoch(0)
    assert batch.video.shape == (5, 6, 3, 4, 24, 24)


def test_epochs_differ_and_repeat(manifest: Manifest) -> None:
    dataset = ClipDataset(manifest, UniformSampling(frames=4), TRAIN, seed=1)
    first = dataset[0].video
    dataset.set_epoch(1)
    assert not torch.equal(first, dataset[0].video)
    dataset.set_epoch(0)
    assert torch.equal(first, dataset[0].video)
    other = ClipDataset(manifest, UniformSampling(frames=4), TRAIN, seed=2)
    assert not torch.equal(first, other[0].video)


@pytest.mark.parametrize("kind", ["read", "cached"])
def test_workers_change_nothing(manifest: Manifest, tmp_path: Path, kind: str) -> None:
    """0, 1 and 2 workers, over two epochs with the same living workers, in the same order."""
    found = []
    for workers in (0, 1, 2):
        cache = tmp_path / "cache" if kind == "cached" else None
        dataset = ClipDataset(manifest, UniformSampling(frames=4), TRAIN, seed=3, cache=cache)
        loader = ClipLoader(dataset, 4, order=shuffled_order(dataset), workers=workers)
        found.append([flat(list(loader.epoch(epoch))) for epoch in (0, 1)])
    (first, second), *others = found
    assert sorted(first[2]) == sorted(second[2]) == list(range(10))
    assert first[2] != second[2]
    assert not torch.equal(first[0], second[0])
    for other in others:
        for mine, theirs in zip((first, second), other, strict=True):
            assert torch.equal(mine[0], theirs[0])
            assert mine[1:] == theirs[1:]


@pytest.mark.parametrize(
    "sampling",
    [UniformSampling(frames=4), CenterSampling(frames=4), ViewsSampling(frames=4, clips=2)],
)
def test_the_cache_changes_nothing(
    manifest: Manifest, tmp_path: Path, sampling: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ClipDataset(manifest, sampling, TRAIN)
    cached = ClipDataset(manifest, sampling, TRAIN, cache=tmp_path)
    wanted = []
    for epoch in (0, 1):
        for dataset in (plain, cached):
            dataset.set_epoch(epoch)
        wanted.append([plain[n].video for n in range(10)])
        assert all(torch.equal(cached[n].video, wanted[epoch][n]) for n in range(10))
    monkeypatch.delattr("vidda.data.dataset.read")
    monkeypatch.delattr("vidda.data.dataset.probe")
    assert all(torch.equal(cached[n].video, wanted[1][n]) for n in range(10))
    kept = [np.load(f, mmap_mode="r") for f in (tmp_path / "frames").rglob("*.npy")]
    lengths = sorted(frames.shape[0] for frames in kept)
    assert lengths == (
        list(range(12, 22)) if sampling.random else [getattr(sampling, "clips", 1)] * 10
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_clips_are_skipped_and_listed(
    with_bad_clips: Manifest, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = ClipDataset(with_bad_clips, UniformSampling(frames=4), TRAIN)
    loader = ClipLoader(dataset, 2, workers=workers, on_error="skip")
    for epoch in (0, 1):
        _, _, numbers = flat(list(loader.epoch(epoch)))
        assert numbers == [0, 1, 4, 5, 6, 8, 9]
    assert list(loader.skipped) == ["clip2", "clip3", "clip7"]
    assert "empty" in loader.skipped["clip2"]
    assert "no such file" in loader.skipped["clip3"]
    said = capfd.readouterr().err
    assert said.count("skipped clip") == 3
    assert "3 of 10" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_clip_is_an_error(with_bad_clips: Manifest, workers: int) -> None:
    dataset = ClipDataset(with_bad_clips, UniformSampling(frames=4), TRAIN)
    loader = ClipLoader(dataset, 2, workers=workers)
    with pytest.raises(
        VideoError, match=r"^\S+2\.mp4: the file is empty \(0 bytes\); fetch it again$"
    ):
        list(loader.epoch(0))


def test_indexing_raises(with_bad_clips: Manifest) -> None:
    with pytest.raises(VideoError, match=r"3\.mp4: no such file"):
        ClipDataset(with_bad_clips, UniformSampling(frames=4), TRAIN)[3]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_data_loader_makes_batches(tmp_path: Path, workers: int) -> None:
    _, manifest = saved_manifest(tmp_path, 5)
    clips = ClipDataset(
        manifest.where(view="air"), UniformSampling(frames=4), TransformConfig(size=16)
    )
    batches = list(DataLoader(clips, batch_size=2, num_workers=workers))
    assert [tuple(batch.video.shape) for batch in batches] == [(2, 3, 4, 16, 16)] * 2 + [
        (1, 3, 4, 16, 16)
    ]
    assert torch.cat([batch.label for batch in batches]).tolist() == [0, 1, 2, 0, 1]
    assert torch.cat([batch.number for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    whole = ClipDataset.stack([clips[number] for number in range(5)])
    assert torch.equal(torch.cat([batch.video for batch in batches]), whole.video)
    drawn = [batch.video for batch in DataLoader(clips, shuffle=True, num_workers=workers)]
    assert len(drawn) == 5
    # A loop over the dataset itself ends, and a number beyond it is an error.
    assert [clip.number for clip in clips] == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]
    with pytest.raises(IndexError, match=r"item 5 not in 0\.\.4"):
        clips[5]
