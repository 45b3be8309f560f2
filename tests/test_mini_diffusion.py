"""The built-in miniature: what it may have seen, in which words, and how large it is."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

import vidda
from tools.mini_diffusion import cache, captions, capture, networks, palette, people, places
from tools.mini_diffusion import scenes as foundation
from tools.mini_diffusion.controls import (
    arms,
    edge_maps,
    person,
    pose_maps,
    surroundings,
    training_maps,
)
from tools.mini_diffusion.flops import frame_gigaflops
from tools.mini_diffusion.looks import measure_looks
from tools.mini_diffusion.recipe import DenoiserStage, SizesConfig
from tools.mini_diffusion.tokens import LENGTH
from tools.mini_diffusion.words import vocabulary
from vidda.control.draw_pose import draw_openpose
from vidda.control.edges import CannyEdges
from vidda.control.keypoints import JOINTS, Pose
from vidda.mini import appearance, clip
from vidda.mini import capture as real_capture
from vidda.sidecar import REGIONS
from vidda.translate.prompts import NEGATIVE, PromptConfig


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_its_grounds_are_none_of_the_real_ones() -> None:
    real = [appearance.draw_surroundings(rng(n), True, "").fine.mean((0, 1)) for n in range(40)]
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
        real = appearance.draw_clothes(rng(n), True, 0, ground)
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
        real = real_capture.draw_lens((n,), clip.FACTORS, 4, 112, "ground", None)
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
        for sun, is_real in ((appearance.draw_sun(rng(n), True, 0), True),
                             (capture.draw_sun(rng(n))[0], False)):  # fmt: skip
            high = np.degrees(np.arcsin(sun.direction[2]))
            strength = float(np.median(sun.color))
            seen = not outside(high, *capture.REAL_ELEVATION_DEG) and not outside(
                strength, *capture.REAL_STRENGTH
            )
            assert seen == is_real


def test_the_same_seed_draws_the_same_scene() -> None:
    first, second = (foundation.render_scene((1, 2), 2, 48, 2) for _ in range(2))
    other = foundation.render_scene((1, 3), 2, 48, 2)
    assert np.array_equal(first.frames, second.frames) and first.captions == second.captions
    assert not np.array_equal(first.frames, other.frames)
    assert first.frames.shape == (2, 48, 48, 3) and first.mask.any((1, 2)).all()
    # The joints lie on the person, as the true poses of a translation's source do.
    hips = [JOINTS.index(name) for name in ("left_hip", "right_hip", "nose")]
    for n, points in enumerate(first.keypoints):
        column, row = np.rint(points[hips]).astype(int).T
        assert first.mask[n][row.clip(0, 47), column.clip(0, 47)].mean() > 0.5


def test_a_byte_holds_the_pose_the_edges_and_the_person() -> None:
    drawn = foundation.render_scene((5,), 3, 64, 1)
    pose = Pose(drawn.keypoints[:, None], drawn.inside[:, None].astype(np.float32))
    maps, edges = draw_openpose(pose, 64, 64), CannyEdges().edges(drawn.clean)
    facts = torch.from_numpy(cache.pack_facts(maps, edges, drawn.mask))
    assert len(np.unique(maps.reshape(-1, 3), axis=0)) > 10
    assert np.array_equal((pose_maps(facts) * 255).round().byte().permute(0, 2, 3, 1), maps)
    assert np.array_equal(edge_maps(facts)[:, 0] * 255, edges) and edges.any()
    assert np.array_equal(person(facts)[:, 0].bool(), drawn.mask)


def test_arms_are_found_in_the_facts() -> None:
    points = np.full((1, 1, 17, 2), -50.0, np.float32)
    seen = np.zeros((1, 1, 17), np.float32)

    def at(name: str, x: float, y: float) -> None:
        points[0, 0, JOINTS.index(name)] = x, y
        seen[0, 0, JOINTS.index(name)] = 1.0

    for side, x in (("left", 45.0), ("right", 35.0)):
        for y, name in enumerate(("shoulder", "hip", "knee", "ankle")):
            at(f"{side}_{name}", x, 30.0 + 12.0 * y)
    nobody = np.zeros((1, 80, 80), np.uint8)
    facts = cache.pack_facts(draw_openpose(Pose(points, seen), 80, 80), nobody, nobody)
    assert not arms(torch.from_numpy(facts)).any()
    at("left_elbow", 60.0, 30.0)
    at("left_wrist", 75.0, 30.0)
    facts = cache.pack_facts(draw_openpose(Pose(points, seen), 80, 80), nobody, nobody)
    found = arms(torch.from_numpy(facts))[0, 0]
    assert found[30, 50:75].all() and found[28, 60] and found[32, 70]
    assert not found[:, :40].any() and not found[40:].any()


def test_looks_are_worse_for_mottled_smoky_and_neon_pictures() -> None:
    drawn = foundation.render_scene((5,), 2, 64, 1)
    points = np.concatenate([drawn.keypoints, drawn.inside[..., None]], axis=-1)
    facts = cache.pack_facts(
        draw_openpose(
            Pose(drawn.keypoints[:, None], drawn.inside[:, None].astype(np.float32)), 64, 64
        ),
        CannyEdges().edges(drawn.clean),
        drawn.mask,
    )
    images = cache.SceneImages(
        drawn.frames,
        facts,
        points.astype(np.float32),
        drawn.captions,
        np.full(2, drawn.air),
        np.zeros(2, int),
    )
    fair = measure_looks(images, drawn.frames)
    mottled = drawn.frames.copy()
    mottled[:, ::2] = mottled[:, ::2, :, ::-1]
    assert measure_looks(images, mottled).mottle > 2.0 * fair.mottle
    smoke = np.stack([cv2.GaussianBlur(frame, (0, 0), 4.0) for frame in drawn.frames])
    assert measure_looks(images, smoke).edges < 0.6 * fair.edges
    neon = drawn.frames.copy()
    neon[:, :8] = (255, 0, 255)
    assert measure_looks(images, neon).chroma > 1.5 * fair.chroma


def test_people_in_the_air_are_larger_and_the_view_is_kept() -> None:
    scenes = [foundation.render_scene((n,), 1, 48, 1) for n in range(40)]
    assert 8 < sum(scene.air for scene in scenes) < 32
    for scene in scenes:
        assert ("from the ground" in scene.captions[0][0]) <= (not scene.air)
    assert foundation.AIR_SIDE[0] < foundation.GROUND_SIDE[0]


def test_controls_are_dropped_and_edges_end_near_the_person() -> None:
    drawn = foundation.render_scene((5,), 1, 64, 1)
    pose = Pose(drawn.keypoints[:, None], drawn.inside[:, None].astype(np.float32))
    everywhere = np.full((1, 64, 64), 255, np.uint8)
    one = torch.from_numpy(cache.pack_facts(draw_openpose(pose, 64, 64), everywhere, drawn.mask))
    facts = one.repeat(8, 1, 1)
    stage = DenoiserStage(no_edges=0.4, no_pose=0.2, only_person=0.7)
    drawn_maps = [training_maps(facts, stage, torch.Generator().manual_seed(n)) for n in range(400)]
    assert sum("edges" not in maps for maps in drawn_maps) / 400 == pytest.approx(0.4, abs=0.08)
    assert sum("pose" not in maps for maps in drawn_maps) / 400 == pytest.approx(0.2, abs=0.08)
    assert any(not maps for maps in drawn_maps)
    near, far = surroundings(one, 1)[0, 0] > 0, surroundings(one, 12)[0, 0] == 0
    edges = torch.cat([maps["edges"][:, 0] for maps in drawn_maps if "edges" in maps])
    assert (edges[:, near] == 1).all()
    ending = (edges[:, far] == 0).all(dim=1).float().mean()
    assert 0.65 < float(ending) < 0.95
    alone = DenoiserStage(only_person=1.0, no_edges=0.0)
    assert not training_maps(facts, alone, torch.Generator().manual_seed(0))["edges"][:, 0][
        :, far
    ].any()


def test_every_word_of_every_caption_is_one_token() -> None:
    words = networks.new_tokenizer()
    known = set(vocabulary())
    assert 250 < len(known) < 400
    for word in [*sorted(known), "valid", "person"]:
        assert len(words(word, add_special_tokens=False).input_ids) == 1, word
    for n in range(60):
        for text in foundation.render_scene((n,), 1, 32, 6).captions[0]:
            said = set(text.replace(",", " ").split())
            assert {word for word in said if not word.isdigit()} <= known, text
            assert len(words(text).input_ids) <= LENGTH
    assert words("Halt!").input_ids == words("halt!").input_ids
    assert words.unk_token_id not in words("quixotic")["input_ids"][1:-1]
    assert ", ".join(captions.POOR) == NEGATIVE
    for prompt in (PromptConfig().template, NEGATIVE):
        assert len(words(prompt).input_ids) <= LENGTH


def test_the_shipped_tokenizer_is_the_one_of_the_words() -> None:
    assets = Path(vidda.__file__).parent / "assets"
    shipped = CLIPTokenizer.from_pretrained(assets / "mini_diffusion" / "tokenizer")
    assert shipped.get_vocab() == networks.new_tokenizer().get_vocab()


def test_sampling_costs_no_more_than_the_first_miniature() -> None:
    # In 6 steps, as in configs/run/mini.yaml; the first one took 13.4 GFLOP.
    assert frame_gigaflops(SizesConfig(), 112, 6) < 1.2 * 13.4
    # Latents of 2x2 pixels need fewer steps to make up for their number.
    half = SizesConfig(vae=32, vae_levels=2, latents=4, unet=(32, 48, 72, 96), hint=(8, 24))
    assert frame_gigaflops(half, 112, 4) < 1.2 * 13.4 < frame_gigaflops(half, 112, 6)


def test_at_its_real_size_it_fits_in_sixteen_megabytes() -> None:
    sizes, words = SizesConfig(), networks.new_tokenizer()
    with torch.device("meta"):
        unet = networks.new_unet(sizes, 112)
        parts = [unet, networks.new_autoencoder(sizes), networks.new_text_encoder(sizes, words)]
        parts += [networks.new_controlnet(unet, sizes) for _ in networks.KINDS]
    weights = sum(p.numel() for part in parts for p in part.parameters())
    # Besides weights: the names in the files, configs, the tokenizer and the card.
    assert 12_000_000 < 2 * weights < networks.LIMIT_BYTES - 400_000
