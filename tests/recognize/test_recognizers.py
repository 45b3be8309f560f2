"""The contract of recognizers over every member of the union, and the zoo against its libraries."""

import pickle
import typing
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from pytorchvideo.models import hub
from pytorchvideo.models.x3d import create_x3d
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from vidda import config as configs
from vidda.config import Config
from vidda.errors import ViddaError
from vidda.recognize.biconvlstm import BiConvLstmConfig, FlatHeadConfig, PooledHeadConfig
from vidda.recognize.frame_trunk import SmallTrunkConfig, TorchvisionTrunkConfig
from vidda.recognize.pose_transformer import PoseTransformerConfig
from vidda.recognize.pretrained_weights import FileWeights, LibraryWeights
from vidda.recognize.pytorchvideo_video import PytorchvideoVideoConfig
from vidda.recognize.recognizers import ModelConfig
from vidda.recognize.swin_image import SwinImageConfig
from vidda.recognize.timm_frames import GruPoolingConfig, TimmFramesConfig
from vidda.recognize.torchvision_video import TorchvisionVideoConfig
from vidda.recognize.videomae import VideoMaeConfig
from vidda.recognize.videomae_start import VideoMaeScratch
from vidda.yaml_data import parse

TINY_MAE = VideoMaeScratch(patch=8, width=16, layers=2, heads=2, mlp=32)
FLAT = FlatHeadConfig(grid=2, hidden=(12,))

# Each model and a clip (C, T, H, W), or poses (T, 17, 3), that it takes; a big clip is checked for
# its shapes alone.
CASES = {
    "biconvlstm": (BiConvLstmConfig(trunk=SmallTrunkConfig(), hidden=8, head=FLAT), (3, 4, 32, 32)),
    "biconvlstm-resnet": (
        BiConvLstmConfig(
            trunk=TorchvisionTrunkConfig(arch="resnet18"), hidden=8, head=PooledHeadConfig()
        ),
        (3, 3, 32, 32),
    ),
    "biconvlstm-paper": (BiConvLstmConfig(), (3, 5, 224, 224)),
    "videomae": (VideoMaeConfig(frames=4, size=16, start=TINY_MAE), (3, 4, 16, 16)),
    "videomae-b": (VideoMaeConfig(), (3, 16, 224, 224)),
    "r3d_18": (TorchvisionVideoConfig(arch="r3d_18"), (3, 2, 16, 16)),
    "r2plus1d_18": (TorchvisionVideoConfig(arch="r2plus1d_18"), (3, 2, 16, 16)),
    "s3d": (TorchvisionVideoConfig(arch="s3d"), (3, 14, 224, 224)),
    "mvit_v2_s": (TorchvisionVideoConfig(arch="mvit_v2_s"), (3, 16, 224, 224)),
    "swin3d_t": (TorchvisionVideoConfig(arch="swin3d_t"), (3, 2, 32, 32)),
    "x3d_s": (PytorchvideoVideoConfig(arch="x3d_s"), (3, 2, 32, 32)),
    "x3d_m": (PytorchvideoVideoConfig(arch="x3d_m"), (3, 2, 32, 32)),
    "slowfast_r50": (PytorchvideoVideoConfig(arch="slowfast_r50"), (3, 8, 32, 32)),
    "i3d_r50": (PytorchvideoVideoConfig(arch="i3d_r50"), (3, 4, 32, 32)),
    "swin_image": (SwinImageConfig(arch="swin_t", weights=None), (3, 2, 32, 32)),
    "timm": (TimmFramesConfig(arch="test_resnet"), (3, 3, 32, 32)),
    "timm-gru": (
        TimmFramesConfig(arch="test_convnext", pooling=GruPoolingConfig(hidden=8), dropout=0.2),
        (3, 4, 32, 32),
    ),
    "timm-vit": (TimmFramesConfig(arch="vit_tiny_patch16_224"), (3, 2, 224, 224)),
    "swin_b": (SwinImageConfig(weights=None), (3, 2, 224, 224)),
    "pose": (PoseTransformerConfig(width=16, layers=1), (4, 17, 3)),
}


def small(case: str) -> bool:
    return CASES[case][1][-1] < 100


def test_the_cases_cover_the_union() -> None:
    union = typing.get_args(typing.get_args(ModelConfig)[0])
    assert {type(config) for config, _ in CASES.values()} == set(union)
    for member in (TorchvisionVideoConfig, PytorchvideoVideoConfig):
        known = set(typing.get_args(member.model_fields["arch"].annotation))
        assert known <= {config.arch for config, _ in CASES.values() if hasattr(config, "arch")}


@pytest.mark.parametrize("case", CASES)
def test_the_contract(case: str) -> None:
    config, shape = CASES[case]
    if len(shape) == 4:
        config.check_input(*shape[1:])
    torch.manual_seed(0)
    with torch.device("cpu" if small(case) else "meta"):
        model = config.build(5)
        video = torch.randn(2, *shape)
    logits, features = model.eval()(video)
    assert (model.classes, logits.shape) == (5, (2, 5))
    assert features.shape == (2, model.feature_dim)
    assert logits.dtype == features.dtype == torch.float32
    depths = [model.depth_of(name) for name, _ in model.named_parameters()]
    assert set(depths) == set(range(model.depth + 1))
    assert model.depth_of("classifier.weight") == model.depth > 1
    if small(case):
        assert torch.equal(model.classifier(features), logits)
        assert not torch.allclose(logits[0], logits[1], atol=1e-9)


@pytest.mark.parametrize("case", [case for case in CASES if small(case)])
def test_every_trained_weight_gets_a_gradient(case: str) -> None:
    config, shape = CASES[case]
    model = config.build(5).train()
    video = torch.randn(2, *shape)
    output = model(video)
    assert torch.equal(model.classifier(output.features), output.logits)  # dropout and all
    nn.functional.cross_entropy(output.logits, torch.tensor([1, 3])).backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    # The key's bias of attention and the weights of the last skipped path may get zeros, never NaN.
    assert all(grad is not None and grad.isfinite().all() for grad in trained.values())
    assert any(grad.abs().sum() > 0 for grad in trained.values() if grad is not None)


@pytest.mark.parametrize("case", [case for case in CASES if case != "videomae-b"])
def test_a_checkpoint_needs_no_pretrained_weights(case: str) -> None:
    config, _ = CASES[case]
    plain: Config = config.without_weights()
    text = configs.dump(plain)
    again = TypeAdapter(ModelConfig).validate_python(parse(text, "yaml"))
    assert again == plain
    with torch.device("meta"):
        shapes = [
            {name: tensor.shape for name, tensor in each.build(3).state_dict().items()}
            for each in (config, plain)
        ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("case", "clip", "message"),
    [
        ("mvit_v2_s", (8, 112, 112), "clips of 8 frames, but it takes 16; and of 112x112 pixel"),
        ("s3d", (16, 112, 112), "s3d does not fit clips of 112x112 pixels, but it takes at least"),
        ("slowfast_r50", (10, 64, 64), "10 frames, but it takes a multiple of 4"),
        ("videomae", (8, 16, 16), "videomae does not fit clips of 8 frames, but it takes 4"),
        ("biconvlstm", (1, 32, 32), "1 frames, but it takes at least 2"),
        ("biconvlstm-paper", (16, 112, 112), "112x112 pixels, but it takes at least 224x224"),
        ("timm", (1, 16, 16), "test_resnet does not fit clips of 16x16 pixels, but it takes at"),
        ("timm-vit", (1, 112, 112), "of 112x112 pixels, but it takes 224x224: change"),
    ],
)
def test_a_clip_that_does_not_fit_is_refused(
    case: str, clip: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ViddaError) as caught:
        CASES[case][0].check_input(*clip)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def library_model(arch: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The library's own model of five classes, and a clip for which it was made."""
    if arch in ("x3d_s", "x3d_m"):  # they differ in the size of the clip alone
        clip = {"x3d_s": (4, 64), "x3d_m": (3, 96)}[arch]
        net = create_x3d(
            input_clip_length=clip[0],
            input_crop_size=clip[1],
            model_num_class=5,
            head_activation=None,
        )
        return net, (3, clip[0], clip[1], clip[1])
    if arch == "slowfast_r50":
        kernels = ((2, 1, 1), (8, 1, 1))
        net = hub.slowfast.slowfast_r50(model_num_class=5, head_pool_kernel_sizes=kernels)
        return net, (3, 8, 32, 32)
    if arch == "i3d_r50":
        net = hub.resnet.i3d_r50(model_num_class=5, head_pool_kernel_size=(4, 1, 1))
        return net, (3, 8, 32, 32)
    sizes = {"s3d": (3, 16, 224, 224), "mvit_v2_s": (3, 16, 224, 224)}
    return get_model(arch, weights=None, num_classes=5), sizes.get(arch, (3, 4, 40, 40))


ZOO = {
    arch: member
    for member in (TorchvisionVideoConfig, PytorchvideoVideoConfig)
    for arch in typing.get_args(member.model_fields["arch"].annotation)
}


SLOW = pytest.mark.slow  # it runs at one size only, the full one


@pytest.mark.parametrize(
    "arch", [pytest.param(arch, marks=SLOW if arch == "mvit_v2_s" else ()) for arch in ZOO]
)
@torch.no_grad()
def test_logits_are_the_librarys_own(arch: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs, shape = library_model(arch)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    weights = FileWeights(path=tmp_path / "theirs.safetensors")
    ours = ZOO[arch](arch=arch, weights=weights, head="loaded").build(5)
    video = torch.randn(1, *shape)
    expected = theirs.eval()(
        [video[:, :, [0, 7]], video.clone()] if arch == "slowfast_r50" else video
    )
    torch.testing.assert_close(ours.eval()(video).logits, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-4  # else anything would be close


def x3d(weights: Path, head: str = "new", classes: int = 7) -> nn.Module:
    return PytorchvideoVideoConfig(weights=FileWeights(path=weights), head=head).build(classes)


def test_a_new_head_on_a_loaded_trunk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = hub.x3d.x3d_s(model_num_class=5)
    torch.save({"model_state": theirs.state_dict()}, tmp_path / "theirs.pyth")
    with caplog.at_level("INFO", logger="vidda"):
        ours = x3d(tmp_path / "theirs.pyth")
    own = ours.trunk.state_dict()
    assert len(own) > 100
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in own.items())
    assert ours.classes == 7
    assert "the head is new" in caplog.text
    message = "its last layer has 5 classes, but the data has 7; set head=new for a new one"
    with pytest.raises(ViddaError, match=message):
        x3d(tmp_path / "theirs.pyth", head="loaded")


def refused(build: typing.Callable[[], object]) -> str:
    with pytest.raises(ViddaError) as caught:
        build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[typing.Any, ...]:
        return Path.touch, (self.path,)


def test_weights_that_cannot_be_loaded(tmp_path: Path) -> None:
    assert "no such file" in refused(lambda: x3d(tmp_path / "absent.pth"))
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\x00")
    assert "cannot be read as plain" in refused(lambda: x3d(tmp_path / "torn.safetensors"))
    (tmp_path / "empty.pth").write_bytes(b"")
    assert "cannot be read as plain" in refused(lambda: x3d(tmp_path / "empty.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds no state_dict" in refused(lambda: x3d(tmp_path / "list.pth"))
    save_file({"blocks.5.proj.bias": torch.zeros(7)}, tmp_path / "other.safetensors")
    message = refused(lambda: x3d(tmp_path / "other.safetensors"))
    assert "not the weights of this model" in message
    assert "missing (first blocks.0.conv.conv_t.weight)" in message


@pytest.mark.parametrize("write", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))])
def test_weights_are_never_unpickled(tmp_path: Path, write: typing.Any) -> None:
    write({"fc.bias": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    assert "trap.pth: cannot be read" in refused(lambda: x3d(tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("member", [TorchvisionVideoConfig, PytorchvideoVideoConfig])
def test_the_librarys_weights_without_a_network(
    member: type[TorchvisionVideoConfig | PytorchvideoVideoConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    message = refused(lambda: member(weights=LibraryWeights()).build(7))
    assert "cannot be downloaded" in message
    assert f"not in {tmp_path}/hub/checkpoints" in message
    assert "weights.name=file" in message


def test_a_frozen_swin_trains_its_head_alone(tmp_path: Path) -> None:
    theirs = get_model("swin_t", weights=None)
    save_file(theirs.state_dict(), tmp_path / "swin.safetensors")
    weights = FileWeights(path=tmp_path / "swin.safetensors")
    model = SwinImageConfig(arch="swin_t", weights=weights).build(7).train()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in trained} == {"hidden", "classifier"}
    theirs.head = nn.Identity()
    video = torch.randn(2, 3, 2, 32, 32)
    with torch.no_grad():
        images = theirs.eval()(video[:, :, 1])
        assert torch.equal(model.trunk(video[:, :, 1]), images)  # no stochastic depth in training
        model.eval()
        frames = [model(video[:, :, t : t + 1]).logits for t in range(2)]
        torch.testing.assert_close(model(video).logits, (frames[0] + frames[1]) / 2)
