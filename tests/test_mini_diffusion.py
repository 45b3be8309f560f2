"""The built-in miniature: what it may have seen, and that its script makes what vidda can load."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import MultiControlNetModel, StableDiffusionControlNetPipeline
from safetensors.torch import load_file

from tools.mini_diffusion import cache, captions, capture, gate, networks, palette, people, places
from tools.mini_diffusion import scenes as foundation
from tools.mini_diffusion.averaging import Average
from tools.mini_diffusion.build import Builder, loaded
from tools.mini_diffusion.controls import edge_maps, person, pose_maps, shown, surroundings
from tools.mini_diffusion.loop import rate
from tools.mini_diffusion.recipe import DenoiserStage, Recipe, SizesConfig
from tools.mini_diffusion.tokens import LENGTH
from tools.mini_diffusion.words import vocabulary
from tools.train_mini_diffusion import main
from vidda import config
from vidda.control.draw import draw_openpose
from vidda.control.edges import Canny
from vidda.control.keypoints import JOINTS, Pose
from vidda.mini import appearance, clip
from vidda.mini import capture as real_capture
from vidda.mini.body import REGIONS
from vidda.translate.personalize.lora import Lora
from vidda.translate.personalize.textual_inversion import TextualInversion
from vidda.translate.prompts import NEGATIVE, PromptConfig

TINY = [
    "seed=3",
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


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_its_grounds_are_none_of_the_real_ones() -> None:
    real = [appearance.place(rng(n), True, "").fine.mean((0, 1)) for n in range(40)]
    assert max(palette.distance_to_real(mean) for mean in real) < palette.FARTHEST_ALIKE / 2
    own = [places.draw_setting(rng(n)).place for n in range(40)]
    for place in own:
        assert palette.distance_to_real(place.fine.mean((0, 1))) > palette.FARTHEST_ALIKE
        assert palette.distance_to_real(place.coarse.mean((0, 1))) > palette.FARTHEST_ALIKE - 1
        assert not place.wild  # the real domain's horizon


def test_its_clothes_are_more_vivid_than_the_real_ones() -> None:
    ground = np.full(3, 0.2)
    named = [REGIONS.index(name) for name in ("upper", "lower")]
    for n in range(60):
        real = appearance.clothes(rng(n), True, 0, ground)
        own = people.draw_outfit(rng(n), ground).cloth
        for region in named:
            average = real[region].texture.mean((0, 1))
            assert palette.vividness(average) < palette.REAL_VIVIDNESS * 1.05
            texels = own[region].texture.reshape(-1, 3)
            assert min(map(palette.vividness, texels)) > 1.5 * palette.REAL_VIVIDNESS


def test_its_cameras_and_suns_do_what_the_real_ones_never_do() -> None:
    def outside(value: float, low: float, high: float) -> bool:
        return not low <= value <= high

    for n in range(150):
        real = real_capture.lens((n,), clip.FACTORS, 4, 112, "ground", None)
        own = capture.draw_lens(rng(n), 4, 112).lens
        for value, taken, ranges in (
            (real.focus, own.focus, capture.REAL_FOCUS),
            (real.read, own.read, capture.REAL_READ),
            (real.haze, own.haze, (0.0, capture.REAL_HAZE)),
        ):
            assert ranges[0] <= value <= ranges[1]
            assert taken == 0.0 or outside(taken, *ranges)
        assert (real.gain >= capture.REAL_GAIN[0]).all()
        assert (real.gain <= capture.REAL_GAIN[1]).all()
        assert (own.gain == 1.0).all() or all(outside(g, *capture.REAL_GAIN) for g in own.gain)
        assert real.jpeg > 0 and own.jpeg == 0
        assert np.ptp(real.path) > 0 and np.ptp(own.path) == 0 and not own.smear.any()
        for sun, is_real in ((appearance.sunlight(rng(n), True, 0), True),
                             (capture.draw_sun(rng(n))[0], False)):  # fmt: skip
            high = np.degrees(np.arcsin(sun.direction[2]))
            strength = float(np.median(sun.colour))
            seen = not outside(high, *capture.REAL_ELEVATION_DEG) and not outside(
                strength, *capture.REAL_STRENGTH
            )
            assert seen == is_real


def test_the_same_seed_draws_the_same_scene() -> None:
    first, second = (foundation.draw((1, 2), 2, 48, 2) for _ in range(2))
    other = foundation.draw((1, 3), 2, 48, 2)
    assert np.array_equal(first.frames, second.frames) and first.captions == second.captions
    assert not np.array_equal(first.frames, other.frames)
    assert first.frames.shape == (2, 48, 48, 3) and first.mask.any((1, 2)).all()
    # The joints lie on the person, as the true poses of a translation's source do.
    hips = [JOINTS.index(name) for name in ("left_hip", "right_hip", "nose")]
    for n, points in enumerate(first.keypoints):
        column, row = np.rint(points[hips]).astype(int).T
        assert first.mask[n][row.clip(0, 47), column.clip(0, 47)].mean() > 0.5


def test_a_byte_holds_the_pose_the_edges_and_the_person() -> None:
    drawn = foundation.draw((5,), 3, 64, 1)
    pose = Pose(drawn.keypoints[:, None], drawn.inside[:, None].astype(np.float32))
    maps, edges = draw_openpose(pose, 64, 64), Canny().edges(drawn.clean)
    facts = torch.from_numpy(cache.packed(maps, edges, drawn.mask))
    assert len(np.unique(maps.reshape(-1, 3), axis=0)) > 10
    assert np.array_equal((pose_maps(facts) * 255).round().byte().permute(0, 2, 3, 1), maps)
    assert np.array_equal(edge_maps(facts)[:, 0] * 255, edges) and edges.any()
    assert np.array_equal(person(facts)[:, 0].bool(), drawn.mask)


def test_controls_are_dropped_and_edges_end_near_the_person() -> None:
    drawn = foundation.draw((5,), 1, 64, 1)
    pose = Pose(drawn.keypoints[:, None], drawn.inside[:, None].astype(np.float32))
    everywhere = np.full((1, 64, 64), 255, np.uint8)
    one = torch.from_numpy(cache.packed(draw_openpose(pose, 64, 64), everywhere, drawn.mask))
    facts = one.repeat(8, 1, 1)
    stage = DenoiserStage(no_edges=0.4, no_pose=0.2, only_person=0.7)
    drawn_maps = [shown(facts, stage, torch.Generator().manual_seed(n)) for n in range(400)]
    assert sum("edges" not in maps for maps in drawn_maps) / 400 == pytest.approx(0.4, abs=0.08)
    assert sum("pose" not in maps for maps in drawn_maps) / 400 == pytest.approx(0.2, abs=0.08)
    assert any(not maps for maps in drawn_maps)
    near, far = surroundings(one, 1)[0, 0] > 0, surroundings(one, 12)[0, 0] == 0
    edges = torch.cat([maps["edges"][:, 0] for maps in drawn_maps if "edges" in maps])
    assert (edges[:, near] == 1).all()
    ending = (edges[:, far] == 0).all(dim=1).float().mean()
    assert 0.65 < float(ending) < 0.95
    alone = DenoiserStage(only_person=1.0, no_edges=0.0)
    assert not shown(facts, alone, torch.Generator().manual_seed(0))["edges"][:, 0][:, far].any()


def test_every_word_of_every_caption_is_one_token() -> None:
    words = networks.new_tokenizer()
    known = set(vocabulary())
    assert 250 < len(known) < 400
    for word in [*sorted(known), "valid", "person"]:
        assert len(words(word, add_special_tokens=False).input_ids) == 1, word
    for n in range(60):
        for text in foundation.draw((n,), 1, 32, 6).captions[0]:
            said = set(text.replace(",", " ").split())
            assert {word for word in said if not word.isdigit()} <= known, text
            assert len(words(text).input_ids) <= LENGTH
    assert words("Halt!").input_ids == words("halt!").input_ids
    assert words.unk_token_id not in words("quixotic")["input_ids"][1:-1]
    assert ", ".join(captions.POOR) == NEGATIVE
    for prompt in (PromptConfig().template, NEGATIVE):
        assert len(words(prompt).input_ids) <= LENGTH


def test_at_its_real_size_it_fits_in_sixteen_megabytes() -> None:
    sizes, words = SizesConfig(), networks.new_tokenizer()
    with torch.device("meta"):
        unet = networks.new_unet(sizes, 112)
        parts = [unet, networks.new_autoencoder(sizes), networks.new_text_encoder(sizes, words)]
        parts += [networks.new_controlnet(unet, sizes) for _ in networks.KINDS]
    weights = sum(p.numel() for part in parts for p in part.parameters())
    # Besides weights: the names in the files, configs, the tokenizer and the card.
    assert 12_000_000 < 2 * weights < networks.LIMIT_BYTES - 400_000


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
    assert gate.score(given, given) == gate.Found(1.0, 1.0)
    moved = points.copy()
    moved[0, 0, gate.WRISTS[0], 0] = 11.0
    moved[1, 0, gate.WRISTS[0], 0] = 9.0
    found = gate.score(given, Pose(moved, given.scores))
    assert found.wrists == pytest.approx(3 / 4) and found.all == pytest.approx(33 / 34)
    unseen = np.ones((2, 1, 17), np.float32)
    unseen[0, 0, gate.WRISTS[0]] = 0.0  # not given, so it does not count
    assert gate.score(Pose(points, unseen), Pose(moved, given.scores)).wrists == 1.0

    good, poor = gate.Found(0.9, 0.7), gate.Found(0.5, 0.2)
    found_all = {"pose and edges": gate.Found(0.95, 0.8), "pose": good, "edges": poor}
    assert gate.passed(found_all)
    assert not gate.passed(found_all | {"pose": gate.Found(0.9, 0.5)})
    assert not gate.passed(found_all | {"edges": gate.Found(0.95, 0.9)})


def test_mistakes_are_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "data.scene=3"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main([str(tmp_path), *TINY, "--gate", "pose.name=sidecar"]) == 2
    assert "is not there yet" in capsys.readouterr().err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini") / "out"
    assert main([str(out), *TINY]) == 0
    return out


def test_stopped_and_killed_it_goes_on_to_the_very_same_model(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    for part in ("vae", "unet", "controlnet_pose", "controlnet_edges"):
        name = "diffusion_pytorch_model.safetensors"
        one, other = (load_file(o / "result" / part / name) for o in (made, out))
        assert all(torch.equal(one[key], other[key]) for key in one), part


def test_what_it_makes_is_what_vidda_and_diffusers_load(made: Path) -> None:
    result = made / "result"
    assert networks.bytes_in(result) < networks.LIMIT_BYTES
    assert "Not measured yet" in (result / "README.md").read_text()
    models = loaded(result, torch.device("cpu"), "fp32")
    assert [net.kind for net in models.controlnets] == ["edges", "pose"]
    assert models.scheduler_config["prediction_type"] == "v_prediction"
    TextualInversion(initializer="valid", kind="style").check(models)
    Lora(token="sks", prompt="a photo of a person in the style of {token}").check(models)

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


class Centre:
    """An estimator that finds all joints in the middle of every picture."""

    def build(self) -> "Centre":
        return self

    def estimate(self, frames: np.ndarray, *_: object) -> Pose:
        at = np.full((len(frames), 1, 17, 2), frames.shape[1] / 2, np.float32)
        return Pose(at, np.ones((len(frames), 1, 17), np.float32))


def test_the_gate_draws_in_four_ways_and_the_card_says_what_it_found(made: Path) -> None:
    recipe = config.load(Recipe, None, [f"out={made}", *TINY])
    builder = Builder(recipe)
    assert not builder.measure(Centre(), pictures=4, steps=2, guidance=2.0)  # type: ignore[arg-type]
    card = (made / "result" / "README.md").read_text()
    assert "The gate is not passed" in card
    for way in ("pictures", *gate.WAYS):
        assert f"| {way} |" in card
    assert (made / "gate.png").exists()
