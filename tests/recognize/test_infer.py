"""One inference: views averaged alike in all that is saved, and unreadable clips left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trained import checkpoint, labeled

from vidda.data.dataset import ClipDataset
from vidda.data.frame_sampling import CenterSampling, ViewsSampling
from vidda.data.loader import ClipLoader
from vidda.errors import ViddaError
from vidda.recognize.infer import Outputs, infer, infer_batch, join_outputs, require_finite
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import load_model
from vidda.types import Manifest

CPU = torch.device("cpu")


@pytest.fixture
def model(tmp_path: Path) -> Recognizer:
    return load_model(checkpoint(tmp_path / "run"))[0].eval()


def dataset(root: Path, manifest: Manifest, views: int) -> ClipDataset:
    _, card = load_model(checkpoint(root / f"views{views}"))
    one = CenterSampling(frames=4, stride=2)
    several = ViewsSampling(frames=4, stride=2, clips=views)
    return ClipDataset(manifest, several if views > 1 else one, card.transform)


@pytest.mark.parametrize("views", [1, 3])
def test_views_are_averaged_as_probabilities_and_features_as_they_are(
    tmp_path: Path, model: Recognizer, views: int
) -> None:
    items = dataset(tmp_path, labeled(tmp_path / "videos", 5), views)
    found = infer(model, ClipLoader(items, 2), CPU, "fp32")
    assert found.ids == tuple(clip.id for clip in items.manifest.clips)
    assert found.number.tolist() == list(range(5))
    assert found.logits.dtype == found.features.dtype == torch.float32
    for number in range(5):
        video = items[number].video
        with torch.no_grad():
            own = model(video if views > 1 else video[None])
        assert len(own.logits) == views
        wanted = own.logits.softmax(1).mean(0)
        torch.testing.assert_close(found.logits[number].softmax(0), wanted)
        torch.testing.assert_close(found.features[number], own.features.mean(0))


def test_one_view_gives_the_models_own_values(model: Recognizer) -> None:
    video = torch.rand(3, 3, 4, 32, 32)
    with torch.no_grad():
        own = model(video)
    found = infer_batch(model, video, CPU, "fp32")
    assert torch.equal(found.logits, own.logits) and torch.equal(found.features, own.features)


def test_unreadable_clips_are_absent_and_any_order_gives_the_manifests(
    tmp_path: Path, model: Recognizer
) -> None:
    manifest = labeled(tmp_path / "videos", 5)
    clips = [*manifest.clips[:2], replace(manifest.clips[2], path="none.mp4"), *manifest.clips[3:]]
    items = dataset(tmp_path, replace(manifest, clips=tuple(clips)), 1)
    whole = infer(model, ClipLoader(items, 8, on_error="skip"), CPU, "fp32")
    assert whole.number.tolist() == [0, 1, 3, 4]
    assert whole.ids == tuple(clips[n].id for n in (0, 1, 3, 4))
    backwards = ClipLoader(items, 2, order=lambda epoch: np.arange(5)[::-1], on_error="skip")
    again = infer(model, backwards, CPU, "fp32")
    assert again.ids == whole.ids
    torch.testing.assert_close(again.features, whole.features)

    shares = [Outputs(whole.ids[n::3], *(tensor[n::3] for tensor in whole[1:])) for n in range(3)]
    joined = join_outputs([shares[2], join_outputs([]), shares[0], shares[1]])
    assert joined.ids == whole.ids
    assert all(torch.equal(a, b) for a, b in zip(joined[1:], whole[1:], strict=True))


def test_without_a_readable_clip_there_are_no_outputs(tmp_path: Path, model: Recognizer) -> None:
    manifest = labeled(tmp_path / "videos", 1)
    gone = tuple(replace(clip, path="none.mp4") for clip in manifest.clips)
    items = dataset(tmp_path, replace(manifest, clips=gone), 1)
    found = infer(model, ClipLoader(items, 1, on_error="skip"), CPU, "fp32")
    assert found.ids == () and len(found.number) == len(found.logits) == len(found.features) == 0


def test_predictions_that_are_not_finite_are_refused() -> None:
    require_finite(np.zeros((2, 3)), ("a", "b"), "run")
    with pytest.raises(ViddaError, match=r"run: its predictions for 1 of 2 clips.*first for 'b'"):
        require_finite(np.array([[0.0], [np.nan]]), ("a", "b"), "run")
