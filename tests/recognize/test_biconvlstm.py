"""BiConvLSTM against its formulas written out, and its trunks against torchvision's own."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch.nn import functional as F
from torchvision.models import get_model

from vidda.errors import ViddaError
from vidda.recognize.biconvlstm import (
    BiConvLstmConfig,
    BiConvLstmLayer,
    FlatHeadConfig,
    PooledHeadConfig,
)
from vidda.recognize.frame_trunk import SmallTrunkConfig, TorchvisionTrunkConfig
from vidda.recognize.pretrained_weights import FileWeights


def one_direction(layer: BiConvLstmLayer, maps: list[torch.Tensor]) -> list[torch.Tensor]:
    """The ConvLSTM's equations, gate by gate and step by step, from states of zeros."""
    hidden = layer.from_state.in_channels
    gates = {}
    for i, name in enumerate("ifoc"):
        rows = slice(i * hidden, (i + 1) * hidden)
        bias = layer.from_input.bias[rows]
        gates[name] = (layer.from_input.weight[rows], layer.from_state.weight[rows], bias)
    state = memory = torch.zeros(len(maps[0]), hidden, *maps[0].shape[2:])
    states = []
    for x in maps:
        pre = {
            name: F.conv2d(x, of_x, bias, padding=1) + F.conv2d(state, of_h, padding=1)
            for name, (of_x, of_h, bias) in gates.items()
        }
        i, f, o = (torch.sigmoid(pre[name]) for name in "ifo")
        memory = f * memory + i * torch.tanh(pre["c"])
        state = o * torch.tanh(memory)
        states.append(state)
    return states


def reference(layer: BiConvLstmLayer, maps: torch.Tensor) -> torch.Tensor:
    steps = list(maps.unbind(1))
    forwards = one_direction(layer, steps)
    backwards = one_direction(layer, steps[::-1])[::-1]
    merge = layer.merge
    both = [torch.cat(pair, dim=1) for pair in zip(forwards, backwards, strict=True)]
    return torch.stack([F.conv2d(x, merge.weight, merge.bias, padding=1) for x in both], dim=1)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_layer_is_the_formula(steps: int) -> None:
    torch.manual_seed(0)
    layer = BiConvLstmLayer(channels=5, hidden=6)
    maps = torch.randn(2, steps, 5, 4, 3)
    torch.testing.assert_close(layer(maps), reference(layer, maps), rtol=0, atol=1e-5)


def test_the_model_is_the_paper_put_together() -> None:
    torch.manual_seed(0)
    config = BiConvLstmConfig(
        trunk=SmallTrunkConfig(widths=(4, 8)), hidden=6, head=FlatHeadConfig(grid=4)
    )
    model = config.build(7)
    with torch.no_grad():
        model(torch.randn(8, 3, 5, 16, 16))  # so that the norms have statistics
        model.eval()
        video = torch.randn(2, 3, 5, 16, 16)
        maps = [model.trunk(video[:, :, t + 1] - video[:, :, t]) for t in range(4)]
        states = reference(model.lstm, torch.stack(maps, dim=1))
        longest = states.max(dim=1).values
        flat = model.norm(longest.relu()).reshape(2, 6 * 4 * 4)
        layers = [model.head[i] for i in (2, 4, 6)]
        assert [layer.out_features for layer in layers] == [1000, 256, 10]
        for layer in layers:
            flat = torch.tanh(F.linear(flat, layer.weight, layer.bias))
        torch.testing.assert_close(model(video).features, flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("given", "steps"), [("frames", 5), ("differences", 4), ("both", 4)])
def test_the_input_of_the_trunk(given: str, steps: int) -> None:
    config = BiConvLstmConfig(
        trunk=SmallTrunkConfig(widths=(4,)), input=given, hidden=4, head=PooledHeadConfig()
    )
    model = config.build(2)
    video = torch.randn(2, 3, 5, 8, 8)
    seen = model._trunk_input(video)
    assert seen.shape == (2, 6 if given == "both" else 3, steps, 8, 8)
    if given != "frames":
        torch.testing.assert_close(seen[:, -3:, 2], video[:, :, 3] - video[:, :, 2])
    if given != "differences":
        assert torch.equal(seen[:, :3, -1], video[:, :, 4])


def test_standardized_clips_do_not_depend_on_exposure() -> None:
    trunk = SmallTrunkConfig(widths=(4,))
    config = BiConvLstmConfig(
        trunk=trunk, input="both", standardize=True, hidden=4, head=PooledHeadConfig()
    )
    model = config.build(2).eval()
    video = torch.randn(1, 3, 5, 8, 8)
    still = torch.ones(1, 3, 5, 8, 8)
    torch.testing.assert_close(model(video).logits, model(3 * video - 2).logits)
    assert model(still).logits.isfinite().all()


def test_gradients_stay_finite_over_a_long_clip() -> None:
    layer = BiConvLstmLayer(channels=4, hidden=4)
    maps = (100 * torch.randn(1, 200, 4, 3, 3)).requires_grad_()
    layer(maps).square().sum().backward()
    assert maps.grad is not None and maps.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize(
    ("arch", "stride", "channels"),
    [
        ("vgg13", 16, 512),
        ("vgg13_bn", 8, 512),
        ("resnet18", 16, 256),
        ("resnet18", 32, 512),
        ("mobilenet_v3_small", 16, 48),
        ("densenet121", 8, 512),
    ],
)
def test_a_trunk_is_cut_at_its_stride(arch: str, stride: int, channels: int) -> None:
    with torch.device("meta"):
        trunk = TorchvisionTrunkConfig(arch=arch, stride=stride).build(3)
        maps = trunk(torch.zeros(2, 3, 224, 224))
    side = 224 // stride
    assert maps.shape == (2, trunk.channels, side, side)
    assert trunk.channels == channels


def test_imagenet_weights_reach_the_trunk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = get_model("resnet18", weights=None, num_classes=10).eval()
    save_file(theirs.state_dict(), tmp_path / "resnet.safetensors")
    weights = FileWeights(path=tmp_path / "resnet.safetensors")
    config = TorchvisionTrunkConfig(arch="resnet18", stride=16, weights=weights)
    images = torch.randn(2, 3, 64, 64)
    stem = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
    expected = theirs.layer3(theirs.layer2(theirs.layer1(stem)))
    torch.testing.assert_close(config.build(3).eval()(images), expected)
    # Six channels begin as the sum of what three see of either half.
    six = config.build(6).eval()
    first = F.conv2d(images, theirs.conv1.weight, stride=2, padding=3)
    torch.testing.assert_close(six[0](torch.cat([images, images], 1)), 2 * first)


def test_trunks_that_cannot_be_cut() -> None:
    with pytest.raises(ValidationError, match="'vgg14' is not an image classifier of torchvision"):
        TorchvisionTrunkConfig(arch="vgg14")
    for arch in ("vit_b_16", "swin_t"):
        with pytest.raises(ViddaError, match=f"{arch}' has no convolutional trunk"):
            TorchvisionTrunkConfig(arch=arch).build(3)
    with pytest.raises(ViddaError, match=r"trunk\.stride 2 is less than"):
        TorchvisionTrunkConfig(arch="convnext_tiny", stride=2).build(3)
