"""Frames, crops, objective, rates and prompts of `vidda personalize`, each alone."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDPMScheduler
from pydantic import ValidationError
from transformers import CLIPTokenizer

from tests.tiny_diffusion import tiny_tokenizer
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.personalize.crops import PersonCrop, WholeCrop
from vidda.translate.stable_diffusion.personalize.encoded_frames import (
    encode_images,
    to_frames,
    to_pixels,
)
from vidda.translate.stable_diffusion.personalize.frames import (
    Frames,
    FramesConfig,
    evenly_spaced,
    frame_problems,
    sample_frames,
)
from vidda.translate.stable_diffusion.personalize.objective import (
    min_snr_weight,
    prediction_target,
    squared_error,
)
from vidda.translate.stable_diffusion.personalize.prompt_tokens import plain_token_ids, token_ids
from vidda.translate.stable_diffusion.personalize.render_images import seed_of
from vidda.translate.stable_diffusion.personalize.stored_images import SpooledImages
from vidda.translate.stable_diffusion.personalize.textual_inversion import (
    ExtendedEmbedding,
    TextualInversionConfig,
)
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig
from vidda.translate.stable_diffusion.personalize.training_loop import frame_order
from vidda.types import ClipRecord, Manifest
from vidda.video import write

LENGTH = 6


def clips(root: Path, count: int = 5, **meta: str) -> Manifest:
    """Clips of 40x48 pixels, each of one gray: 20, 40, ... plus the frame's number."""
    records = []
    for number in range(count):
        gray = 20 * (number + 1) + np.arange(LENGTH)[:, None, None, None]
        write(root / f"{number}.mp4", np.broadcast_to(gray, (LENGTH, 40, 48, 3)).astype("u1"), 8)
        records.append(ClipRecord(str(number), f"{number}.mp4", None, "real", "air", meta=meta))
    return Manifest(root, (), tuple(records))


def clip_of(frames: SpooledImages) -> list[int]:
    return [round(float(frame.mean()) / 20) - 1 for frame in frames[:]]


@pytest.mark.parametrize(("count", "total"), [(3, 9), (9, 3), (1, 5), (7, 7), (4, 10)])
def test_spread_is_even_and_within(count: int, total: int) -> None:
    numbers = evenly_spaced(count, total)
    assert len(numbers) == count and (np.diff(numbers) >= 0).all()
    assert numbers[0] >= 0 and numbers[-1] < total
    shares = np.bincount(numbers, minlength=total)
    assert shares.max() - shares.min() <= 1
    if count <= total:
        assert np.diff(numbers, append=numbers[0] + total).max() <= -(-total // count)


def test_frames_are_even_over_clips_and_held_out_ones_are_of_other_clips(tmp_path: Path) -> None:
    manifest = clips(tmp_path)
    drawn = sample_frames(manifest, FramesConfig(count=8, held_out=1), 16)
    assert drawn.train.shape == (8, 16, 16, 3) and drawn.train[:].dtype == np.uint8
    assert clip_of(drawn.held_out) == [2]
    assert clip_of(drawn.train) == [0, 0, 1, 1, 3, 3, 4, 4]
    again = sample_frames(manifest, FramesConfig(count=8, held_out=1), 16)
    assert again.fingerprint() == drawn.fingerprint()
    few = sample_frames(manifest, FramesConfig(count=2, held_out=0), 16)
    assert clip_of(few.train) == [1, 3] and few.held_out.shape == (0, 16, 16, 3)


def test_too_few_frames_or_clips_are_reported(tmp_path: Path) -> None:
    manifest = clips(tmp_path, 2)
    with pytest.raises(ViddaError, match="takes 7 frames of clip '0', which has 6; lower it"):
        sample_frames(manifest, FramesConfig(count=14, held_out=0), 16)
    assert "2 of only 2 clips" in frame_problems(manifest, FramesConfig(held_out=2))[0]
    assert "no clips" in frame_problems(Manifest(tmp_path, (), ()), FramesConfig())[0]
    assert frame_problems(manifest, FramesConfig(held_out=1)) == []


def test_a_square_is_in_the_frame_and_around_the_person() -> None:
    assert WholeCrop().square(None, 40, 60) == (0, 10, 40)
    person = PersonCrop(margin=1.5)
    assert person.square(None, 40, 60) == (0, 10, 40)
    assert person.square(np.array([20.0, 10.0, 28.0, 26.0]), 40, 60) == (6, 12, 24)
    assert person.square(np.array([0.0, 0.0, 8.0, 16.0]), 40, 60) == (0, 0, 24)
    assert person.square(np.array([50.0, 30.0, 60.0, 40.0]), 40, 60) == (25, 45, 15)
    assert person.square(np.array([0.0, 0.0, 60.0, 40.0]), 40, 60) == (0, 10, 40)


def test_boxes_come_from_the_sidecar_and_else_the_frame_is_whole(tmp_path: Path) -> None:
    manifest = clips(tmp_path, 2)
    box = np.tile(np.array([10, 4, 18, 20], np.float32), (LENGTH, 1))
    box[1] = 0
    (tmp_path / "sidecar").mkdir()
    np.savez(tmp_path / "sidecar" / "0.npz", box=box)
    first, second, last = PersonCrop().boxes(manifest.clips[0], tmp_path, np.array([0, 1, 5]))
    assert first is not None and first.tolist() == [10, 4, 18, 20]
    assert second is None and np.array_equal(first, last)
    assert PersonCrop().boxes(manifest.clips[1], tmp_path, np.array([0, 1])) == [None, None]
    drawn = sample_frames(manifest, FramesConfig(count=4, held_out=0, crop=PersonCrop()), 16)
    assert drawn.boxless == 3
    people = np.array([[[10, 4, 18, 20], [0, 0, 0, 0], [30, 2, 40, 9]]], np.float32)
    np.savez(tmp_path / "sidecar" / "1.npz", box=np.tile(people, (LENGTH, 1, 1)))
    (around,) = PersonCrop().boxes(manifest.clips[1], tmp_path, np.array([3]))
    assert around is not None and around.tolist() == [10, 2, 40, 20]
    (tmp_path / "sidecar" / "1.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ViddaError, match="damaged"):
        PersonCrop().boxes(manifest.clips[1], tmp_path, np.array([3]))


def test_boxes_come_from_given_columns(tmp_path: Path) -> None:
    person = PersonCrop(columns=("x0", "y0", "x1", "y1"))
    numbers = np.arange(2)

    def of(*cells: str) -> list[np.ndarray | None]:
        meta = dict(zip(("x0", "y0", "x1", "y1"), cells, strict=True))
        return person.boxes(ClipRecord("c", "c.mp4", None, "", "", meta=meta), tmp_path, numbers)

    first, second = of("1", "2.5", "3", "4")
    assert first is not None and first.tolist() == [1, 2.5, 3, 4] and second is first
    assert of("", "", "", "") == [None, None]
    for wrong in (("1", "2", "x", "4"), ("1", "2", "", "4"), ("3", "2", "1", "4"), ("nan",) * 4):
        with pytest.raises(ViddaError, match=r"clip 'c': x0, y0, x1, y1 are .* no box"):
            of(*wrong)


def scheduler(kind: str) -> DDPMScheduler:
    return DDPMScheduler(prediction_type=kind, rescale_betas_zero_snr=kind == "v_prediction")


def test_the_target_undoes_the_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 5, 4, 3, 3, generator=rng).unbind()
    times = torch.tensor([0, 10, 300, 700, 999])
    plain = scheduler("epsilon")
    assert torch.equal(prediction_target(plain, latents, noise, times), noise)
    velocity = scheduler("v_prediction")
    signal = velocity.alphas_cumprod[times].view(-1, 1, 1, 1)
    noisy = velocity.add_noise(latents, noise, times)
    clean = signal.sqrt() * noisy - (1 - signal).sqrt() * prediction_target(
        velocity, latents, noise, times
    )
    assert torch.allclose(clean, latents, atol=1e-5)


def test_min_snr_weighs_clean_latents_alike() -> None:
    signal = torch.tensor([0.0, 0.2, 0.5, 0.9, 0.999])
    ratio = signal / (1 - signal)
    cut = ratio.clamp(max=5.0)
    assert torch.equal(min_snr_weight(signal, "epsilon", None), torch.ones(5))
    noise = min_snr_weight(signal, "epsilon", 5.0)
    assert noise[0] == 1 and torch.allclose(noise[1:] * ratio[1:], cut[1:])
    # An error of the velocity is one of the clean latents times 1 + SNR.
    assert torch.allclose(min_snr_weight(signal, "v_prediction", 5.0) * (ratio + 1), cut)


def test_the_error_is_of_each_item() -> None:
    one = torch.zeros(2, 1, 2, 2)
    other = one.clone()
    other[1] = 3
    assert squared_error(one, other).tolist() == [0, 9]


def test_rates_over_time() -> None:
    plain = TrainingConfig(steps=10, lr=1.0)
    assert [plain.rate(step) for step in (0, 9)] == [1, 1]
    scaled = TrainingConfig(lr=5e-4, batch_size=2, accumulate=4, scale_lr=True)
    assert scaled.rate(0) == pytest.approx(4e-3)
    curve = TrainingConfig(steps=12, lr=1.0, warmup=2, schedule="cosine")
    rates = [curve.rate(step) for step in range(12)]
    assert rates[:3] == [0.5, 1.0, 1.0] and rates[7] == pytest.approx(0.5)
    assert all(late < early for early, late in pairwise(rates[2:]))
    assert 0 < rates[-1] < 0.05


def test_the_published_recipes_are_the_defaults() -> None:
    inversion = TextualInversionConfig()
    assert (inversion.steps, inversion.accumulate, inversion.batch_size) == (3000, 4, 1)
    assert (inversion.token, inversion.initializer) == ("<realism>", "valid")
    assert inversion.rate(0) == pytest.approx(2e-3) == inversion.rate(2999)
    with pytest.raises(ValidationError):
        TextualInversionConfig(token="two words")


def test_every_epoch_has_every_frame_in_an_order_of_its_own() -> None:
    whole = frame_order(0, 21, 7, seed=1)
    epochs = whole.view(3, 7)
    assert (epochs.sort(1).values == torch.arange(7)).all()
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(frame_order(5, 9, 7, seed=1), whole[5:14])
    assert not torch.equal(frame_order(0, 7, 7, seed=2), epochs[0])


def test_seeds_differ_by_purpose_and_number() -> None:
    seeds = [seed_of(s, p, n) for s in (0, 1) for p in (1, 2) for n in range(3)]
    assert len(set(seeds)) == 12 and seeds[0] == seed_of(0, 1, 0)


def test_prompts_that_the_text_encoder_cannot_read_are_reported() -> None:
    tokenizer = tiny_tokenizer()
    ids = token_ids(tokenizer, ["person", "a person"], "method.prompt")
    assert ids.shape == (2, 77)
    with pytest.raises(ViddaError, match=r"(?s)'x x.*76 tokens.*reads 75.*80 tokens"):
        token_ids(tokenizer, ["x " * 76, "a", "y " * 80], "method.prompt")
    vocabulary = {word: n for n, word in enumerate(["a", "a</w>", "<|startoftext|>"])}
    small = CLIPTokenizer(vocab={**vocabulary, "<|endoftext|>": 3}, merges=[], model_max_length=77)
    assert plain_token_ids(small, "a") == [1]
    with pytest.raises(ViddaError, match=r"method.prompt: 'b' has words .* does not know"):
        token_ids(small, ["a", "b"], "method.prompt")


def test_new_words_alone_learn() -> None:
    known = torch.nn.Embedding(6, 3).requires_grad_(False)
    word = ExtendedEmbedding(known, 5, torch.ones(2, 3))
    ids = torch.tensor([[0, 5, 6, 4]])
    vectors = word(ids)
    assert torch.equal(vectors[0, [0, 3]], known.weight[[0, 4]])
    assert torch.equal(vectors[0, 1:3], torch.ones(2, 3))
    vectors.sum().backward()
    assert [name for name, p in word.named_parameters() if p.requires_grad] == ["vectors"]
    assert torch.equal(word.vectors.grad, torch.ones(2, 3))


def test_pixels_there_and_back() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)
    pixels = to_pixels(frames)
    assert pixels.shape == (2, 3, 4, 6) and pixels.min() >= -1 and pixels.max() <= 1
    assert np.array_equal(to_frames(pixels), frames)
    assert np.array_equal(to_frames(pixels * 9 + 9)[frames > 200], frames[frames > 200] * 0 + 255)


def test_a_tiny_autoencoder_is_sure_of_its_latents() -> None:
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    frames = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), np.uint8)
    latents = encode_images(vae, frames, torch.device("cpu"), "encoding")
    assert len(latents) == 9 and not latents.deviation.any()
    drawn = latents.sample(torch.tensor([8, 0]), torch.Generator())
    assert torch.equal(drawn, latents.mean[[8, 0]])


def test_mirrored_frames_come_after_the_others() -> None:
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    frames = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), np.uint8)
    both = np.concatenate([frames, frames[:, :, ::-1]])
    found, wanted = (
        encode_images(vae, seen, torch.device("cpu"), "encoding", flip=flip)
        for seen, flip in ((frames, True), (both, False))
    )
    torch.testing.assert_close(found.mean, wanted.mean)


def spooled(images: np.ndarray) -> SpooledImages:
    spool = SpooledImages(images.shape[1])
    for image in images:
        spool.append(image)
    return spool


def test_images_on_disk_are_those_that_were_kept() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    spool = spooled(images)
    assert len(spool) == 5 and spool.shape == images.shape
    for numbers in (slice(1, 4), slice(None), slice(4, 9), [4, 0, 4], np.array([2])):
        assert np.array_equal(spool[numbers], images[numbers])
    assert spool[5:].shape == (0, 8, 8, 3)


@pytest.mark.parametrize("flip", [False, True])
def test_memory_does_not_grow_with_the_frames(tmp_path: Path, flip: bool) -> None:
    """Drawing and encoding hold a few frames, and their latents, whatever their number."""
    side, count = 64, 400
    gray = np.arange(count, dtype=np.uint8)[:, None, None, None]
    write(tmp_path / "long.mp4", np.broadcast_to(gray, (count, side, side, 3)), 8)
    manifest = Manifest(tmp_path, (), (ClipRecord("c", "long.mp4", None, "real", "air"),))
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
    tracemalloc.start()  # numpy's arrays are traced, torch's are not
    try:
        drawn = sample_frames(manifest, FramesConfig(count=count, held_out=0), side)
        drawn.fingerprint()
        latents = encode_images(vae, drawn.train, torch.device("cpu"), "encoding", flip=flip)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert latents.mean.shape == (count * (1 + flip), 4, 8, 8)
    assert peak < count * side * side * 3 / 2


def test_frames_tell_their_content() -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    changed = images.copy()
    changed[0, 0, 0, 0] = 1
    one, other = spooled(images), spooled(changed)
    assert Frames(one, one, 0).fingerprint() == Frames(spooled(images), one, 0).fingerprint()
    assert Frames(one, one, 0).fingerprint() != Frames(other, one, 0).fingerprint()
    assert Frames(one, other, 0).fingerprint() != Frames(other, one, 0).fingerprint()
