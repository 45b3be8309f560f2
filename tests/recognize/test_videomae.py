"""VideoMAE against transformers' own, its starts, its positions, and its pre-training."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEForVideoClassification

from vidda.errors import ViddaError
from vidda.recognize.motion_input import motion_channels
from vidda.recognize.positions import stretch_positions
from vidda.recognize.torchvision_video import TorchvisionVideoConfig
from vidda.recognize.videomae import VideoMae, VideoMaeConfig
from vidda.recognize.videomae_pretraining import (
    VideoMaeDecoderConfig,
    VideoMaePretrainingConfig,
    tube_mask,
)
from vidda.recognize.videomae_start import VideoMaeFolder, VideoMaeHub, VideoMaeScratch

SIZES = {
    "image_size": 16,
    "num_frames": 4,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "decoder_hidden_size": 8,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
    "num_labels": 5,
    "initializer_range": 0.5,  # so that random weights give answers that differ
}
TINY = VideoMaeScratch(patch=8, width=16, layers=3, heads=2, mlp=32)
TINY_DECODER = VideoMaeDecoderConfig(width=8, layers=1, heads=2, mlp=16)


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    VideoMAEForVideoClassification(VideoMAEConfig(**SIZES)).save_pretrained(tmp_path / "classifier")
    return tmp_path / "classifier"


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = VideoMAEConfig(**SIZES, use_mean_pooling=False)
    VideoMAEForPreTraining(config).save_pretrained(tmp_path / "pretrained")
    return tmp_path / "pretrained"


def model(folder: Path, **changes: object) -> VideoMaeConfig:
    return VideoMaeConfig(
        **{"frames": 4, "size": 16, "start": VideoMaeFolder(path=folder)} | changes
    )


def rename(name: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        name = name.replace(old, new)
    return name


def read(folder: Path) -> dict[str, torch.Tensor]:
    """A folder's weights by the names of the modules: files keep older names of the biases."""
    state = load_file(folder / "model.safetensors")
    names = {"q_bias": "query.bias", "v_bias": "value.bias"}
    return {rename(name, names): tensor for name, tensor in state.items()}


@torch.no_grad()
def logits(recognizer: VideoMae, video: torch.Tensor) -> torch.Tensor:
    return recognizer.eval()(video).logits


def refused(build: Callable[[], object]) -> str:
    with pytest.raises(ViddaError) as caught:
        build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def test_logits_are_transformers_own(classifier: Path) -> None:
    theirs = VideoMAEForVideoClassification.from_pretrained(classifier).eval()
    ours = model(classifier, head="loaded").build(5)
    video = torch.randn(2, 3, 4, 16, 16)
    expected = theirs(video.transpose(1, 2)).logits
    torch.testing.assert_close(logits(ours, video), expected)
    assert expected.std() > 0.01
    assert ours.state_dict().keys() == theirs.state_dict().keys()


@pytest.mark.parametrize("names", [{}, {"q_bias": "query.bias", "v_bias": "value.bias"}])
def test_biases_are_loaded_by_their_old_and_new_names(
    classifier: Path, names: dict[str, str]
) -> None:
    file = classifier / "model.safetensors"
    state = {rename(name, names): tensor + 1 for name, tensor in load_file(file).items()}
    assert any(name.endswith(".query.bias" if names else ".q_bias") for name in state)
    save_file(state, file, metadata={"format": "pt"})
    loaded = model(classifier, head="loaded").build(5).state_dict()
    current = read(classifier)
    assert loaded.keys() == current.keys()
    assert all(torch.equal(tensor, current[name]) for name, tensor in loaded.items())


def test_a_pretraining_checkpoint_gives_its_encoder(
    pretrained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="vidda"):
        ours = model(pretrained).build(7)
    theirs = read(pretrained)
    assert all(
        torch.equal(tensor, theirs[name])
        for name, tensor in ours.state_dict().items()
        if not name.startswith(("fc_norm.", "classifier."))
    )
    assert f"{pretrained}: loaded the encoder; the head is new" in caplog.text
    message = refused(lambda: model(pretrained, head="loaded").build(5))
    assert "has no classification head" in message


def test_motion_of_a_still_clip_and_of_a_brighter_one() -> None:
    still = torch.rand(2, 3, 1, 8, 8).expand(-1, -1, 4, -1, -1)
    assert motion_channels(still)[:, 1:].abs().max() < 1e-3
    video = torch.rand(2, 3, 4, 8, 8)
    shown = motion_channels(video)
    torch.testing.assert_close(motion_channels(video * 3 + 1), shown)
    torch.testing.assert_close(shown.mean((2, 3, 4)), torch.zeros(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(shown.square().mean((2, 3, 4)), torch.ones(2, 3))
    # The last channel tells a frame from the others, not from the one before.
    lit = torch.zeros(1, 3, 4, 8, 8)
    lit[:, :, 2:] = 1
    change, distance = motion_channels(lit)[0, 1:].mean((2, 3))
    assert change.argmax() == 2
    assert distance.tolist() == pytest.approx([-1, -1, 1, 1])


def test_the_encoder_takes_motion_on_request(classifier: Path) -> None:
    video = torch.rand(2, 3, 4, 16, 16)
    seen = {"head": "loaded"}
    config = json.loads((classifier / "config.json").read_text())
    (classifier / "config.json").write_text(json.dumps(config | {"vidda_input": "motion"}))
    moved = model(classifier, input="motion", **seen).build(5)
    with pytest.raises(ViddaError, match="pre-trained on input motion; set input: motion"):
        model(classifier, **seen).build(5)
    (classifier / "config.json").write_text(json.dumps(config))
    plain = model(classifier, **seen).build(5)
    torch.testing.assert_close(logits(moved, video), logits(plain, motion_channels(video)))
    assert not torch.allclose(logits(moved, video), logits(plain, video))


def test_heads_of_other_classes(classifier: Path) -> None:
    message = refused(lambda: model(classifier, head="loaded").build(7))
    assert "its head has 5 classes, but the data has 7; set head=new for a new one" in message
    ours = model(classifier).build(7)
    assert ours.classes == 7
    same_number = model(classifier).build(5)
    theirs = read(classifier)
    assert not torch.equal(same_number.classifier.weight, theirs["classifier.weight"])
    assert torch.equal(same_number.fc_norm.weight, theirs["fc_norm.weight"])


def test_folders_that_cannot_be_loaded(classifier: Path, tmp_path: Path) -> None:
    assert "not a folder with a config.json" in refused(lambda: model(tmp_path / "none").build(5))
    weights = classifier / "model.safetensors"
    tensors = load_file(weights)
    lost = "videomae.encoder.layer.1.output.dense.weight"
    save_file({n: t for n, t in tensors.items() if n != lost}, weights, metadata={"format": "pt"})
    assert f"missing or of another shape than in its config.json (first {lost})" in refused(
        lambda: model(classifier).build(5)
    )
    weights.write_bytes(weights.read_bytes()[:100])
    assert "its weights cannot be read" in refused(lambda: model(classifier).build(5))
    weights.rename(classifier / "pytorch_model.bin")
    message = refused(lambda: model(classifier).build(5))
    assert "no weights in it (pytorch_model.bin is a pickle" in message
    (classifier / "model.safetensors").touch()
    for change, expected in (
        ({"model_type": "vit"}, "model_type is 'vit', not 'videomae'"),
        ({"hidden_act": "relu"}, "hidden_act is relu, but vidda supports only gelu"),
        ({"patch_size": [8, 8]}, "not a VideoMAE's config"),
    ):
        content = json.loads((classifier / "config.json").read_text())
        (classifier / "config.json").write_text(json.dumps(content | change))
        assert expected in refused(lambda: model(classifier).build(5))
        (classifier / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("download", [False, True])
def test_the_hub_without_a_network(
    download: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    start = VideoMaeHub(repo="nobody/no-such-videomae", download=download)
    message = refused(lambda: VideoMaeConfig(start=start).build(7))
    assert message.startswith(
        "model.start: nobody/no-such-videomae is not in this machine's cache: "
    )
    assert ("start.name=folder" if download else "start.download=true fetches it") in message
    assert "owner/name" in refused(lambda: VideoMaeConfig(start=VideoMaeHub(repo="a/b/c")).build(7))


def test_a_head_cannot_be_loaded_from_nothing() -> None:
    with pytest.raises(ValidationError, match="head: loaded needs weights"):
        VideoMaeConfig(head="loaded")
    with pytest.raises(ValidationError, match="head: loaded needs weights"):
        TorchvisionVideoConfig(head="loaded")


def test_sizes_that_do_not_divide_each_other() -> None:
    with pytest.raises(ViddaError) as caught:
        VideoMaeConfig(frames=5, size=20, start=TINY).build(5)
    assert str(caught.value).splitlines() == [
        "videomae: frames 5 is not a multiple of start.tubelet 2; change one of them",
        "videomae: size 20 is not a multiple of start.patch 8; change one of them",
    ]


def test_drop_path_is_off_in_eval() -> None:
    torch.manual_seed(0)
    dropping = VideoMaeConfig(frames=4, size=16, start=TINY, drop_path=0.9).build(5)
    plain = VideoMaeConfig(frames=4, size=16, start=TINY, drop_path=0).build(5)
    plain.load_state_dict(dropping.state_dict())
    video = torch.randn(8, 3, 4, 16, 16)
    assert torch.equal(logits(dropping, video), logits(plain, video))
    rates = [layer.output.dropout.p for layer in dropping.videomae.encoder.layer]
    assert rates == [0, 0.45, 0.9]
    with torch.no_grad():
        first, second = (dropping.train()(video).logits for _ in range(2))
        assert torch.equal(plain.train()(video).logits, plain(video).logits)
    assert not torch.equal(first, second)


def test_a_skipped_layer_is_the_identity() -> None:
    ours = VideoMaeConfig(frames=4, size=16, start=TINY, drop_path=0.999999).build(5).train()
    tokens = torch.randn(2, 8, 16)
    torch.testing.assert_close(ours.videomae.encoder.layer[-1](tokens), tokens, rtol=0, atol=0)


def test_positions_are_stretched_in_time_and_space() -> None:
    old, new = (2, 2, 2), (4, 6, 6)
    time, height, width = torch.meshgrid(*(torch.arange(2.0),) * 3, indexing="ij")
    table = torch.stack([time, height, width], dim=-1).reshape(1, 8, 3)
    assert stretch_positions(table, old, old) is table
    wide = stretch_positions(table, old, new).reshape(4, 6, 6, 3)
    assert torch.equal(wide[:, 0, 0, 0], torch.tensor([0, 0.25, 0.75, 1]))
    torch.testing.assert_close(
        wide[0, :, 0, 1], torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1]), rtol=0, atol=1e-6
    )
    assert torch.equal(wide[..., 1], wide[..., 2].transpose(1, 2))


@torch.no_grad()
def test_a_start_of_another_size_keeps_its_positions(classifier: Path) -> None:
    same = model(classifier).build(5).videomae.embeddings
    theirs = VideoMAEForVideoClassification(VideoMAEConfig(**SIZES)).videomae.embeddings
    assert torch.equal(same.position_embeddings, theirs.position_embeddings)
    config = model(classifier, frames=8, size=24)
    ours = config.build(5)
    positions = ours.videomae.embeddings.position_embeddings
    expected = stretch_positions(theirs.position_embeddings, (2, 2, 2), (4, 3, 3))
    assert torch.equal(positions, expected)
    # A checkpoint of vidda is read without the folder, and knows the same positions.
    again = config.without_weights().build(5)
    again.load_state_dict(ours.state_dict())
    video = torch.randn(2, 3, 8, 24, 24)
    assert torch.equal(logits(again, video), logits(ours, video))


def test_tube_masks() -> None:
    masks = tube_mask(6, (4, 3, 5), 0.8, torch.Generator().manual_seed(1))
    assert masks.shape == (6, 60)
    frames = masks.unflatten(1, (4, 15))
    assert torch.equal(frames, frames[:, :1].expand_as(frames))
    assert frames.sum(2).eq(12).all()
    assert torch.equal(masks, tube_mask(6, (4, 3, 5), 0.8, torch.Generator().manual_seed(1)))
    assert len({tuple(mask.tolist()) for mask in frames[:, 0]}) == 6
    seen = tube_mask(300, (1, 2, 2), 0.99, torch.Generator().manual_seed(2))
    assert seen.sum(1).eq(3).all()  # one place is always seen, each as often
    assert (~seen).float().mean(0).sub(0.25).abs().max() < 0.1


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_is_that_of_hidden_patches(pretrained: Path, normalize: bool) -> None:
    config = VideoMaePretrainingConfig(
        frames=4,
        size=16,
        start=VideoMaeFolder(path=pretrained),
        decoder=TINY_DECODER,
        mask_ratio=0.5,
        normalize_patches=normalize,
    )
    task = config.build()
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(3, 3, 4, 16, 16, generator=generator)
    mask = task.draw_mask(3, generator)
    loss = task(video, mask)
    painted = task.model(video.transpose(1, 2), bool_masked_pos=mask).logits
    # (B, C, t, 2, h, 8, w, 8) -> (B, tokens, pixels, C), each patch and channel by itself.
    patches = video.unflatten(4, (2, 8)).unflatten(3, (2, 8)).unflatten(2, (2, 2))
    patches = patches.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(3, 8, 128, 3)
    if normalize:
        patches = (patches - patches.mean(2, keepdim=True)) / patches.std(2, keepdim=True)
    else:
        patches = patches * torch.tensor([0.229, 0.224, 0.225]) + torch.tensor(
            [0.485, 0.456, 0.406]
        )
    wanted = patches.flatten(2)[mask].reshape(painted.shape)
    torch.testing.assert_close(loss, (painted - wanted).square().mean(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(task.model.state_dict()["mask_token"], torch.zeros(1, 1, 8))


def test_pretraining_lowers_the_loss_and_hands_over_its_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = VideoMaePretrainingConfig(frames=4, size=16, start=TINY, decoder=TINY_DECODER).build()
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    ramp = torch.linspace(-1, 1, 16)
    video = ramp.view(1, 1, 1, 1, 16).expand(4, 3, 4, 16, 16) + 0.01 * torch.randn(4, 3, 4, 16, 16)
    mask = task.draw_mask(4, torch.Generator().manual_seed(0))
    losses = []
    for _ in range(60):
        loss = task(video, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    task.save(tmp_path / "encoder")
    ours = model(tmp_path / "encoder").build(7)
    name = "videomae.encoder.layer.2.output.dense.weight"
    assert torch.equal(ours.state_dict()[name], task.model.state_dict()[name])
    again = VideoMaePretrainingConfig(
        frames=4, size=16, start=VideoMaeFolder(path=tmp_path / "encoder"), decoder=TINY_DECODER
    ).build()
    assert torch.equal(again(video, mask), task(video, mask))


def test_pretraining_goes_on_only_from_pretraining(classifier: Path) -> None:
    config = VideoMaePretrainingConfig(
        frames=4, size=16, start=VideoMaeFolder(path=classifier), decoder=TINY_DECODER
    )
    assert "only from a pre-training checkpoint" in refused(config.build)
