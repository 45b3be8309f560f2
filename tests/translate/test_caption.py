"""`vidda caption` with a tiny BLIP: captions as transformers makes them, handed out as asked."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import moving
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

from tests.tiny_blip import write_blip
from vidda import config as configs
from vidda.data import load_manifest
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.translate.caption import (
    CaptionerConfig,
    NearestCaption,
    RandomCaption,
    find_captioner,
    load_captioner,
)
from vidda.translate.caption_job import CaptionConfig, run
from vidda.translate.prompts import PromptConfig, Prompts, read_captions
from vidda.types import ClipRecord, Manifest
from vidda.video import write
from vidda.weights import Folder, Hub


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blip(tmp_path_factory.mktemp("blip"))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """source.csv of 4 labeled clips; target.csv of 3, one of them the source's clip s2 again."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seeds in (("source", range(4)), ("target", (10, 2, 11))):
        records = []
        for number, seed in enumerate(seeds):
            images = moving(8, 40, 48, seed=seed) // (1 + seed % 3)
            write(folder / name / f"{number}.mp4", images, 12, crf=1)
            records.append(
                ClipRecord(f"{name[0]}{number}", f"{number}.mp4", number % 2, name, "air")
            )
        save_manifest(
            Manifest(folder / name, ("Advance", "Halt"), tuple(records)), folder / name / "all.csv"
        )
    return folder


def job(blip: Path, manifests: Path, out: Path, *overrides: str) -> CaptionConfig:
    content = {
        "source": str(manifests / "source" / "all.csv"),
        "target": str(manifests / "target" / "all.csv"),
        "out": str(out),
        "captioner": {"source": {"name": "folder", "path": str(blip)}, "max_tokens": 8},
        "frames": 2,
        "batch_size": 2,
        "device": "cpu",
    }
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(content))
    return configs.load(CaptionConfig, file, overrides)


def rows(file: Path) -> list[list[str]]:
    return [line.split(",") for line in file.read_text().splitlines()]


@pytest.mark.parametrize("prefix", ["", "a photo of"])
def test_captions_are_those_of_transformers(blip: Path, prefix: str) -> None:
    config = CaptionerConfig(source=Folder(path=blip), prefix=prefix, max_tokens=8, beams=2)
    captioner = load_captioner(
        config, find_captioner(config, False), torch.device("cpu"), torch.float32
    )
    frames = [moving(3, 40, 48, seed=seed)[2] // (1 + seed) for seed in range(3)]
    model = BlipForConditionalGeneration.from_pretrained(blip)
    processor = BlipProcessor.from_pretrained(blip)
    images = [Image.fromarray(frame) for frame in frames]
    words = {"text": [prefix] * 3} if prefix else {}
    inputs = processor(images=images, return_tensors="pt", **words)
    ids = model.generate(**inputs, max_new_tokens=8, num_beams=2, do_sample=False)
    wanted = [" ".join(t.split()) for t in processor.batch_decode(ids, skip_special_tokens=True)]
    found = captioner.describe(frames)
    assert found == wanted
    assert len(set(found)) > 1 and all(found), "the weights tell the frames apart"
    assert all(text.startswith(prefix) for text in found)
    features = captioner.features(frames)
    pooled = model.vision_model(inputs.pixel_values).pooler_output.detach().numpy()
    np.testing.assert_allclose(
        features, pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-5
    )


def test_random_captions_depend_on_seed_and_clip_alone(
    blip: Path, manifests: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.csv"
    assert run(job(blip, manifests, out), dry_run=False, resume=False) == 0
    header, *found = rows(out)
    assert header == ["clip", "caption", "of"]
    assert [row[0] for row in found] == ["s0", "s1", "s2", "s3"]
    assert {row[2].partition("#")[0] for row in found} <= {"t0", "t1", "t2"}
    draws = RandomCaption(seed=0).pick(["s0", "s1", "s2", "s3"], 6)
    assert list(RandomCaption(seed=0).pick(["s3", "s1"], 6)) == [draws[3], draws[1]]
    many = [f"clip{n}" for n in range(600)]
    assert (np.bincount(RandomCaption(seed=0).pick(many, 6)) > 60).all()
    assert (RandomCaption(seed=1).pick(many, 6) != RandomCaption(seed=0).pick(many, 6)).any()

    # The same clips in another order, and the target's too: the same captions.
    for name in ("source", "target"):
        manifest = load_manifest(manifests / name / "all.csv")
        turned = Manifest(manifest.root, manifest.classes, manifest.clips[::-1])
        save_manifest(turned, tmp_path / name / "turned.csv")
    places = [f"{n}={tmp_path / n / 'turned.csv'}" for n in ("source", "target")]
    again = tmp_path / "b.csv"
    assert run(job(blip, manifests, again, *places), dry_run=False, resume=False) == 0
    assert read_captions(again) == read_captions(out)

    prompts = Prompts(PromptConfig(template="{caption}, best", captions=out), ("Advance", "Halt"))
    source = load_manifest(manifests / "source" / "all.csv")
    prompts.check(source.clips)
    assert prompts.of(source.clips[0]) == f"{found[0][1]}, best"


def test_the_nearest_frames_caption(blip: Path, manifests: Path, tmp_path: Path) -> None:
    out = tmp_path / "near.csv"
    config = job(blip, manifests, out, "assign.name=nearest", "frames=1")
    assert run(config, dry_run=False, resume=False) == 0
    assert rows(out)[3][2].startswith("t1#"), "s2's own frame is among the target's"
    targets = np.eye(3, dtype=np.float32)
    clips = np.array([[0.1, 0.9, 0.2], [0.6, 0.6, 0.5]], np.float32)
    assert list(NearestCaption().pick(clips, targets)) == [1, 0]


@pytest.mark.parametrize("assign", ["random", "nearest"])
def test_a_video_that_cannot_be_read_is_reported(
    blip: Path, manifests: Path, tmp_path: Path, assign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("source", "target"):
        manifest = load_manifest(manifests / name / "all.csv")
        (manifest.root / "broken.mp4").write_bytes(b"no video")
        broken = ClipRecord("broken", "broken.mp4", None, name, "air")
        more = Manifest(manifest.root, manifest.classes, (broken, *manifest.clips))
        save_manifest(more, tmp_path / name / "more.csv")
    places = [f"{n}={tmp_path / n / 'more.csv'}" for n in ("source", "target")]
    out = tmp_path / "out.csv"
    config = job(blip, manifests, out, *places, f"assign.name={assign}")
    assert run(config, dry_run=False, resume=False) == 1
    reported = capsys.readouterr().err.count("skipped clip 'broken'")
    assert reported == (1 if assign == "random" else 2)
    assert ("broken" in read_captions(out)) == (assign == "random")


def test_nothing_is_written_over_or_in_a_dry_run(
    blip: Path, manifests: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    config = job(blip, manifests, out)
    assert run(config, dry_run=True, resume=False) == 0
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(ViddaError, match=r"out\.csv is there already; choose another name"):
        run(config, dry_run=False, resume=False)
    assert run(config, dry_run=False, resume=True) == 0
    assert out.read_text() == "mine"
    out.write_text("")
    assert run(config, dry_run=False, resume=True) == 0
    assert read_captions(out)


def test_public_weights_are_read_without_running_their_code(blip: Path, tmp_path: Path) -> None:
    """A .bin passes torch's loader for tensors; one that holds anything else is refused."""
    for file in blip.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    state = BlipForConditionalGeneration.from_pretrained(blip).state_dict()
    torch.save(state, tmp_path / "pytorch_model.bin")
    config = CaptionerConfig(source=Folder(path=tmp_path), max_tokens=4)
    own = config.model_copy(update={"source": Folder(path=blip)})
    frame = moving(1, 40, 48)[0]
    cpu = torch.device("cpu")
    captions = [
        load_captioner(one, find_captioner(one, False), cpu, torch.float32).describe([frame])
        for one in (config, own)
    ]
    assert captions[0] == captions[1]
    torch.save({"weight": Path()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ViddaError, match=r"cannot be loaded .*copy the folder again"):
        load_captioner(config, find_captioner(config, False), cpu, torch.float32)


def test_what_is_no_blip_is_reported(blip: Path, tmp_path: Path) -> None:
    def refusal(source: Folder | Hub) -> str:
        with pytest.raises(ViddaError) as error:
            find_captioner(CaptionerConfig(source=source), False)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "no such folder; correct captioner.source.path" in refusal(Folder(path=tmp_path / "x"))
    assert "no model of transformers" in refusal(Folder(path=tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    assert "holds a BertModel; name a BLIP for captions" in refusal(Folder(path=tmp_path))
    (tmp_path / "config.json").write_bytes((blip / "config.json").read_bytes())
    assert "no model.safetensors; copy the folder again" in refusal(Folder(path=tmp_path))
