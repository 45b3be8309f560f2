"""A trained recognizer run over a labeled manifest, after checks that it fits."""

from pathlib import Path

import torch

from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate.labeled_predictions import join, require_labels, require_same_classes
from vidda.recognize.inference import predict, require_finite
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import load_card, load_model
from vidda.types import Manifest


def check_model(model: Path, manifest: Manifest, name: str, showing: InferenceConfig) -> Path:
    """Return the checkpoint's folder, if this model can be tested on these clips, else a
    ViddaError.

    model: a run or a checkpoint. name: the manifest's, for messages.
    """
    require_labels(manifest, name)
    folder, card = load_card(model)
    require_same_classes(manifest.under(card.classes).classes, name, card.classes, str(model))
    size = showing.transform(card).size
    card.model.check_input(showing.sampling(card).frames, size, size)
    return folder


def predict_labeled(
    model: Path, manifest: Manifest, name: str, showing: InferenceConfig, device: torch.device
) -> SavedPredictions:
    """What a model says of each clip, with the manifest's labels and columns.

    Raises ViddaError at the first clip that cannot be read: without it the figures would be others;
    and when a logit is not finite.
    """
    recognizer, card = load_model(model)
    loader = showing.loader(card, manifest, on_error="error")
    found = predict(recognizer.to(device), loader, device, showing.precision, label=str(model))
    require_finite(found.logits, found.ids, str(model))
    return join(SavedPredictions(str(model), found, card.classes), manifest, name)
