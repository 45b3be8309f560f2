"""Estimators of transformers of a few kilobytes with random weights, in folders as published."""

from pathlib import Path
from typing import Any

import torch
import transformers as tf

NAMES = ("wall", "Person", "sky")
LABELS = {"id2label": dict(enumerate(NAMES)), "label2id": {n: i for i, n in enumerate(NAMES)}}
SIZE = {"height": 64, "width": 48}


def write_vitpose(
    folder: Path, keypoints: int = 17, experts: int = 1, simple_decoder: bool = True
) -> Path:
    backbone = tf.VitPoseBackboneConfig(
        image_size=[64, 48],
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        out_indices=[2],
        num_experts=experts,
        part_features=4,
    )
    config = tf.VitPoseConfig(
        backbone_config=backbone, num_labels=keypoints, use_simple_decoder=simple_decoder
    )
    return _save(folder, tf.VitPoseForPoseEstimation(config), tf.VitPoseImageProcessor(size=SIZE))


def write_detector(folder: Path, kind: str = "rt_detr_v2", names: Any = LABELS) -> Path:
    """A detector of 10 boxes; kind: rt_detr_v2, d_fine or yolos."""
    processor: Any = tf.RTDetrImageProcessor(size={"height": 64, "width": 64})
    if kind == "yolos":
        config: Any = tf.YolosConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=[48, 64],
            num_detection_tokens=10,
            **names,
        )
        processor = tf.YolosImageProcessor(size={"shortest_edge": 40, "longest_edge": 80})
        return _save(folder, tf.YolosForObjectDetection(config), processor, gain=2)
    sizes = {
        "encoder_hidden_dim": 16,
        "encoder_ffn_dim": 16,
        "encoder_attention_heads": 2,
        "d_model": 16,
        "num_queries": 10,
        "decoder_in_channels": [16, 16, 16],
        "decoder_ffn_dim": 16,
        "decoder_layers": 2,
        "decoder_attention_heads": 2,
        "num_denoising": 0,
        "encoder_in_channels": [16, 16, 16],
    }
    stages = ["stage2", "stage3", "stage4"]
    if kind == "rt_detr_v2":
        backbone: Any = tf.RTDetrResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16, 16, 16],
            depths=[1] * 4,
            layer_type="basic",
            out_features=stages,
        )
        config = tf.RTDetrV2Config(backbone_config=backbone, **sizes, **names)
        return _save(folder, tf.RTDetrV2ForObjectDetection(config), processor, seed=4, gain=2)
    backbone = tf.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 16, 16],
        stage_mid_channels=[8] * 4,
        stage_out_channels=[8, 16, 16, 16],
        stage_num_blocks=[1] * 4,
        stage_light_block=[False] * 4,
        stage_kernel_size=[3] * 4,
        stage_numb_of_layers=[1] * 4,
        depths=[1] * 4,
        hidden_sizes=[8, 16, 16, 16],
        embedding_size=8,
        out_features=stages,
    )
    config = tf.DFineConfig(backbone_config=backbone, **sizes, **names)
    return _save(folder, tf.DFineForObjectDetection(config), processor, gain=2)


def write_depth(folder: Path, metric: bool = False) -> Path:
    backbone = tf.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    unit = {"depth_estimation_type": "metric", "max_depth": 20} if metric else {}
    config = tf.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 8, 8, 16],
        fusion_hidden_size=8,
        head_hidden_size=4,
        **unit,
    )
    processor = tf.DPTImageProcessor(
        size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14
    )
    return _save(folder, tf.DepthAnythingForDepthEstimation(config), processor)


def write_segmenter(folder: Path, kind: str = "segformer", names: Any = LABELS) -> Path:
    """A segmenter; kind: a type in `vidda.control.segmenter.CLASSES`."""
    vit = {
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 64,
        **names,
    }
    swin = tf.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1] * 4,
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    square = {"height": 64, "width": 64}
    model: Any
    processor: Any = tf.SegformerImageProcessor(size=square)
    if kind == "segformer":
        config: Any = tf.SegformerConfig(
            hidden_sizes=[4, 8, 8, 8],
            num_attention_heads=[1, 1, 2, 2],
            depths=[1] * 4,
            decoder_hidden_size=8,
            **names,
        )
        model = tf.SegformerForSemanticSegmentation(config)
    elif kind == "upernet":
        backbone = tf.ConvNextConfig(
            hidden_sizes=[8] * 4, depths=[1] * 4, out_features=swin.out_features
        )
        config = tf.UperNetConfig(
            backbone_config=backbone,
            hidden_size=16,
            auxiliary_in_channels=8,
            auxiliary_channels=8,
            **names,
        )
        model = tf.UperNetForSemanticSegmentation(config)
    elif kind == "beit":
        config = tf.BeitConfig(
            **vit,
            out_indices=[1, 2, 3, 4],
            use_relative_position_bias=True,
            auxiliary_channels=8,
        )
        model = tf.BeitForSemanticSegmentation(config)
        processor = tf.BeitImageProcessor(size=square, do_center_crop=False)
    elif kind == "dpt":
        config = tf.DPTConfig(
            **vit,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[4, 8, 8, 16],
            fusion_hidden_size=8,
            use_batch_norm_in_fusion_residual=True,
        )
        model = tf.DPTForSemanticSegmentation(config)
        processor = tf.DPTImageProcessor(size=square)
    elif kind == "mask2former":
        config = tf.Mask2FormerConfig(
            backbone_config=swin,
            feature_size=32,
            mask_feature_size=8,
            hidden_dim=32,
            encoder_feedforward_dim=8,
            encoder_layers=1,
            decoder_layers=2,
            num_attention_heads=2,
            dim_feedforward=8,
            num_queries=5,
            **names,
        )
        model = tf.Mask2FormerForUniversalSegmentation(config)
        processor = tf.Mask2FormerImageProcessor(
            size={"shortest_edge": 40, "longest_edge": 90}, size_divisor=32
        )
    else:
        decoder = tf.DetrConfig(
            d_model=8,
            encoder_layers=1,
            encoder_attention_heads=2,
            encoder_ffn_dim=8,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=8,
            num_queries=5,
        )
        config = tf.MaskFormerConfig(
            backbone_config=swin,
            decoder_config=decoder,
            fpn_feature_size=32,
            mask_feature_size=8,
            **names,
        )
        model = tf.MaskFormerForInstanceSegmentation(config)
        processor = tf.MaskFormerImageProcessor(
            size={"shortest_edge": 40, "longest_edge": 90}, size_divisor=32
        )
    return _save(folder, model, processor)


def _save(folder: Path, model: Any, processor: Any, seed: int = 1, gain: float = 1) -> Path:
    """Write a model whose outputs differ from pixel to pixel, and its processor."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            inputs = weight.numel() / max(1, len(weight))
            if weight.ndim > 1:
                weight.normal_(0.0, gain * inputs**-0.5 if inputs else 0.0, generator=generator)
            elif name.endswith("bias"):
                weight.normal_(0.0, 0.1, generator=generator)
                if "class_" in name and len(weight) == len(NAMES):
                    weight[1] += 2.0  # mostly people
                if name == "head.conv3.bias":
                    weight += 1.0  # depth is not below 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
