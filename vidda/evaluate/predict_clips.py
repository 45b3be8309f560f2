"""Predictions of a trained recognizer on a manifest, and checks that the two fit."""

from pathlib import Path

import torch

from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate.labeled_predictions import (
    join_columns,
    join_labels,
    require_labels,
    require_same_classes,
)
from vidda.recognize.infer import infer, require_finite
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import load_card, load_model
from vidda.types import Manifest, Predictions


def check_model(
    model: Path, manifest: Manifest, name: str, inference: InferenceConfig, *, labeled: bool = True
) -> Path:
    """Return the folder of a model's checkpoint; ViddaError if it cannot be tested on these clips.

    model: a run or a checkpoint. name: the manifest's, for messages. labeled: whether the clips
    have to have labels.
    """
    if labeled:
        require_labels(manifest, name)
    folder, card = load_card(model)
    require_same_classes(
        manifest.with_classes(card.classes).classes, name, card.classes, str(model)
    )
    size = inference.transform(card).size
    card.model.check_input(inference.sampling(card).frames, size, size)
    return folder


def predict_clips(
    model: Path,
    manifest: Manifest,
    name: str,
    inference: InferenceConfig,
    device: torch.device,
    *,
    labeled: bool = True,
) -> SavedPredictions:
    """Predict each clip of a manifest and join the manifest's columns, and its labels.

    model: a run or a checkpoint. name: the manifest's, for messages. labeled: whether the labels
    are joined too. Raises ViddaError at the first clip that cannot be read, which would change the
    results, and when a logit is not finite.
    """
    recognizer, card = load_model(model)
    loader = inference.loader(card, manifest, on_error="error")
    outputs = infer(recognizer.to(device), loader, device, inference.precision, label=str(model))
    found = Predictions(outputs.ids, outputs.logits.numpy())
    require_finite(found.logits, found.ids, str(model))
    saved = SavedPredictions(str(model), found, card.classes)
    return (join_labels if labeled else join_columns)(saved, manifest, name)
