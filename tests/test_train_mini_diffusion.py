"""The built-in miniature's script: it makes what vidda and diffusers can load."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import MultiControlNetModel, StableDiffusionControlNetPipeline
from safetensors.torch import load_file

from tools.mini_diffusion import gate, networks
from tools.mini_diffusion.averaging import Average
from tools.mini_diffusion.build import Builder, load_miniature
from tools.mini_diffusion.looks import Looks
from tools.mini_diffusion.loop import rate
from tools.mini_diffusion.recipe import DenoiserStage, Recipe
from tools.train_mini_diffusion import main
from vidda import config
from vidda.control.keypoints import Pose
from vidda.translate.stable_diffusion.personalize.lora import LoraTrainingConfig
from vidda.translate.stable_diffusion.personalize.textual_inversion import TextualInversionConfig

TINY = [
    "seed=8",
    "data.scenes=6",
    "data.held_out=3",
    "data.moments=2",
    "data.captions=2",
    "data.size=32",
    "data.shard=3",
    "data.jobs=1",
    "sizes.vae=8",
    "sizes.latents=4",
    "sizes.unet=[16, 16]",
    "sizes.heads=2",
    "sizes.hint=[4, 8, 8]",
    "sizes.text=16",
    "sizes.text_layers=1",
    "samples=2",
    "device=cpu",
    *(
        f"{stage}.{key}"
        for stage in ("autoencoder", "denoiser")
        for key in ("steps=3", "batch=4", "save=2", "look=3", "warmup=1", "cut=16")
    ),
]


def test_the_rate_rises_stays_and_falls() -> None:
    stage = DenoiserStage(steps=100, lr=1.0, warmup=10, cooldown=0.2)
    rates = [rate(stage, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:81] == [1.0] * 72
    assert rates[90] == pytest.approx(0.5) and 0 < rates[99] < 0.06


def test_the_average_follows_and_gives_the_weights_back() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    average = Average({"w": weight}, 0.5)
    expected = torch.zeros(2)
    for step in range(1, 4):
        with torch.no_grad():
            weight += 1.0
        average.update(step)
        share = 1 - min(0.5, (1 + step) / (10 + step))
        expected = expected + share * (weight.detach() - expected)
    assert torch.allclose(average.values["w"], expected)
    with average.applied():
        assert torch.allclose(weight, expected)
    assert torch.equal(weight.detach(), torch.full((2,), 3.0))


def test_the_gate_counts_joints_that_were_found_again() -> None:
    points = np.zeros((2, 1, 17, 2), np.float32)
    points[..., 0, 1] = 100.0  # the box is 100 high, so that 10 pixels are allowed
    given = Pose(points, np.ones((2, 1, 17), np.float32))
    assert gate.score(given, given) == gate.PoseScores(1.0, 1.0)
    moved = points.copy()
    moved[0, 0, gate.WRISTS[0], 0] = 11.0
    moved[1, 0, gate.WRISTS[0], 0] = 9.0
    found = gate.score(given, Pose(moved, given.scores))
    assert found.wrists == pytest.approx(3 / 4) and found.all == pytest.approx(33 / 34)
    unseen = np.ones((2, 1, 17), np.float32)
    unseen[0, 0, gate.WRISTS[0]] = 0.0  # not given, so it does not count
    assert gate.score(Pose(points, unseen), Pose(moved, given.scores)).wrists == 1.0


def test_the_gate_asks_for_poses_and_looks_in_each_view() -> None:
    def both(all_: float, wrists: float, looks: Looks) -> dict[str, gate.Scores]:
        return dict.fromkeys(gate.VIEWS, gate.Scores(gate.PoseScores(all_, wrists), looks))

    fair = Looks(mottle=10.0, edges=2.0, chroma=40.0)
    good: gate.Found = {
        "pictures": both(1.0, 1.0, fair),
        "pose and edges": both(0.95, 0.9, fair),
        "pose": both(0.9, 0.85, fair),
        "edges": both(0.5, 0.2, fair),
    }
    assert gate.failures(good) == []
    for way, all_, wrists, looks, missed in (
        ("pose", 0.79, 0.85, fair, "all joints by pose alone 79.0% of 80%"),
        ("pose", 0.9, 0.79, fair, "wrists by pose alone 79.0% of 80%"),
        ("edges", 0.9, 0.95, fair, "no better than by one"),
        ("pose and edges", 0.95, 0.9, Looks(16.0, 2.0, 40.0), "clothes mottled, 16.0"),
        ("pose and edges", 0.95, 0.9, Looks(10.0, 1.3, 40.0), "without edges, 1.30"),
        ("pose and edges", 0.95, 0.9, Looks(10.0, 2.0, 45.0), "too vivid, 45.0"),
    ):
        # In the air alone: the other view does not make up for it.
        air = {"air": both(all_, wrists, looks)["air"]}
        (line,) = gate.failures(good | {way: good[way] | air})
        assert line.startswith("air: ") and missed in line


def test_mistakes_are_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "data.scene=3"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main([str(tmp_path), *TINY, "--gate", "pose.name=sidecar"]) == 2
    assert "does not exist yet" in capsys.readouterr().err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini") / "out"
    assert main([str(out), *TINY]) == 0
    return out


def test_stopped_and_killed_it_goes_on_to_the_very_same_model(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    (out / "data").mkdir(parents=True)
    for file in (made / "data").glob("*.npz"):
        (out / "data" / file.name).symlink_to(file)
    assert main([str(out), *TINY, "--minutes", "0"]) == 3
    recipe = config.load(Recipe, None, [f"out={out}", *TINY])
    soon = time.monotonic() + 0.0001
    assert not Builder(recipe).build(soon)  # after no step, or after one

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # Before the autoencoder's result is written, and with it the later stage.
        patch.setattr("tools.mini_diffusion.autoencoder.Autoencoder.save", killed)
        with pytest.raises(KeyboardInterrupt):
            Builder(recipe).build(float("inf"))
    with monkeypatch.context() as patch:
        patch.setattr("tools.mini_diffusion.denoiser.Denoiser.measure", killed)
        with pytest.raises(KeyboardInterrupt):
            Builder(recipe).build(float("inf"))
    assert main([str(out), *TINY]) == 0
    told = re.findall(r": (\d+)/(\d+) steps", capsys.readouterr().err)
    assert told and all(int(done) <= int(total) for done, total in told)
    for part in ("vae", "unet", "controlnet_pose", "controlnet_edges"):
        name = "diffusion_pytorch_model.safetensors"
        one, other = (load_file(o / "result" / part / name) for o in (made, out))
        assert all(torch.equal(one[key], other[key]) for key in one), part


def test_what_it_makes_is_what_vidda_and_diffusers_load(made: Path) -> None:
    result = made / "result"
    assert networks.bytes_in(result) < networks.LIMIT_BYTES
    assert "Not measured yet" in (result / "README.md").read_text()
    models = load_miniature(result, torch.device("cpu"), "fp32")
    assert [net.kind for net in models.controlnets] == ["edges", "pose"]
    assert models.scheduler_config["prediction_type"] == "v_prediction"
    TextualInversionConfig(initializer="valid", kind="style").check(models)
    LoraTrainingConfig(token="sks", prompt="a photo of a person in the style of {token}").check(
        models
    )

    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        result,
        controlnet=MultiControlNetModel([net.model for net in models.controlnets]),
        safety_checker=None,
        torch_dtype=torch.float32,
    )
    pipeline.set_progress_bar_config(disable=True)
    pictures = [
        torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(n)) for n in (0, 1)
    ]
    drawn = pipeline(
        "a photo of a person, on snow",
        image=pictures,
        num_inference_steps=2,
        height=32,
        width=32,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    assert drawn.shape == (1, 32, 32, 3) and np.isfinite(drawn).all() and drawn.std() > 0


def test_each_stage_learned_something_and_shows_it(made: Path) -> None:
    for stage in ("autoencoder", "denoiser"):
        assert (made / stage / "DONE").exists()
        assert (made / stage / "samples" / "000003.png").exists()
        assert "held_out" in (made / stage / "metrics.jsonl").read_text()
    learned = load_file(made / "denoiser" / "result" / "learned.safetensors")
    zeros = [key for key in learned if "controlnet_down_blocks" in key and key.endswith("weight")]
    for net in ("edges", "pose"):
        assert any(learned[key].any() for key in zeros if net in key), net


class Center:
    """An estimator that finds all joints in the middle of every picture."""

    def build(self) -> "Center":
        return self

    def estimate(self, frames: np.ndarray, *_: object) -> Pose:
        at = np.full((len(frames), 1, 17, 2), frames.shape[1] / 2, np.float32)
        return Pose(at, np.ones((len(frames), 1, 17), np.float32))


def test_the_result_follows_the_maps_more_closely_than_was_learned(made: Path) -> None:
    learned = load_file(made / "denoiser" / "result" / "learned.safetensors")
    result = load_file(made / "result" / "controlnet_pose" / "diffusion_pytorch_model.safetensors")
    for key, value in result.items():
        output = key.startswith(("controlnet_down_blocks", "controlnet_mid_block"))
        wanted = (1.3 if output else 1.0) * learned[f"pose.{key}"]
        assert torch.allclose(value.float(), wanted, rtol=2e-3, atol=1e-6), key
    assert "multiplied by 1.3" in (made / "result" / "README.md").read_text()


def test_the_gate_draws_in_four_ways_and_the_card_says_what_it_found(made: Path) -> None:
    recipe = config.load(Recipe, None, [f"out={made}", *TINY])
    builder = Builder(recipe)
    assert not builder.measure(Center(), pictures=4, steps=2, guidance=2.0)  # type: ignore[arg-type]
    card = (made / "result" / "README.md").read_text()
    assert "The gate is not passed: ground: " in card and "air: " in card
    assert "of 4 held-out pictures" in card
    for way in ("pictures", *gate.WAYS):
        for view in gate.VIEWS:
            assert f"| {way} | {view} |" in card
            assert (made / f"gate_{view}.png").exists()


def test_an_earlier_result_is_trained_further(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    further = [*TINY, f"start={made / 'result'}", "seed=9", "denoiser.lr=1e-9", "control_scale=1"]
    assert main([str(tmp_path / "out"), *further]) == 0
    assert not (tmp_path / "out" / "autoencoder").exists()
    for part in ("vae", "unet", "controlnet_pose"):
        name = "diffusion_pytorch_model.safetensors"
        one, other = (load_file(o / "result" / part / name) for o in (made, tmp_path / "out"))
        assert all(torch.allclose(one[key], other[key], atol=1e-3) for key in one), part
    card = (tmp_path / "out" / "result" / "README.md").read_text()
    assert card.index("seed 8, on 6 scenes") < card.index("further, seed 9, on 6 other scenes")
    assert main([str(tmp_path / "other"), *further, "sizes.unet=[16, 24]"]) == 2
    assert "its unet has other sizes" in capsys.readouterr().err
