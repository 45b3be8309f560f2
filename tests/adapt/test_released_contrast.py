"""Contrasts and similarities are those of the released code: feature similarity, CO2A, CoMix."""

import pytest
import torch
from torch.nn import functional as F

from tests.adapt.released_check import GivenLogits, hold, wave
from vidda.adapt.co2a import Co2aConfig
from vidda.adapt.comix import Comix, ComixConfig
from vidda.adapt.feature_similarity import FeatureSimilarityConfig
from vidda.adapt.losses.consistency import feature_distance
from vidda.adapt.losses.contrastive import (
    head_consistency,
    inter_domain_contrast,
    supervised_contrast,
)
from vidda.recognize.method import SourceBatch, Supervised, TargetBatch


def test_feature_similarity() -> None:
    # azuma164/ZoDi@d2b1f63, train_epoch_similarity_dual with its defaults: minus the cosine of
    # pooled maps at weight 0.1, here 1 minus the cosine.
    maps, translated = wave(4, 6, 2, 3, phase=4), wave(4, 6, 2, 3, phase=5)
    pooled = [F.adaptive_avg_pool2d(x, 1).flatten(1) for x in (maps, translated)]
    weight = FeatureSimilarityConfig().weight
    norms = [0.016758948696698476, 0.01977101505152839]
    hold(weight * feature_distance(*pooled) - weight, -0.042090592816728, [maps, translated], norms)


def test_co2a() -> None:
    # vturrisi/CO2A@5c63ddd, src/loss.py and the consistency loss of src/video_model.py, with
    # --temperature 0.5 of bash_scripts/run.sh.
    config = Co2aConfig()
    weights = (config.source, config.cross_domain, config.augmented, config.agreement)
    assert (weights, config.temperature) == ((1.0, 2.0, 0.2, 0.02), 0.5)
    source, target = wave(5, 4, phase=0), wave(6, 4, phase=1)
    labels, guess = torch.tensor([0, 1, 0, 2, 1]), torch.tensor([0, 1, 2, 2, 0, 1])
    contrast = supervised_contrast(source, labels, config.temperature)
    hold(contrast, 1.6038803756877007, [source], [0.4764240296661835])
    sure = torch.tensor([True, True, False, True, False, True])
    across = inter_domain_contrast(source, target[sure], labels, guess[sure], config.temperature)
    hold(across, 1.3312202179023525, [source, target], [0.16673143553417888, 0.17479530759136577])
    views = supervised_contrast(target, torch.arange(3).repeat(2), config.temperature)
    hold(views, 1.6634002757650894, [target], [0.5859491729758539])
    logits = wave(5, 3, phase=2), wave(6, 3, phase=3)
    agreement = head_consistency(*logits, source, target, config.threshold)
    hold(agreement, 1.3202952146530151, logits, [0.3142648837836255, 0.22824692178229733])


def test_comix() -> None:
    # CVIR/CoMix@593b5b3, core/adapt.py from the logits of the eight views to the loss, with
    # temperature 0.5, lambda_bgm 0.1 and lambda_tpl 0.01, for pseudo-labels from 0.5 on.
    views = [wave(6, 3, phase=20 + n) for n in range(8)]
    labels, number = torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6)
    clips = torch.zeros(6, 3, 4, 8, 8)
    method = Comix(ComixConfig(threshold=0.5), Supervised(3, 0.1, 0, 0))
    batches = SourceBatch(clips, labels, number), TargetBatch(clips, number)
    terms = method.step(GivenLogits(torch.cat(views)), *batches)
    assert float(terms.metrics["pseudo_labels"]) == 0.5
    assert float(terms.losses["background"].detach()) == pytest.approx(4.632745581453159)
    norms = [
        0.31372349092845747,
        0.019935818248975088,
        0.020054654896681436,
        0.025728499492359398,
        0.021394168776685003,
        0.008960760975419509,
        0.027860010648140192,
        0.007205280535779838,
    ]
    hold(torch.stack(list(terms.losses.values())).sum(), 5.8239055563932105, views, norms)
