"""Semantic segmenters: against transformers as its documentation uses it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor

from tests.clips import moving
from tests.tiny_transformers import NAMES, write_segmenter
from vidda.control.mask_source import PeopleSegmenterConfig
from vidda.control.segmenter import CLASSES, SegmenterConfig
from vidda.errors import ViddaError
from vidda.types import ClipRecord
from vidda.weights import Folder


@pytest.mark.parametrize("kind", CLASSES)
def test_labels_and_inputs_are_those_of_the_library(kind: str, tmp_path: Path) -> None:
    frames = moving(5, 45, 61)
    write_segmenter(tmp_path, kind)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    model = getattr(transformers, CLASSES[kind]).from_pretrained(tmp_path).eval()
    inputs, labels = [], []
    for frame in frames:
        one = processor(images=Image.fromarray(frame), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**one)
        (found,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[(45, 61)])
        inputs.append(one["pixel_values"][0])
        labels.append(found.numpy())
    assert len(np.unique(labels)) > 1
    for batch in (1, 2, 8):
        config = SegmenterConfig(weights=Folder(path=tmp_path), batch=batch, device="cpu")
        source = config.build()
        seen: list[torch.Tensor] = []
        source._loaded.model.register_forward_pre_hook(
            lambda _, args, given, seen=seen: seen.append(given["pixel_values"]), with_kwargs=True
        )
        done: list[int] = []
        found = source.labels(frames, done.append)
        assert found.dtype == np.uint8 and source.names == NAMES
        # Two classes may be equal but for rounding, which the batch's size changes.
        assert (found != np.stack(labels)).mean() < 1e-3
        assert torch.equal(torch.cat(seen), torch.stack(inputs))
        assert sum(done) == 5 and len(done) == -(-5 // batch)
        np.testing.assert_array_equal(source.people(frames), found == 1)


def test_it_is_a_source_of_masks(tmp_path: Path) -> None:
    weights = Folder(path=write_segmenter(tmp_path / "people"))
    source = PeopleSegmenterConfig(weights=weights, batch=2, device="cpu").build()
    frames, clip = moving(5, 45, 61), ClipRecord("one", "one.mp4", None, "real", "ground")
    masks = list(source.find_masks(iter(frames), clip, tmp_path))
    assert [mask.shape for mask in masks] == [(1, 45, 61)] * 5
    np.testing.assert_array_equal(np.concatenate(masks), source.people(frames))
    names = {"id2label": {0: "road", 1: "sky"}, "label2id": {"road": 0, "sky": 1}}
    without = Folder(path=write_segmenter(tmp_path / "none", names=names))
    with pytest.raises(ViddaError, match="person"):
        PeopleSegmenterConfig(weights=without).build()


def test_many_classes_have_two_bytes(tmp_path: Path) -> None:
    labels = {"id2label": {n: f"c{n}" for n in range(257)}, "label2id": {}}
    source = SegmenterConfig(weights=Folder(path=write_segmenter(tmp_path, names=labels)))
    assert source.build().labels(moving(1, 45, 61)).dtype == np.uint16


def test_what_cannot_be_used_is_refused_in_a_line(tmp_path: Path) -> None:
    names = {"id2label": {0: "road", 1: "sky"}, "label2id": {"road": 0, "sky": 1}}
    config = SegmenterConfig(weights=Folder(path=write_segmenter(tmp_path, names=names)))
    source = config.build()
    assert source.labels(moving(1, 45, 61)).max() <= 1
    with pytest.raises(ViddaError) as error:
        source.people(moving(1, 45, 61))
    assert str(error.value) == (
        f"{tmp_path}: no class 'person' among its 2 (road, sky); name a model that knows a person"
    )
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_center_crop": True}))
    with pytest.raises(ViddaError, match="its image processor cuts off the frame's border"):
        config.build()
